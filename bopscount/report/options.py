"""Options of a report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from bopscount.conventions import check_convention
from bopscount.errors import InputError
from bopscount.records.rule_sets import check_rules
from bopscount.report.columns import check_columns


@dataclass(frozen=True, slots=True)
class ReportOptions:
    """Validated arguments of `count` on how layers are counted and shown.

    Attributes:
        rules: "torchstat" or "full".
        query_granularity: Height of the modules that get a row; 1 shows the leaves.
        columns: Headers of the printed table, or the names of sets of them.
        convention: Name of a published convention whose total is printed too.
        discount_zeros: Whether zero weights cost no MACs and no memory.

    Raises:
        InputError: If a value is invalid.
    """

    rules: str = "torchstat"
    query_granularity: int = 1
    columns: str | Sequence[str] = "default"
    convention: str | None = None
    discount_zeros: bool = False

    def __post_init__(self) -> None:
        check_rules(self.rules)
        _check_granularity(self.query_granularity)
        object.__setattr__(self, "columns", check_columns(self.columns))
        if self.convention is not None:
            check_convention(self.convention)


def _check_granularity(value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise InputError(f"query_granularity must be a positive integer, got {value!r}")
