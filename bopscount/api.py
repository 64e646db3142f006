"""The calls that take a model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.nn.parameter import is_lazy

from bopscount.bits.by_path import UserBits, with_bits
from bopscount.conventions import check_convention
from bopscount.errors import InputError, TraceError
from bopscount.layer_table import LayerTable, check_rules
from bopscount.records.totals import Totals
from bopscount.report.counting import check_granularity, count, uncounted_ops
from bopscount.report.formats.table_text import check_columns
from bopscount.report.report import Report
from bopscount.tracing import check_run, record
from bopscount.tracing.driver import Driver
from bopscount.tracing.inputs import ForwardCall, forward_call
from bopscount.tracing.measuring import Measured, measure
from bopscount.tracing.model import module_of, on_meta
from bopscount.tracing.table import build_table
from bopscount.tracing.timing import time_leaves
from bopscount.tracing.zero_weights import look_for_zeros


def trace(
    model: nn.Module | Callable[[], nn.Module],
    input_size: Any = None,
    *,
    inputs: Any = None,
    batch_size: int = 1,
    dtype: torch.dtype | None = None,
    training: bool = False,
    run: str = "auto",
    strict: bool = False,
    bits: UserBits | None = None,
    discount_zeros: bool = False,
) -> LayerTable:
    """Records what one forward pass executes; count it as often as you like.

    Args:
        model: A module on any device, left as it was whatever happens; or a callable
            that builds one, which is then built on the meta device.
        input_size: Shape without the batch, (3, 224, 224), or a list of shapes for
            several inputs.
        inputs: Instead of input_size: a tensor (the one argument), a tuple (positional
            arguments) or a dict (keyword arguments), nested as forward takes them.
        batch_size: Samples, for input_size.
        dtype: Dtype for input_size, by default that of the parameters.
        training: Keep the `training` flags; by default the trace is in eval mode.
        run: "auto" runs the model's arithmetic only where its values decide what it does
            next; "never" raises then.
        strict: Raise where an op has no rule, instead of reporting a lower bound.
        bits: Widths that you know, {"layer*.conv2": (weight bits, input bits)} with globs of
            module paths, or a callable (path, module) that returns such a pair or None; see
            `LayerTable.with_bits`. "measured", also in place of a pair, runs the model once
            more to look at the values that are multiplied, where nobody else knows a width;
            see docs/measured_bits.md.
        discount_zeros: Look which weights are zero, for `count(..., discount_zeros=True)`
            and the convention "sparse_product"; the weights must have values.

    Raises:
        InputError: For an argument that cannot be used.
        TraceError: If the forward raises.
    """
    check_run(run)
    module = module_of(model)
    call = forward_call(module, input_size, inputs, batch_size, dtype)
    driver = record(module, call, run=run, training=training)
    return _table(driver, call, training, run, strict, bits, discount_zeros)


def scan(
    model: nn.Module | Callable[[], nn.Module],
    input_size: Any = None,
    *,
    inputs: Any = None,
    batch_size: int = 1,
    dtype: torch.dtype | None = None,
    rules: str = "torchstat",
    training: bool = False,
    run: str = "auto",
    strict: bool = False,
    bits: UserBits | None = None,
    discount_zeros: bool = False,
) -> Totals:
    """The totals and nothing else: the call for a search loop.

    Arguments and errors are those of `trace` and `count`.

    Example: `scan(torchvision.models.resnet50(), (3, 224, 224)).macs` is 4,089,184,256.
    """
    check_rules(rules)
    check_run(run)
    module = module_of(model)
    call = forward_call(module, input_size, inputs, batch_size, dtype)
    driver = record(module, call, run=run, training=training)
    if not (strict or bits or discount_zeros):
        try:
            return Totals(*driver.tracer.totals(rules))
        except OverflowError:
            pass  # again by the table, which knows the layer's path
    table = _table(driver, call, training, run, strict, bits, discount_zeros)
    return table.totals(rules, discount_zeros)


def stat(
    model: nn.Module | Callable[[], nn.Module],
    input_size: Any = None,
    query_granularity: int = 1,
    *,
    inputs: Any = None,
    batch_size: int = 1,
    dtype: torch.dtype | None = None,
    rules: str = "torchstat",
    timing: bool = True,
    training: bool = False,
    run: str = "auto",
    strict: bool = False,
    bits: UserBits | None = None,
    columns: str | Sequence[str] = "default",
    convention: str | None = None,
    discount_zeros: bool = False,
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
        run: "auto" or "never"; see `trace`. Timing runs the model in any case.
        strict: Raise where an op has no rule; see `trace`.
        bits: Widths that you know; see `trace`.
        columns: What the table shows; see `count`. "bits" is short for the bit widths
            and their sources, ("default", "bits") puts them beside the usual columns.
        convention: Name of a published convention whose total is printed too.
        discount_zeros: Zero weights cost no MACs and no memory.

    Raises:
        InputError: For an argument that cannot be used.
        TraceError: If the forward raises.
    """
    report = build_report(
        model, input_size, query_granularity, inputs=inputs, batch_size=batch_size, dtype=dtype,
        rules=rules, timing=timing, training=training, run=run, strict=strict,
        bits=bits, columns=columns, convention=convention, discount_zeros=discount_zeros,
    )  # fmt: skip
    print(report)  # noqa: T201 - the table is what stat is for
    return report


def build_report(
    model: nn.Module | Callable[[], nn.Module],
    input_size: Any = None,
    query_granularity: int = 1,
    *,
    inputs: Any = None,
    batch_size: int = 1,
    dtype: torch.dtype | None = None,
    rules: str = "torchstat",
    timing: bool = True,
    training: bool = False,
    run: str = "auto",
    strict: bool = False,
    bits: UserBits | None = None,
    columns: str | Sequence[str] = "default",
    convention: str | None = None,
    discount_zeros: bool = False,
) -> Report:
    """What `stat` prints, unprinted; same arguments."""
    check_rules(rules)
    check_granularity(query_granularity)
    check_run(run)
    check_columns(columns)
    if convention is not None:
        check_convention(convention)
    module = module_of(model)
    call = forward_call(module, input_size, inputs, batch_size, dtype)
    driver = record(module, call, run=run, training=training)
    table = _table(driver, call, training, run, strict, bits, discount_zeros)
    table.trainable_params = sum(
        parameter.numel()
        for parameter in module.parameters()
        if parameter.requires_grad and not is_lazy(parameter)
    )
    durations = None
    if timing and not (on_meta(module) or call.is_on_meta):
        durations = time_leaves(module, table.nodes, call.with_values())
    return count(
        table, rules=rules, query_granularity=query_granularity, durations=durations,
        columns=columns, convention=convention, discount_zeros=discount_zeros,
    )  # fmt: skip


def _measure(
    model: nn.Module, call: ForwardCall, training: bool, run: str, table: LayerTable
) -> dict[int, Measured]:
    if run == "never":
        raise InputError("bits='measured' runs the model, which run='never' forbids")
    return measure(model, call, table, training=training)


_RAN_MODEL = "What this model does depends on values, so it was run once to be recorded."


def _table(
    driver: Driver,
    call: ForwardCall,
    training: bool,
    run: str,
    strict: bool,
    bits: UserBits | None,
    discount_zeros: bool,
) -> LayerTable:
    """The table of a finished trace; under `strict` only if every op has a rule."""
    module = driver.model
    table = build_table(
        driver.tracer,
        network_inputs=driver.input_shapes,
        batch_size=call.batch_size,
        ran_model=driver.real,
        notes=[_RAN_MODEL] if driver.real else [],
        assumptions=driver.assumptions,
    )
    if strict:
        missing = uncounted_ops(table)
        if missing:
            op = missing[0]
            raise TraceError(
                f"{op.op} in {op.module_path or 'the model'} has no rule "
                f"(of {len(missing)} such ops); strict=False reports a lower bound",
                op.module_path,
            )
    if bits is not None:
        table = with_bits(table, bits, module, partial(_measure, module, call, training, run))
    if discount_zeros:
        look_for_zeros(module, table)
    return table
