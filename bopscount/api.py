"""Public functions that take a model: `trace`, `scan` and `stat`."""

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
    """Record the ops of one forward pass, to be counted any number of times.

    Args:
        model: Module on any device, restored to its previous state even if tracing fails; or
            a callable that builds one, which is called on the meta device.
        input_size: Shape without the batch dimension, such as (3, 224, 224), or a list of
            shapes for several inputs.
        inputs: Arguments of forward, instead of `input_size`: a tensor (the only argument), a
            tuple (positional arguments) or a dict (keyword arguments), nested as forward takes
            them.
        batch_size: Number of samples, for `input_size`.
        dtype: Dtype of the inputs made from `input_size`, by default that of the parameters.
        training: Keep the `training` flags; by default the model is traced in eval mode.
        run: "auto" runs the model's arithmetic only if its control flow depends on values;
            "never" raises instead.
        strict: Raise if an op has no rule, instead of reporting a lower bound.
        bits: Known bit widths, {"layer*.conv2": (weight bits, input bits)} with globs of module
            paths, or a callable (path, module) that returns such a pair or None; see
            `LayerTable.with_bits`. "measured", also in place of a pair, runs the model once
            more and measures the operands whose width has no other source; see
            docs/measured_bits.md.
        discount_zeros: Find the zero weights, for `count(..., discount_zeros=True)` and the
            convention "sparse_product"; the weights must have values.

    Returns:
        Layer table for `count`.

    Raises:
        InputError: If an argument is invalid.
        TraceError: If forward raises, or `run` or `strict` forbids the trace.
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
    """Return the totals of one forward pass, without rows; the function for search loops.

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
            pass  # counted again from the table, whose error names the layer
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
    """Print the layer table of a model and return its report.

    Args:
        model: Module on any device, or a callable that builds one; see `trace`.
        input_size: Shape without the batch dimension, such as (3, 224, 224), or a list of
            shapes.
        query_granularity: Height of the modules that get a row: 1 shows the leaves, 2 the
            modules that contain only leaves, and so on.
        inputs: Arguments of forward, instead of `input_size`; see `trace`.
        batch_size: Number of samples, for `input_size`.
        dtype: Dtype of the inputs made from `input_size`.
        rules: "torchstat", the predecessor's table, or "full", every op.
        timing: Also run the model a few times for the duration[%] column; skipped if
            parameters or inputs are on the meta device.
        training: Keep the `training` flags while tracing; timed runs are in eval mode.
        run: "auto" or "never"; see `trace`. Timing runs the model in either case.
        strict: Raise if an op has no rule; see `trace`.
        bits: Known bit widths; see `trace`.
        columns: Columns of the table; see `count`. "bits" stands for the bit widths and their
            sources, ("default", "bits") adds them to the default columns.
        convention: Name of a published convention whose total is printed too.
        discount_zeros: Count no MACs and no memory for zero weights.

    Returns:
        Report that was printed.

    Raises:
        InputError: If an argument is invalid.
        TraceError: If forward raises; see `trace`.
    """
    report = build_report(
        model,
        TraceOptions(
            input_size, inputs, batch_size, dtype, training, run, strict, bits, discount_zeros
        ),
        ReportOptions(rules, query_granularity, columns, convention, discount_zeros),
        timing,
    )
    print(report)  # noqa: T201 - printing is the purpose of stat
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
    """Return the table of a finished trace.

    Raises:
        TraceError: Under `strict`, if an op has no rule.
    """
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
