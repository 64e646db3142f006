"""Assignment of a model's parameters to the weights of its layers."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bopscount._core import BIT_SOURCES, KINDS
from bopscount.records.kinds import MAC_KINDS
from bopscount.records.nonzero import prunable
from bopscount.records.table import Records
from bopscount.records.widths import FULL_PRECISION, MAX_LOW_BITS

FLOATING = BIT_SOURCES["floating"]
_PRODUCTS = (KINDS["matmul"], KINDS["attention"])
_BYTE = 8
Integers = npt.NDArray[np.int64]


def operand_bits(table: Records, operand: str) -> Integers:
    """Return every record's "weight" or "input" bit width, `FULL_PRECISION` for floats."""
    records = table.records
    bits = records[f"{operand}_bits"].astype(np.int64)
    return np.where(records[f"{operand}_bits_source"] == FLOATING, FULL_PRECISION, bits)


def is_low_bit(table: Records) -> npt.NDArray[np.bool_]:
    """Return a mask of the records with both operands quantised to `MAX_LOW_BITS` or fewer."""
    low = np.ones(len(table), bool)
    for operand in ("weight", "input"):
        low &= table.records[f"{operand}_bits_source"] != FLOATING
        low &= table.records[f"{operand}_bits"] <= MAX_LOW_BITS
    return low


def low_bit_widths(weight_bits: int, input_bits: int) -> bool:
    """Return whether both widths are `MAX_LOW_BITS` or fewer, floats being `FULL_PRECISION`."""
    return max(weight_bits, input_bits) <= MAX_LOW_BITS


def stored_weights(table: Records) -> Integers:
    """Count the parameters that each record is the first to read as its weight.

    Parameters belong to modules, weights to the ops that modules run. A record takes its
    weight's elements from its module's parameters as long as they suffice, so that a
    weight used twice is stored once. The second operand of attention is no parameter, nor
    is that of a matrix product if another op has computed it.

    Returns:
        Elements per record. The rest of a module's parameters are not weights (biases,
        norms, scales).

    Example: a convolution 64 -> 64, 3x3, called at two sizes has two records; the first
    gets 36,864, the second 0.
    """
    weights, _ = _split_parameters(table)
    return np.array(weights, np.int64)


def _split_parameters(table: Records) -> tuple[list[int], list[int]]:
    """Return, per record, the parameters of its weight and its module's other ones."""
    records = table.records
    nodes = _nodes(table)
    others = records["logical_params"].tolist()
    left: defaultdict[int, int] = defaultdict(int)
    for node, params in zip(nodes, others, strict=True):
        if params:
            left[node] += params
    weights = [0] * len(nodes)
    elements = records["weight_elements"].tolist()
    read: defaultdict[int, int] = defaultdict(int)
    channels = records["out_channels"].tolist()
    looks_up = _looks_up(records)
    for index in np.flatnonzero(MAC_KINDS[records["kind"]] | looks_up).tolist():
        node, size = nodes[index], elements[index]
        if looks_up[index]:
            # The record counts only the rows that were read; the whole table is stored.
            size = left[node] // channels[index] * channels[index]
        if 0 < size <= left[node] and not _second_operand_is_computed(table, index):
            weights[index] = size
            left[node] -= size
            read[node] += size
    # Parameters are recorded on a module's first record, weights on any of its records.
    for index, params in enumerate(others):
        if params and read[nodes[index]]:
            taken = min(params, read[nodes[index]])
            read[nodes[index]] -= taken
            others[index] -= taken
    return weights, others


def _looks_up(records: npt.NDArray[np.void]) -> npt.NDArray[np.bool_]:
    """Return a mask of the records that look up rows of a quantised table."""
    look_ups = records["kind"] == KINDS["embedding"]
    quantised = records["weight_bits_source"] != FLOATING
    found: npt.NDArray[np.bool_] = look_ups & quantised & (records["out_channels"] > 0)
    return found


def _nodes(table: Records) -> list[int]:
    """Return the node index of every record's module."""
    nodes = [owner.node for owner in table.owners]
    return [nodes[owner] for owner in table.records["owner"].tolist()]


@dataclass(frozen=True, slots=True)
class StoredParameters:
    """Parameters of a model, by record.

    Attributes:
        weights: Elements of the record's weight, each counted once.
        kept: Weight elements that cost memory: all, or the non-zero ones.
        weight_bits: Bits per weight element.
        others: Other parameters of the record's module: biases, norms, scales.
        other_bits: Bits per element of `others`.
    """

    weights: Integers
    kept: Integers
    weight_bits: Integers
    others: Integers
    other_bits: Integers

    @property
    def memory_bits(self) -> Integers:
        """Memory of each record's parameters, in bits."""
        return self.kept * self.weight_bits + self.others * self.other_bits


def stored_parameters(table: Records, discount_zeros: bool = False) -> StoredParameters:
    """Return all parameters at their stored widths, optionally without zero weights."""
    records = table.records
    own, others = _split_parameters(table)
    weights = kept = np.array(own, np.int64)
    if discount_zeros:
        nonzero = records["nonzero_weights"]
        kept = np.where(prunable(table) & (nonzero >= 0) & (weights > 0), nonzero, weights)
    # Modules that pack their weights into bytes keep biases and scales in floats.
    item_bits = _BYTE * records["weight_item_bytes"].astype(np.int64)
    return StoredParameters(
        weights=weights,
        kept=kept,
        weight_bits=records["weight_bits"].astype(np.int64),
        others=np.array(others, np.int64),
        other_bits=np.where(item_bits > _BYTE, item_bits, FULL_PRECISION),
    )


def activation_elements(table: Records) -> tuple[list[int], list[int]]:
    """Count the elements of MAC operands that are not parameters, over all calls.

    Returns:
        Elements per record at the input's bit width, and at the weight's bit width. The
        latter are the second operand of attention, or of a matrix product if that operand
        is not a parameter.

    Example: 4,096 and 0 for a convolution called twice on 8 channels of 16x16 positions.
    """
    records, weights = table.records, stored_weights(table)
    first, second = [0] * len(table), [0] * len(table)
    for index in np.flatnonzero(MAC_KINDS[records["kind"]]).tolist():
        record = records[index]
        size = {
            name: int(record[name])
            for name in ("calls", "batch", "in_channels", "in_positions", "extra_elements",
                         "weight_elements")
        }  # fmt: skip
        elements = size["batch"] * size["in_channels"] * size["in_positions"]
        first[index] = size["calls"] * (elements + size["extra_elements"])
        if record["kind"] in _PRODUCTS and not weights[index]:
            second[index] = size["calls"] * size["weight_elements"]
    return first, second


def _second_operand_is_computed(table: Records, index: int) -> bool:
    kind = table.records["kind"][index]
    if kind == KINDS["attention"]:
        return True
    if kind != KINDS["matmul"] or len(table.producer_starts) <= index + 1:
        return False
    start, end = table.producer_starts[index : index + 2]
    return bool(end > start + 1 and table.producers[start + 1] >= 0)
