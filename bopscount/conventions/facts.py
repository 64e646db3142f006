"""What the conventions are computed from: a layer table as columns, exact sums."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

import bopscount._core as _core
from bopscount.records.kinds import MAC_KINDS
from bopscount.records.parameters import is_low_bit, operand_bits, stored_weights
from bopscount.records.table import LEAF, Records, name_layer

Mask = npt.NDArray[np.bool_]
Integers = npt.NDArray[np.int64]
_LOW_HALF = np.int64(2**32 - 1)


def exact_sum(values: Integers, mask: Mask | None = None) -> int:
    """The sum as a Python integer; values of 0 to 2**63 - 1, at most 2**31 of them."""
    chosen = values if mask is None else values[mask]
    return (int((chosen >> 32).sum()) << 32) + int((chosen & _LOW_HALF).sum())


class Facts:
    """Columns of a table, one entry a record, each computed when first asked for.

    Attributes:
        table: The layers.
        macs: MACs, all calls included; 0 for ops that have none.
        weight_bits: 32 for full precision of any float dtype.
        input_bits: Likewise.
        low_bit: Both operands quantised, to 16 bits or fewer.
        binary: Both operands of one bit.
    """

    def __init__(self, table: Records) -> None:
        self.table = table
        self._costs: npt.NDArray[Any] = name_layer(_core.count_layers, table, table.records, "full")
        self.macs: Integers = self._cost("macs")
        self.weight_bits = operand_bits(table, "weight")
        self.input_bits = operand_bits(table, "input")
        self.low_bit: Mask = is_low_bit(table) & MAC_KINDS[table.records["kind"]]
        self.binary: Mask = self.low_bit & (self.weight_bits == 1) & (self.input_bits == 1)

    def _cost(self, metric: str) -> Integers:
        values: Integers = self._costs[metric].astype(np.int64)
        return values

    def column(self, name: str) -> Integers:
        """A field of the records as 64-bit integers."""
        values: Integers = self.table.records[name].astype(np.int64)
        return values

    def of_kind(self, *kinds: str) -> Mask:
        """Records of these op kinds."""
        return np.isin(self.table.records["kind"], [_core.KINDS[kind] for kind in kinds])

    @cached_property
    def layers(self) -> Mask:
        """Convolutions and linear layers: MAC ops that hold a weight."""
        return self.of_kind("conv", "conv_transpose", "linear")

    @cached_property
    def fan_in(self) -> Integers:
        """Products that each output of a convolution, linear layer or product sums up."""
        kernel = self.table.records["kernel"].astype(np.int64).prod(axis=1)
        fan_in: Integers = self.column("in_channels") // self.column("groups") * kernel
        return fan_in

    @cached_property
    def outputs(self) -> Integers:
        """Output elements of all calls."""
        return self._cost("memory_bytes") // 4

    @cached_property
    def flops(self) -> Integers:
        """Flops by the complete rules."""
        return self._cost("flops")

    @cached_property
    def weights(self) -> Integers:
        """Parameters that a record reads as its weight, each counted once."""
        return stored_weights(self.table)

    @cached_property
    def nonzero_macs(self) -> Integers:
        """MACs without those of weights that are known to be zero.

        Example: 36,864 MACs of 576 weights, of which 144 are not zero: 64 x 144 = 9,216.
        """
        costs: npt.NDArray[Any] = name_layer(
            _core.count_layers, self.table, self.table.records, "full", discount_zeros=True
        )
        return costs["macs"].astype(np.int64)

    @cached_property
    def parameters(self) -> int:
        """Parameters by logical shape, of the whole model."""
        return exact_sum(self.column("logical_params"))

    @cached_property
    def batch_norms(self) -> list[tuple[int, bool]]:
        """Channels and affinity of each batch norm module that ran."""
        records, norms = self.table.records, {}
        for index in np.flatnonzero(self.of_kind("batch_norm")):
            owner = int(records["owner"][index])
            if self.table.owners[owner].role == LEAF:
                affine = bool(records["weight_elements"][index])
                norms[owner] = (int(records["in_channels"][index]), affine)
        return list(norms.values())

    def by_bits(
        self, macs: Integers, mask: Mask, input_bits: Integers | None = None
    ) -> dict[tuple[int, int], int]:
        """Sums of `macs` by (weight bits, input bits) over the records of `mask`."""
        weights, inputs = self.weight_bits, self.input_bits if input_bits is None else input_bits
        return {
            (w, a): exact_sum(macs, mask & (weights == w) & (inputs == a))
            for w, a in sorted(set(zip(weights[mask].tolist(), inputs[mask].tolist(), strict=True)))
        }

    def products(self, macs: Integers, mask: Mask, input_bits: Integers | None = None) -> int:
        """Sum of macs x weight bits x input bits over the records of `mask`."""
        return sum(w * a * n for (w, a), n in self.by_bits(macs, mask, input_bits).items())

    @cached_property
    def reads_network_input(self) -> Mask:
        """MAC ops on the network's input, as it is or merely moved (padding, views).

        A table without producers knows only its first MAC op to be one.
        """
        table, mask = self.table, np.zeros(len(self.table), bool)
        products = np.flatnonzero(MAC_KINDS[table.records["kind"]])
        if len(table.producer_starts) != len(table) + 1:
            mask[products[:1]] = True
            return mask
        moves = self.of_kind("move", "identity", "dropout").tolist()
        for index in products.tolist():
            maker = index
            while True:
                start, end = table.producer_starts[maker : maker + 2]
                maker = int(table.producers[start]) if end > start else -1
                if maker < 0 or not moves[maker]:
                    break
            mask[index] = maker < 0
        return mask
