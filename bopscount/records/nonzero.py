"""Prunable layers and their non-zero weights."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

import bopscount._core as _core
from bopscount.errors import InputError

_PRUNABLE = [_core.KINDS[row["name"]] for row in _core.OP_TABLE if row["weights"] == "product"]


class HasRecords(Protocol):
    """Table of layers; a protocol, as this module lies below `records.table`."""

    records: npt.NDArray[Any]


def prunable(table: HasRecords) -> npt.NDArray[np.bool_]:
    """Return a mask of the records that use every weight equally often.

    A zero among such weights saves its share of the MACs and its memory.
    """
    return np.isin(table.records["kind"], _PRUNABLE) & (table.records["weight_elements"] > 0)


def zeros_were_looked_for(table: HasRecords) -> bool:
    """Return whether non-zero weights are known, or no layer is prunable."""
    known = table.records["nonzero_weights"] >= 0
    return bool(known.any()) or not prunable(table).any()


def check_zeros_known(table: HasRecords) -> None:
    """Raise InputError unless the table knows its non-zero weights."""
    if not zeros_were_looked_for(table):
        raise InputError(
            "discount_zeros needs a table that knows its non-zero weights: "
            "trace(model, ..., discount_zeros=True), or fill records['nonzero_weights']"
        )
