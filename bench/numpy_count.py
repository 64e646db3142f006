"""The rival: the core's formulas as whole-array numpy operations.

Three formulations were tried (best ns a layer, 10^6 layers of a mixed table, each at its
best block size); the fastest is kept:

* every term of every record, times a coefficient looked up by kind, in blocks that stay
  in the second-level cache: 197;
* the same with its columns made contiguous first: 202, no difference beyond the noise;
* sorted by kind, each kind's formulas on its own records, columns gathered and scattered
  by index: 250 (whole records moved instead: 503; columns sorted once a block: 317).

All is int64, and unlike the core it checks neither the records nor for overflow.
"""

from __future__ import annotations

import re
from functools import cache, cached_property

import numpy as np

from bopscount import _core

BLOCK = 1 << 12
"""Records at a time: the best of 2^10 to 2^20, from 264 ns a layer through 197 to 704."""

_FUNCTIONAL = _core.LAYER_FLAGS["functional"]
_MASKED = _core.LAYER_FLAGS["masked"]
_UNMOVED = _core.LAYER_FLAGS["unmoved"]
_UNMOVED_KINDS = {"invalid", "uncalled", "parameters", "dropout", "identity"}


class Terms:
    """The terms of one call of each record, computed once and when asked for."""

    def __init__(self, layers: np.ndarray, by_kind: KindColumns, kind: np.ndarray) -> None:
        self.layers, self.by_kind, self.kind = layers, by_kind, kind

    @cached_property
    def rows(self) -> np.ndarray:
        return self.layers["batch"] * self.layers["in_positions"]

    @cached_property
    def inputs(self) -> np.ndarray:
        return self.rows * self.layers["in_channels"]

    @cached_property
    def outputs(self) -> np.ndarray:
        outputs = self.layers["batch"] * self.layers["out_channels"]
        outputs *= self.layers["out_positions"]
        return outputs

    @cached_property
    def kernel(self) -> np.ndarray:
        sides = self.layers["kernel"]
        product = sides[:, 0].astype(np.int64)
        product *= sides[:, 1]
        product *= sides[:, 2]
        return product

    @cached_property
    def macs(self) -> np.ndarray:
        by = {form: column[self.kind] for form, column in self.by_kind.mac_forms.items()}
        layers = self.layers
        groups = layers["groups"]
        channels = np.where(by["inputs"], layers["out_channels"], layers["in_channels"])
        # int64 division is slow, and most layers have one group.
        np.floor_divide(channels, groups, out=channels, where=groups != 1)
        macs = np.where(by["inputs"], self.inputs, self.outputs)
        macs *= channels
        macs *= self.kernel
        macs *= by["inputs"] | by["outputs"]
        macs += layers["batch"] * layers["weight_elements"] * by["batch"]
        macs += self.scores * (layers["in_channels"] + layers["out_channels"]) * by["rows"]
        return macs

    @cached_property
    def batch(self) -> np.ndarray:
        return self.layers["batch"]

    @cached_property
    def channels(self) -> np.ndarray:
        return self.layers["in_channels"]

    @cached_property
    def window(self) -> np.ndarray:
        return self.outputs * self.kernel

    @cached_property
    def scores(self) -> np.ndarray:
        return self.rows * self.kernel

    @cached_property
    def scatter(self) -> np.ndarray:
        return self.rows * self.layers["out_channels"]

    @cached_property
    def weights(self) -> np.ndarray:
        return self.layers["weight_elements"] + self.layers["bias_elements"]

    @cached_property
    def has_bias(self) -> np.ndarray:
        return self.layers["bias_elements"] != 0

    @cached_property
    def biases(self) -> np.ndarray:
        return self.outputs * self.has_bias

    @cached_property
    def scatter_bias(self) -> np.ndarray:
        return self.scatter * self.has_bias

    @cached_property
    def biased_scores(self) -> np.ndarray:
        return self.scores * self.has_bias

    @cached_property
    def masked_scores(self) -> np.ndarray:
        return self.scores * ((self.layers["flags"] & _MASKED) != 0)

    @cached_property
    def scaled_inputs(self) -> np.ndarray:
        return self.inputs * (self.layers["weight_elements"] != 0)

    def value(self, formula: str) -> np.ndarray:
        """The formula's value for every record, at least 0."""
        total = np.zeros(self.kind.size, np.int64)
        product = np.empty_like(total)
        for term, multiples in self.by_kind.formulas[formula].items():
            np.take(multiples, self.kind, out=product, mode="clip")
            product *= getattr(self, term)
            total += product
        return np.maximum(total, 0, out=total)

    def bytes_read(self) -> np.ndarray:
        """Of all operands, each at its own width."""
        layers = self.layers
        bits = self.inputs + layers["extra_elements"]
        bits *= layers["input_bits"]
        bits += layers["weight_elements"] * layers["weight_bits"]
        bits += (layers["bias_elements"] * layers["weight_item_bytes"]) << 3
        bits += 7
        bits >>= 3
        return bits

    def bytes_written(self) -> np.ndarray:
        bits = self.outputs * self.layers["output_bits"]
        bits += 7
        bits >>= 3
        return bits


def _parse(formula: str) -> dict[str, int]:
    """'2*macs - outputs' as {'macs': 2, 'outputs': -1}."""
    return {
        term: int(sign + (multiple or "1"))
        for sign, multiple, term in re.findall(r"([-+]?) ?(?:(\d+)\*)?([a-z_]+)", formula)
    }


class KindColumns:
    """The op table under one set of rules, as columns indexed by kind."""

    def __init__(self, rules: str) -> None:
        table = _core.OP_TABLE
        self.torchstat = rules == "torchstat"

        def formula(row: dict[str, str], metric: str) -> dict[str, int]:
            return _parse((self.torchstat and row[f"torchstat_{metric}"]) or row[f"full_{metric}"])

        self.formulas = {
            "flops": self._multiples([formula(row, "flops") for row in table]),
            "madd": self._multiples([formula(row, "madd") for row in table]),
            "low_bit_flops": self._multiples([_parse(row["full_flops"]) for row in table]),
            "read": self._multiples([_parse(row["torchstat_read"]) for row in table]),
            "write": self._multiples([_parse(row["torchstat_write"]) for row in table]),
        }
        self.formulas["low_bit_flops"].pop("macs")
        self.mac_forms = {
            form: np.array([row["macs"].startswith(form) for row in table])
            for form in ("outputs", "inputs", "batch", "rows")
        }
        self.has_macs = np.array([bool(row["macs"]) for row in table])
        self.is_conv = np.array([row["name"] == "conv" for row in table])
        self.is_quantize = np.array([row["name"] == "quantize" for row in table])
        self.moves = np.array([row["name"] not in _UNMOVED_KINDS for row in table])
        self.own_traffic = np.array(
            [self.torchstat and bool(row["torchstat_read"]) for row in table]
        )

    @staticmethod
    def _multiples(formulas: list[dict[str, int]]) -> dict[str, np.ndarray]:
        terms = {term for formula in formulas for term in formula}
        return {term: np.array([formula.get(term, 0) for formula in formulas]) for term in terms}


_kind_columns = cache(KindColumns)


def layer_costs(layers: np.ndarray, rules: str, out: np.ndarray, block: int = BLOCK) -> None:
    """As `_core.layer_costs`."""
    by_kind = _kind_columns(rules)
    for start in range(0, layers.size, block):
        _count_block(layers[start : start + block], by_kind, out[start : start + block])


def _count_block(layers: np.ndarray, by_kind: KindColumns, costs: np.ndarray) -> None:
    kind = layers["kind"].astype(np.intp)
    flags = layers["flags"]
    input_bits, weight_bits = layers["input_bits"], layers["weight_bits"]
    terms = Terms(layers, by_kind, kind)
    macs, outputs = terms.macs, terms.outputs

    has_macs = by_kind.has_macs[kind]
    low = (layers["input_bits_source"] != 0) & (layers["weight_bits_source"] != 0)
    low &= (input_bits <= 16) & (weight_bits <= 16) & has_macs
    sign = by_kind.is_quantize[kind] & (layers["output_bits"] == 1)
    bops = macs * low
    bops *= weight_bits
    bops *= input_bits
    ops_x64 = np.where(low, bops, macs << 6)
    bops += outputs * sign

    # What has Bops and no Flops; under torchstat's rules neither has it traffic.
    binary = low & (input_bits == 1) & (weight_bits == 1)
    binary &= by_kind.is_conv[kind] & by_kind.torchstat
    priced = ~(binary | sign)
    low_bit_flops = terms.value("low_bit_flops")
    flops = np.where(low, low_bit_flops, terms.value("flops"))
    flops *= priced
    madd = np.where(low, low_bit_flops, terms.value("madd"))
    madd *= priced

    own_traffic = by_kind.own_traffic[kind] & ~low
    moved = by_kind.moves[kind] & ((flags & _UNMOVED) == 0)
    if by_kind.torchstat:
        moved &= priced
    item_bytes = layers["input_item_bytes"]
    read, write = terms.value("read"), terms.value("write")
    read = np.where(own_traffic, read * item_bytes, terms.bytes_read() * moved)
    write = np.where(own_traffic, write * item_bytes, terms.bytes_written() * moved)

    calls = layers["calls"]
    if by_kind.torchstat:
        calls = calls * (has_macs | ((flags & _FUNCTIONAL) == 0))
    costs["params"] = layers["params"]
    costs["logical_params"] = layers["logical_params"]
    np.multiply(macs, calls, out=costs["macs"])
    np.multiply(flops, calls, out=costs["flops"])
    np.multiply(madd, calls, out=costs["madd"])
    np.multiply(bops, calls, out=costs["bops"])
    np.multiply(ops_x64, calls, out=costs["ops_x64"])
    np.multiply(outputs << 2, calls, out=costs["memory_bytes"])
    np.multiply(read, calls, out=costs["mem_read"])
    np.multiply(write, calls, out=costs["mem_write"])
