"""What zero weights save: MACs and weight memory of the other weights only."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

import bopscount._core as _core
from bopscount.errors import InputError
from bopscount.records.table import Records, name_layer
from bopscount.records.totals import METRIC_NAMES

_KINDS = [_core.KINDS[name] for name in ("conv", "conv_transpose", "linear")]
_AT = {name: index for index, name in enumerate(METRIC_NAMES)}
_BYTE = 8


def prunable(table: Records) -> npt.NDArray[np.bool_]:
    """Records each of whose weights is used equally often, so that a zero saves its share."""
    return np.isin(table.records["kind"], _KINDS) & (table.records["weight_elements"] > 0)


def zeros_were_looked_for(table: Records) -> bool:
    """Whether the table knows its non-zero weights, or has no weights to know them of."""
    known = table.records["nonzero_weights"] >= 0
    return bool(known.any()) or not prunable(table).any()


def check_zeros_known(table: Records) -> None:
    """InputError unless somebody looked."""
    if not zeros_were_looked_for(table):
        raise InputError(
            "discount_zeros needs a table that knows its non-zero weights: "
            "trace(model, ..., discount_zeros=True), or fill records['nonzero_weights']"
        )


def nonzero_macs(table: Records, macs: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """MACs per record with those of zero weights left out; the others as they are.

    A weight of a convolution or linear layer is used at every position, so of MACs =
    positions x weights the non-zero share is exact, whatever the groups.

    Raises:
        InputError: If a record has more non-zero weights than weights.

    Example: 36,864 MACs of 576 weights, of which 144 are not zero: 64 x 144 = 9,216.
    """
    result: npt.NDArray[np.int64] = macs.copy()
    nonzero, elements = table.records["nonzero_weights"], table.records["weight_elements"]
    for index in np.flatnonzero(prunable(table) & (nonzero >= 0)):
        left, size = int(nonzero[index]), int(elements[index])
        if left > size:
            owner = table.owner_path(int(table.records["owner"][index]))
            raise InputError(
                f"nonzero_weights of {owner} must be at most its weight_elements ({size}), "
                f"got {left}"
            )
        result[index] = int(macs[index]) * left // size
    return result


def discounted_costs(table: Records, rules: str) -> list[tuple[int, ...]]:
    """Costs of every record, in the order of `METRIC_NAMES`, without the zero weights.

    Of a layer's Flops, MAdd, Bops and OPs, what comes from MACs goes with them; of its
    bytes read, the weights; parameters, biases and everything written stay. A formula
    never costs less than nothing, here too.
    """
    costs = name_layer(_core.count_layers, table, table.records, rules)
    rows = list(map(list, zip(*(costs[name].tolist() for name in METRIC_NAMES), strict=True)))
    macs = nonzero_macs(table, costs["macs"].astype(np.int64))
    known = prunable(table) & (table.records["nonzero_weights"] >= 0)
    for index in np.flatnonzero(known & (table.records["calls"] > 0)):
        _discount(rows[index], table.records[index], int(macs[index]), rules)
    return [tuple(row) for row in rows]


def _discount(costs: list[int], record: Any, macs: int, rules: str) -> None:
    saved = costs[_AT["macs"]] - macs
    costs[_AT["macs"]] = macs
    if costs[_AT["bops"]]:
        product = int(record["weight_bits"]) * int(record["input_bits"])
        costs[_AT["bops"]] -= saved * product
        costs[_AT["ops_x64"]] -= saved * product
    else:
        costs[_AT["ops_x64"]] -= 64 * saved
        costs[_AT["flops"]] = max(0, costs[_AT["flops"]] - saved)
        costs[_AT["madd"]] = max(0, costs[_AT["madd"]] - 2 * saved)
    if costs[_AT["mem_read"]]:
        zeros = int(record["weight_elements"]) - int(record["nonzero_weights"])
        costs[_AT["mem_read"]] -= int(record["calls"]) * _unread_bytes(record, zeros, rules)


def _unread_bytes(record: Any, zeros: int, rules: str) -> int:
    """Bytes of a call that zero weights save: the whole bytes that it rounds up to."""
    low_bit = record["weight_bits_source"] and record["input_bits_source"]
    low_bit = low_bit and max(record["weight_bits"], record["input_bits"]) <= 2 * _BYTE
    row = _core.OP_TABLE[record["kind"]]
    if rules == "torchstat" and row["torchstat_read"] and not low_bit:
        return zeros * int(record["input_item_bytes"])
    size = {name: int(record[name]) for name in record.dtype.names if record[name].ndim == 0}
    inputs = size["batch"] * size["in_channels"] * size["in_positions"] + size["extra_elements"]
    bits = (
        inputs * size["input_bits"]
        + size["weight_elements"] * size["weight_bits"]
        + size["bias_elements"] * size["weight_item_bytes"] * _BYTE
    )
    without = bits - zeros * size["weight_bits"]
    return -(-bits // _BYTE) - -(-without // _BYTE)
