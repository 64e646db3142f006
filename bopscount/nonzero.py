"""What zero weights save: MACs and weight memory of the other weights only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from bopscount import _core
from bopscount.errors import InputError
from bopscount.layer_table import LEAF, LayerTable, name_layer
from bopscount.totals import METRIC_NAMES

if TYPE_CHECKING:
    from torch import Tensor, nn

_KINDS = [_core.KINDS[name] for name in ("conv", "conv_transpose", "linear")]
_AT = {name: index for index, name in enumerate(METRIC_NAMES)}
_BYTE = 8


def prunable(table: LayerTable) -> npt.NDArray[np.bool_]:
    """Records each of whose weights is used equally often, so that a zero saves its share."""
    return np.isin(table.records["kind"], _KINDS) & (table.records["weight_elements"] > 0)


def zeros_were_looked_for(table: LayerTable) -> bool:
    """Whether the table knows its non-zero weights, or has no weights to know them of."""
    known = table.records["nonzero_weights"] >= 0
    return bool(known.any()) or not prunable(table).any()


def check_zeros_known(table: LayerTable) -> None:
    """InputError unless somebody looked."""
    if not zeros_were_looked_for(table):
        raise InputError(
            "discount_zeros needs a table that knows its non-zero weights: "
            "trace(model, ..., discount_zeros=True), or fill records['nonzero_weights']"
        )


def nonzero_macs(table: LayerTable, macs: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
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


def discounted_costs(table: LayerTable, rules: str) -> list[tuple[int, ...]]:
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


def look_for_zeros(model: nn.Module, table: LayerTable) -> None:
    """Fills `nonzero_weights` of the table's convolutions and linear layers.

    The weights are read and never written. One-bit weights are two levels, neither of
    them zero. What a layer of other code computes from its parameter before it uses it
    is not seen: its parameter is looked at instead, and the table says so. A layer
    whose weights cannot be found counts as dense, and the table says that too.

    Raises:
        InputError: If the weights have no values, being on the meta device.
    """
    records = table.records
    dense, stand_ins = [], []
    for index in np.flatnonzero(prunable(table)):
        size = int(records["weight_elements"][index])
        owner = table.owners[records["owner"][index]]
        path = table.owner_path(int(records["owner"][index]))
        if records["weight_bits_source"][index] and records["weight_bits"][index] == 1:
            records["nonzero_weights"][index] = size
            continue
        module = model.get_submodule(table.nodes[owner.node].path)
        weight, as_used = _weight_of(module) if owner.role == LEAF else (None, False)
        if weight is not None and weight.is_meta:
            raise InputError(
                f"discount_zeros needs weights with values, but those of {path or 'the model'} "
                "are on the meta device; give a model that holds its weights"
            )
        if weight is None or weight.numel() != size:
            records["nonzero_weights"][index] = size
            dense.append(path)
            continue
        records["nonzero_weights"][index] = int(weight.detach().count_nonzero())
        quantised = bool(records["weight_bits_source"][index])
        own_code = not type(module).__module__.startswith("torch.nn.modules.")
        if not as_used and (quantised or own_code):
            stand_ins.append(path)
    if dense:
        table.assumptions.append(
            f"Zero weights of {_listed(dense)} could not be looked for; they count as dense."
        )
    if stand_ins:
        table.assumptions.append(
            f"Zero weights of {_listed(stand_ins)} were looked for in the stored parameter, "
            "not in what its forward makes of it."
        )


_MAX_LISTED = 8


def _listed(paths: list[str]) -> str:
    unique = list(dict.fromkeys(path or "the model" for path in paths))
    more = len(unique) - _MAX_LISTED
    return ", ".join(unique[:_MAX_LISTED]) + (f" and {more} more" if more > 0 else "")


def _weight_of(module: nn.Module) -> tuple[Tensor | None, bool]:
    """The weight, and whether these are its values after quantisation."""
    import torch

    quant_weight = getattr(module, "quant_weight", None)  # brevitas: as its forward uses it
    if callable(quant_weight):
        with torch.no_grad():
            values = quant_weight()
        values = getattr(values, "value", values)
        return (values, True) if isinstance(values, torch.Tensor) else (None, False)
    weight = getattr(module, "weight", getattr(module, "weights", None))
    if callable(weight) and not isinstance(weight, torch.Tensor):
        weight = weight()  # torch.ao's converted layers have a method
    if not isinstance(weight, torch.Tensor):
        return None, False
    if weight.is_quantized or type(weight) not in (torch.Tensor, torch.nn.Parameter):
        dequantize = getattr(weight, "dequantize", None)
        return (dequantize(), True) if dequantize is not None else (None, False)
    return weight, False
