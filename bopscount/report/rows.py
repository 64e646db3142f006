"""Rows of a report."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from bopscount.records.totals import Totals, costs_in_words


@dataclass(frozen=True, slots=True, repr=False)
class Row(Totals):
    """Row of the layer table, with its costs.

    Attributes:
        module_path: Path of the module, with a parenthesised role if the row is a part of an
            inner module.
        kind: Op kind; "composite" for several kinds, "module" for an inner module.
        input_shape: Input shape of the first call, without the batch dimension; (0, 0, 0) if
            never called.
        output_shape: Output shape of the last call, likewise.
        calls: Number of calls of the module (or the op).
        weight_bits: Stored bits per weight of the row's MAC op; None without a MAC op.
        input_bits: Stored bits per input element of that op, likewise.
        duration: Seconds per forward pass; None if not timed.
        node: Index of the row's module in `Report.nodes`.
        param_bits: Memory of the row's parameters in bits, each at its true width; a weight
            belongs to the row that reads it.
        weight_bits_source: Source of weight_bits: "floating" (its dtype: full precision),
            "user", "adapter", "producer", "dtype" or "measured"; None without a MAC op.
        input_bits_source: Source of input_bits, likewise.
    """

    module_path: str = ""
    kind: str = ""
    input_shape: tuple[int, ...] = (0, 0, 0)
    output_shape: tuple[int, ...] = (0, 0, 0)
    calls: int = 0
    weight_bits: int | None = None
    input_bits: int | None = None
    duration: float | None = None
    node: int = 0
    param_bits: int = 0
    weight_bits_source: str | None = None
    input_bits_source: str | None = None

    def __repr__(self) -> str:
        return f"<Row {self.module_path!r}, {self.kind}: {costs_in_words(self)}>"


def group_rows(
    rows: Iterable[Row], key: Callable[[Row], Any], merge: Callable[..., Any]
) -> list[Any]:
    """Return merge(key, rows) for the rows of each key, in order of first appearance."""
    groups: dict[Any, list[Row]] = {}
    for row in rows:
        groups.setdefault(key(row), []).append(row)
    return [merge(name, members) for name, members in groups.items()]


def sum_durations(rows: list[Row]) -> float | None:
    """Return the total seconds of the timed rows; None if no row was timed."""
    durations = [row.duration for row in rows if row.duration is not None]
    return sum(durations) if durations else None
