"""Which of a model's parameters are the weights of which layer."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import numpy.typing as npt

from bopscount._core import BIT_SOURCES, KINDS, OP_TABLE
from bopscount.layer_table import LayerTable

FULL_PRECISION = 32
"""Bits of a float operand in every rule about bit widths, whatever its dtype."""
MAC_KINDS = np.array([bool(row["macs"]) for row in OP_TABLE])
"""Whether the kind of that index has MACs."""
FLOATING = BIT_SOURCES["floating"]
_MAX_LOW_BITS = 16


def operand_bits(table: LayerTable, operand: str) -> npt.NDArray[np.int64]:
    """Bits of "weight" or "input" of every record, `FULL_PRECISION` for floats."""
    records = table.records
    bits = records[f"{operand}_bits"].astype(np.int64)
    return np.where(records[f"{operand}_bits_source"] == FLOATING, FULL_PRECISION, bits)


def is_low_bit(table: LayerTable) -> npt.NDArray[np.bool_]:
    """Whether both operands of a record are quantised, to 16 bits or fewer (csrc/layer.hpp)."""
    low = np.ones(len(table), bool)
    for operand in ("weight", "input"):
        low &= table.records[f"{operand}_bits_source"] != FLOATING
        low &= table.records[f"{operand}_bits"] <= _MAX_LOW_BITS
    return low


def stored_weights(table: LayerTable) -> npt.NDArray[np.int64]:
    """How many parameters each record reads as its weight and is the first to read.

    Parameters stand on modules, weights on the ops that they run. A record takes its
    weight's elements from its module's parameters as long as they suffice, so that a
    weight used twice is stored once. The second operand of attention, or of a matrix
    product that another op has computed, is no parameter.

    Returns:
        Elements per record; what is left of a module's parameters is no weight (biases,
        norms, scales).

    Example: a convolution 64 -> 64, 3x3, called at two sizes has two records; the first
    gets 36,864, the second 0.
    """
    records = table.records
    nodes = np.array([owner.node for owner in table.owners], np.int64)[records["owner"]].tolist()
    left: defaultdict[int, int] = defaultdict(int)
    for node, params in zip(nodes, records["logical_params"].tolist(), strict=True):
        left[node] += params
    weights = np.zeros(len(records), np.int64)
    elements = records["weight_elements"].tolist()
    for index in np.flatnonzero(MAC_KINDS[records["kind"]] & (records["weight_elements"] > 0)):
        node, size = nodes[index], elements[index]
        if size <= left[node] and not _second_operand_is_computed(table, int(index)):
            weights[index] = size
            left[node] -= size
    return weights


def _second_operand_is_computed(table: LayerTable, index: int) -> bool:
    kind = table.records["kind"][index]
    if kind == KINDS["attention"]:
        return True
    if kind != KINDS["matmul"] or len(table.producer_starts) <= index + 1:
        return False
    start, end = table.producer_starts[index : index + 2]
    return bool(end > start + 1 and table.producers[start + 1] >= 0)
