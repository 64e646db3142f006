"""Rows of a report."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from bopscount.records.totals import Totals, costs_in_words


@dataclass(frozen=True, slots=True, repr=False)
class Row(Totals):
    """One row of the table.

    Attributes:
        module_path: Path of the module, with a parenthesised role where the row is a
            part of an inner module.
        kind: Op kind; "composite" for several in one row, "module" for an inner node.
        input_shape: Of the first call, without the batch; (0, 0, 0) if never called.
        output_shape: Of the last call, likewise.
        calls: How often the module (or the op) ran.
        weight_bits: Stored bits of a weight of the row's MAC op, None without one.
        input_bits: Stored bits of an element of its input, likewise.
        duration: Seconds of a forward pass, None where not timed.
        node: Index of the row's module in `Report.nodes`.
        param_bits: Bits that the row's parameters take, each at its true width; a weight
            stands on the row that reads it.
        weight_bits_source: Where the weight's width comes from: "floating" (its dtype: full
            precision), "user", "adapter", "producer", "dtype" or "measured"; None without one.
        input_bits_source: The same of the input's.
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
    """Return the seconds of all rows that were timed, None if none was."""
    durations = [row.duration for row in rows if row.duration is not None]
    return sum(durations) if durations else None
