"""The calls that take a model."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from bopscount.counting import check_granularity, count
from bopscount.errors import InputError
from bopscount.layer_table import LayerTable, check_rules
from bopscount.report import Report
from bopscount.timing import time_leaves
from bopscount.totals import Totals
from bopscount.tracing.execute import ExecutingTracer
from bopscount.tracing.inputs import ForwardCall, forward_call


def check_model(model: Any) -> nn.Module:
    """`model`, or InputError."""
    if isinstance(model, nn.Module):
        return model
    if isinstance(model, type) and issubclass(model, nn.Module):
        raise InputError(f"model must be an instance, got the class {model.__name__}: call it")
    raise InputError(f"model must be a torch.nn.Module, got {type(model).__name__}")


def trace(
    model: nn.Module,
    input_size: Any = None,
    *,
    inputs: Any = None,
    batch_size: int = 1,
    dtype: torch.dtype | None = None,
    training: bool = False,
) -> LayerTable:
    """Records what one forward pass executes; count it as often as you like.

    Args:
        model: A module on any device; it is left as it was, whatever happens.
        input_size: Shape without the batch, (3, 224, 224), or a list of shapes for
            several inputs.
        inputs: Instead of input_size: a tensor (the one argument), a tuple (positional
            arguments) or a dict (keyword arguments), nested as forward takes them.
        batch_size: Samples, for input_size.
        dtype: Dtype for input_size, by default that of the parameters.
        training: Keep the `training` flags; by default the trace is in eval mode.

    Raises:
        InputError: For an argument that cannot be used.
        TraceError: If the forward raises.
    """
    check_model(model)
    call = forward_call(model, input_size, inputs, batch_size, dtype)
    return ExecutingTracer(model).run(call, training)


def scan(
    model: nn.Module,
    input_size: Any = None,
    *,
    inputs: Any = None,
    batch_size: int = 1,
    dtype: torch.dtype | None = None,
    rules: str = "torchstat",
    training: bool = False,
) -> Totals:
    """The totals and nothing else: the call for a search loop.

    Arguments and errors are those of `trace` and `count`.

    Example: `scan(torchvision.models.resnet50(), (3, 224, 224)).macs` is 4,089,184,256.
    """
    check_rules(rules)
    table = trace(
        model, input_size, inputs=inputs, batch_size=batch_size, dtype=dtype, training=training
    )
    return table.totals(rules)


def stat(
    model: nn.Module,
    input_size: Any = None,
    query_granularity: int = 1,
    *,
    inputs: Any = None,
    batch_size: int = 1,
    dtype: torch.dtype | None = None,
    rules: str = "torchstat",
    timing: bool = True,
    training: bool = False,
) -> Report:
    """Prints the layer table of a model and returns it.

    Args:
        model: A module on any device; it is left as it was.
        input_size: Shape without the batch, such as (3, 224, 224), or a list of shapes.
        query_granularity: Height of the modules that get a row: 1 shows the leaves, 2
            the modules that hold nothing but leaves, and so on.
        inputs: Instead of input_size, the arguments of forward; see `trace`.
        batch_size: Samples, for input_size.
        dtype: Dtype for input_size.
        rules: "torchstat", the predecessor's table, or "full", everything.
        timing: Also run the model a few times for the duration[%] column; off by itself
            where parameters or inputs are on the meta device.
        training: Keep the `training` flags while recording; timing is in eval mode.

    Raises:
        InputError: For an argument that cannot be used.
        TraceError: If the forward raises.
    """
    report = build_report(
        model, input_size, query_granularity, inputs=inputs, batch_size=batch_size, dtype=dtype,
        rules=rules, timing=timing, training=training,
    )  # fmt: skip
    print(report)  # noqa: T201 - the table is what stat is for
    return report


def build_report(
    model: nn.Module,
    input_size: Any = None,
    query_granularity: int = 1,
    *,
    inputs: Any = None,
    batch_size: int = 1,
    dtype: torch.dtype | None = None,
    rules: str = "torchstat",
    timing: bool = True,
    training: bool = False,
) -> Report:
    """What `stat` prints, unprinted; same arguments."""
    check_model(model)
    check_rules(rules)
    check_granularity(query_granularity)
    call = forward_call(model, input_size, inputs, batch_size, dtype)
    tracer = ExecutingTracer(model)
    table = tracer.run(call, training)
    durations = None
    if timing and not _on_meta(model, call):
        durations = time_leaves(model, tracer.nodes, tracer.modules, call)
    return count(table, rules=rules, query_granularity=query_granularity, durations=durations)


def _on_meta(model: nn.Module, call: ForwardCall) -> bool:
    from itertools import chain

    from bopscount.tracing.inputs import tensors_of

    tensors = chain(model.parameters(), model.buffers(), tensors_of((call.args, call.kwargs)))
    return any(tensor.is_meta for tensor in tensors)
