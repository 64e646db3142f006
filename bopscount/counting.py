"""The call that takes recorded layers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bopscount.layer_table import LayerTable, as_layer_table
from bopscount.report import Report
from bopscount.report.counting import count_records
from bopscount.report.options import ReportOptions


def count(
    layers: LayerTable | Any,
    *,
    rules: str = "torchstat",
    query_granularity: int = 1,
    durations: list[float | None] | None = None,
    columns: str | Sequence[str] = "default",
    convention: str | None = None,
    discount_zeros: bool = False,
) -> Report:
    """Count recorded layers.

    Args:
        layers: What `trace` returned, or a bare record array of `LAYER_DTYPE` (no torch
            is needed for that), one row per value of `owner`.
        rules: "torchstat", the predecessor's table, or "full", everything.
        query_granularity: Height of the modules that get a row; 1 shows the leaves.
        durations: Seconds per node, from a timed run.
        columns: What the printed table shows: its headers in any order, "W bits",
            "A bits", "W bits source" and "A bits source" among them; "default" stands
            for the usual columns, "bits" for those four.
        convention: Name of a published convention, whose total then stands under the
            table; see `bopscount.CONVENTIONS`.
        discount_zeros: Zero weights of convolutions and linear layers cost no MACs and
            no memory; for a table that was traced with discount_zeros=True.

    Raises:
        InputError: For an argument that cannot be used.
        OverflowError: If a cost of one layer is over 2**63 - 1.
    """
    options = ReportOptions(rules, query_granularity, columns, convention, discount_zeros)
    return count_records(as_layer_table(layers), options, durations)
