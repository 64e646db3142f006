"""Costs as exact Python integers."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import Any

from bopscount._core import METRICS

METRIC_NAMES: tuple[str, ...] = METRICS
"""Metric names, in the order of every cost array and tuple of the core."""


@dataclass(frozen=True, slots=True, repr=False)
class Totals:
    """Exact costs, batch and repeated calls included.

    Example: the first convolution of ResNet-18 (3x224x224 -> 64x112x112, 7x7, no
    bias) has 118,013,952 macs and flops, 235,225,088 madd, no bops.
    """

    params: int = 0
    """Registered parameters, each counted on its first owner."""
    logical_params: int = 0
    """Parameters by logical shape, packed weights included."""
    macs: int = 0
    """Multiply-accumulates of convolution, linear, matmul, attention and recurrent ops."""
    flops: int = 0
    """Float operations; a multiply-accumulate is one."""
    madd: int = 0
    """Float multiplications plus additions."""
    bops: int = 0
    """Binary and bit operations: macs x weight bits x input bits of low-bit layers."""
    ops_x64: int = 0
    """64 x full-precision macs + bops of the MAC layers."""
    memory_bytes: int = 0
    """4 x output elements, the memory(MB) column."""
    mem_read: int = 0
    """Bytes read."""
    mem_write: int = 0
    """Bytes written."""

    @property
    def ops(self) -> float:
        """Full-precision macs + bops / 64 (64 bit operations per instruction)."""
        return self.ops_x64 / 64

    @property
    def mem_read_write(self) -> int:
        """Bytes read and written."""
        return self.mem_read + self.mem_write

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {costs_in_words(self)}>"

    def costs(self) -> tuple[int, ...]:
        """Return the values in the order of `METRIC_NAMES`."""
        return tuple(getattr(self, name) for name in METRIC_NAMES)


assert tuple(field.name for field in fields(Totals)) == METRICS, "Totals must have METRICS in order"


def costs_in_words(totals: Totals) -> str:
    """Return params, MACs, Flops and Bops in one line."""
    return (
        f"{totals.params:,} params, {totals.macs:,} MACs, {totals.flops:,} Flops, "
        f"{totals.bops:,} Bops"
    )


def named_costs(values: Iterable[int]) -> dict[str, Any]:
    """Return the core's values as keyword arguments of `Totals` and `Row`."""
    return dict(zip(METRIC_NAMES, values, strict=True))


def sum_costs(items: Iterable[Totals]) -> dict[str, Any]:
    """Return the sum of each metric, as keyword arguments."""
    columns = list(zip(*(item.costs() for item in items), strict=True))
    return named_costs(map(sum, columns)) if columns else {}
