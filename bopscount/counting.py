"""Public function that takes recorded layers: `count`."""

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
    """Count recorded layers; needs no torch.

    Args:
        layers: Layer table from `trace`, or a record array of `LAYER_DTYPE`, which gives one
            row per value of `owner`.
        rules: "torchstat", the predecessor's table, or "full", every op.
        query_granularity: Height of the modules that get a row; 1 shows the leaves.
        durations: Seconds per node, from a timed run.
        columns: Headers of the printed table in any order, "W bits", "A bits", "W bits source"
            and "A bits source" among them; "default" stands for the default columns, "bits"
            for those four.
        convention: Name of a published convention whose total is printed below the table; see
            `bopscount.CONVENTIONS`.
        discount_zeros: Count no MACs and no memory for zero weights of convolutions and linear
            layers; needs a table traced with discount_zeros=True.

    Returns:
        Report with rows and totals; `str()` of it is the table.

    Raises:
        InputError: If an argument is invalid.
        OverflowError: If a cost of one layer exceeds 2**63 - 1.
    """
    options = ReportOptions(rules, query_granularity, columns, convention, discount_zeros)
    return count_records(as_layer_table(layers), options, durations)
