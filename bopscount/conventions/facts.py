"""Input of the convention rules: columns of a layer table, and exact sums of them."""

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
    """Return the sum as a Python integer, for up to 2**31 values from 0 to 2**63 - 1."""
    chosen = values if mask is None else values[mask]
    return (int((chosen >> 32).sum()) << 32) + int((chosen & _LOW_HALF).sum())


class Facts:
    """Columns of a table with one entry per record, most of them computed on first access.

    Attributes:
        table: Recorded layers.
        macs: MACs of all calls; 0 for ops without MACs.
        weight_bits: Bits per weight; 32 for full precision of any float dtype.
        input_bits: Bits per input element, likewise.
        low_bit: Mask of MAC ops with both operands quantised, to 16 bits or fewer.
        binary: Mask of MAC ops with two one-bit operands.
    """

    def __init__(self, table: Records) -> None:
        self.table = table
        self._costs: npt.NDArray[Any] = name_layer(_core.layer_costs, table, table.records, "full")
        self.macs: Integers = self._cost("macs")
        self.weight_bits = operand_bits(table, "weight")
        self.input_bits = operand_bits(table, "input")
        self.low_bit: Mask = is_low_bit(table) & MAC_KINDS[table.records["kind"]]
        self.binary: Mask = self.low_bit & (self.weight_bits == 1) & (self.input_bits == 1)

    def _cost(self, metric: str) -> Integers:
        values: Integers = self._costs[metric].astype(np.int64)
        return values

    def column(self, name: str) -> Integers:
        """Return a field of the records as 64-bit integers."""
        values: Integers = self.table.records[name].astype(np.int64)
        return values

    def of_kind(self, *kinds: str) -> Mask:
        """Return the mask of the records of these op kinds."""
        return np.isin(self.table.records["kind"], [_core.KINDS[kind] for kind in kinds])

    @cached_property
    def layers(self) -> Mask:
        """Mask of convolutions and linear layers, the MAC ops with a weight."""
        return self.of_kind("conv", "conv_transpose", "linear")

    @cached_property
    def fan_in(self) -> Integers:
        """Number of products summed per output of a convolution, linear layer or matrix product."""
        kernel = self.table.records["kernel"].astype(np.int64).prod(axis=1)
        fan_in: Integers = self.column("in_channels") // self.column("groups") * kernel
        return fan_in

    @cached_property
    def outputs(self) -> Integers:
        """Output elements of all calls."""
        return self._cost("memory_bytes") // 4

    @cached_property
    def flops(self) -> Integers:
        """Flops under the "full" rules."""
        return self._cost("flops")

    @cached_property
    def weights(self) -> Integers:
        """Number of weight parameters per record; a shared parameter is counted once."""
        return stored_weights(self.table)

    @cached_property
    def nonzero_macs(self) -> Integers:
        """MACs without those of known zero weights.

        Example: 36,864 MACs with 576 weights, 144 of them nonzero: 64 x 144 = 9,216.
        """
        costs: npt.NDArray[Any] = name_layer(
            _core.layer_costs, self.table, self.table.records, "full", discount_zeros=True
        )
        return costs["macs"].astype(np.int64)

    @cached_property
    def parameters(self) -> int:
        """Number of parameters of the whole model, by logical shape."""
        return exact_sum(self.column("logical_params"))

    @cached_property
    def batch_norms(self) -> list[tuple[int, bool]]:
        """(Channels, whether affine) of each batch norm module that ran."""
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
        """Return the sums of `macs` over `mask` by (weight bits, input bits)."""
        weights, inputs = self.weight_bits, self.input_bits if input_bits is None else input_bits
        return {
            (w, a): exact_sum(macs, mask & (weights == w) & (inputs == a))
            for w, a in sorted(set(zip(weights[mask].tolist(), inputs[mask].tolist(), strict=True)))
        }

    def products(self, macs: Integers, mask: Mask, input_bits: Integers | None = None) -> int:
        """Return the sum of macs x weight bits x input bits over `mask`."""
        return sum(w * a * n for (w, a), n in self.by_bits(macs, mask, input_bits).items())

    @cached_property
    def reads_network_input(self) -> Mask:
        """Mask of MAC ops on the network's input, unchanged or only moved (padding, views).

        In a table without producers it selects only the first MAC op.
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
