"""The C++ core. Costs are exact: a cost that does not fit raises, nothing wraps."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

LAYER_DTYPE: Final[np.dtype[np.void]]
COST_DTYPE: Final[np.dtype[np.void]]
METRICS: Final[tuple[str, ...]]
KINDS: Final[dict[str, int]]
BIT_SOURCES: Final[dict[str, int]]
LAYER_FLAGS: Final[dict[str, int]]
OP_TABLE: Final[tuple[dict[str, str], ...]]
build_type: Final[str]

def new_layers(n_layers: int) -> NDArray[np.void]:
    """An array of n_layers records of LAYER_DTYPE, every field at its default."""

def count_layers(
    layers: NDArray[np.void], rules: str = "torchstat", out: NDArray[np.void] | None = None
) -> NDArray[np.void]:
    """Costs of every record, as an array of COST_DTYPE (into `out` if given)."""

def count_totals(layers: NDArray[np.void], rules: str = "torchstat") -> tuple[int, ...]:
    """Exact sums over all records, one int per metric in the order of METRICS."""

def count_groups(
    layers: NDArray[np.void], groups: NDArray[np.int32], n_groups: int, rules: str = "torchstat"
) -> list[tuple[int, ...]]:
    """Exact sums by group: record i belongs to groups[i] (int32), or to none at -1."""

def empty_call() -> None:
    """Does nothing; what a call into the core costs."""
