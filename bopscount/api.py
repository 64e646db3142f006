"""The calls that take a model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.nn.parameter import is_lazy

from bopscount.bits.by_path import UserBits, with_bits
from bopscount.bits.findings import Measured
from bopscount.errors import InputError, TraceError
from bopscount.layer_table import LayerTable
from bopscount.records.rule_sets import check_rules
from bopscount.records.table import Records
from bopscount.records.totals import Totals
from bopscount.records.uncounted import uncounted_ops
from bopscount.report import Report
from bopscount.report.counting import count_records
from bopscount.report.options import ReportOptions
from bopscount.tracing.driver import Driver
from bopscount.tracing.inputs import ForwardCall
from bopscount.tracing.measuring import measure
from bopscount.tracing.model import module_of, on_meta
from bopscount.tracing.options import TraceOptions
from bopscount.tracing.recording import ValuesAsked, record
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
    options = TraceOptions(
        input_size, inputs, batch_size, dtype, training, run, strict, bits, discount_zeros
    )
    return _table(*_record(model, options), options)


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
    options = TraceOptions(
        input_size, inputs, batch_size, dtype, training, run, strict, bits, discount_zeros
    )
    driver, call = _record(model, options)
    if not options.needs_table:
        try:
            return Totals(*driver.tracer.totals(rules))
        except OverflowError:
            pass  # again by the table, which knows the layer's path
    return _table(driver, call, options).totals(rules, discount_zeros)


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
        model,
        TraceOptions(
            input_size, inputs, batch_size, dtype, training, run, strict, bits, discount_zeros
        ),
        ReportOptions(rules, query_granularity, columns, convention, discount_zeros),
        timing,
    )
    print(report)  # noqa: T201 - the table is what stat is for
    return report


def build_report(
    model: nn.Module | Callable[[], nn.Module],
    options: TraceOptions,
    shown: ReportOptions,
    timing: bool,
) -> Report:
    """Return the report that `stat` prints."""
    driver, call = _record(model, options)
    table = _table(driver, call, options)
    module = driver.model
    table.trainable_params = sum(
        parameter.numel()
        for parameter in module.parameters()
        if parameter.requires_grad and not is_lazy(parameter)
    )
    durations = None
    if timing and not (on_meta(module) or call.is_on_meta):
        durations = time_leaves(module, table.nodes, call.with_values())
    return count_records(table, shown, durations)


def _record(
    model: nn.Module | Callable[[], nn.Module], options: TraceOptions
) -> tuple[Driver, ForwardCall]:
    """Trace one forward call."""
    module = module_of(model)
    call = options.call_of(module)
    return record(module, call, _ASKED, run=options.run, training=options.training), call


_ASKED = ValuesAsked()


def _measure(
    model: nn.Module, call: ForwardCall, options: TraceOptions, table: Records
) -> dict[int, Measured]:
    if options.run == "never":
        raise InputError("bits='measured' runs the model, which run='never' forbids")
    return measure(model, call, table, training=options.training)


_RAN_MODEL = "What this model does depends on values, so it was run once to be recorded."


def _table(driver: Driver, call: ForwardCall, options: TraceOptions) -> LayerTable:
    """Return the table of a finished trace; under `strict` only if every op has a rule."""
    module = driver.model
    table = LayerTable.of(
        build_table(
            driver.tracer,
            network_inputs=driver.input_shapes,
            batch_size=call.batch_size,
            ran_model=driver.real,
            notes=[_RAN_MODEL] if driver.real else [],
            assumptions=driver.assumptions,
        )
    )
    if options.strict:
        missing = uncounted_ops(table)
        if missing:
            op = missing[0]
            raise TraceError(
                f"{op.op} in {op.module_path or 'the model'} has no rule "
                f"(of {len(missing)} such ops); strict=False reports a lower bound",
                op.module_path,
            )
    if options.bits is not None:
        table = with_bits(table, options.bits, module, partial(_measure, module, call, options))
    if options.discount_zeros:
        look_for_zeros(module, table)
    return table
