"""MACs, parameters and memory of a model by bit width, as in larq's summary."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from bopscount.bits.registered_classes import BY_NAME
from bopscount.conventions.facts import Facts, exact_sum
from bopscount.records.kinds import MAC_KINDS
from bopscount.records.parameters import stored_parameters
from bopscount.records.table import Records
from bopscount.records.widths import FULL_PRECISION

_BYTE = 8
_MIB_BITS = 8 * 2**20


@dataclass(frozen=True, slots=True)
class BitSummary:
    """MACs, parameters and memory of a model by bit width.

    Attributes:
        macs: MACs by (weight bits, input bits); 32 is full precision of any float dtype.
        params: Number of parameters by stored bits: weights at their bit width, packed ones by
            logical shape; all others at the width of their dtype.
        memory_bits: Memory of these parameters in bits, by the same width: params x width,
            without zero weights under `discount_zeros`.
        quantised_params: Number of quantised weights among the parameters.
        quantised_bits: Memory of the quantised weights in bits.
        trainable_params: Number of registered parameters that require a gradient; None if
            unknown.

    Example: Bi-Real-Net-18 has 10,985,472 one-bit weights among 11,689,512 parameters:
    10,985,472 + 32 x 704,040 bits are 3.995 MiB, 11.2 times less than at 32 bits.
    """

    macs: dict[tuple[int, int], int]
    params: dict[int, int]
    memory_bits: dict[int, int]
    quantised_params: int
    quantised_bits: int
    trainable_params: int | None = None

    @property
    def total_macs(self) -> int:
        """Total MACs of all widths."""
        return sum(self.macs.values())

    @property
    def total_params(self) -> int:
        """Number of parameters of all widths, packed weights by logical shape."""
        return sum(self.params.values())

    @property
    def binary_macs(self) -> int:
        """MACs with two one-bit operands."""
        return self.macs.get((1, 1), 0)

    @property
    def binary_share(self) -> float:
        """Share of binary MACs, from 0 to 1."""
        return self.binary_macs / self.total_macs if self.total_macs else 0.0

    @property
    def size_bits(self) -> int:
        """Memory of all parameters at their true widths, in bits."""
        return sum(self.memory_bits.values())

    @property
    def size_mib(self) -> float:
        """Model size at the true widths, in MiB of 2**20 bytes; buffers are excluded."""
        return self.size_bits / _MIB_BITS

    @property
    def float32_mib(self) -> float:
        """Model size with every parameter at 32 bits, in MiB."""
        return FULL_PRECISION * self.total_params / _MIB_BITS

    @property
    def int8_rest_mib(self) -> float:
        """Model size with all parameters but quantised weights at 8 bits, in MiB."""
        rest = self.total_params - self.quantised_params
        return (self.quantised_bits + _BYTE * rest) / _MIB_BITS

    @property
    def compression_ratio(self) -> float:
        """All-32-bit size / size; 1.0 without parameters. larq prints the inverse."""
        full = FULL_PRECISION * self.total_params
        return full / self.size_bits if self.size_bits else 1.0

    def __str__(self) -> str:
        return _render(self)

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON; `from_dict` reads it back."""
        return {
            "macs": {f"{w}x{a}": macs for (w, a), macs in self.macs.items()},
            "params": {str(bits): count for bits, count in self.params.items()},
            "memory_bits": {str(key): bits for key, bits in self.memory_bits.items()},
            "quantised_params": self.quantised_params,
            "quantised_bits": self.quantised_bits,
            "trainable_params": self.trainable_params,
            "size_mib": self.size_mib,
            "float32_mib": self.float32_mib,
            "compression_ratio": self.compression_ratio,
            "binary_share": self.binary_share,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> BitSummary:
        """Return the summary that `to_dict` wrote."""
        pairs = {tuple(map(int, key.split("x"))): macs for key, macs in data["macs"].items()}
        return cls(
            macs={(w, a): macs for (w, a), macs in pairs.items()},
            params=_integer_keys(data["params"]),
            memory_bits=_integer_keys(data["memory_bits"]),
            quantised_params=data["quantised_params"],
            quantised_bits=data["quantised_bits"],
            trainable_params=data["trainable_params"],
        )


def _integer_keys(data: Mapping[str, int]) -> dict[int, int]:
    return {int(key): value for key, value in data.items()}


def bit_summary(table: Records, discount_zeros: bool = False) -> BitSummary:
    """Return the bit summary of recorded layers.

    Args:
        table: Layer table from `trace`.
        discount_zeros: Exclude known zero weights from MACs and memory.
    """
    facts = Facts(table)
    macs = facts.nonzero_macs if discount_zeros else facts.macs
    by_bits = facts.by_bits(macs, MAC_KINDS[table.records["kind"]])
    stored = stored_parameters(table, discount_zeros)
    params: Counter[int] = Counter()
    memory: Counter[int] = Counter()
    for counts, kept, widths in (
        (stored.weights, stored.kept, stored.weight_bits),
        (stored.others, stored.others, stored.other_bits),
    ):
        for width in np.unique(widths[counts > 0]).tolist():
            params[width] += exact_sum(counts, widths == width)
            memory[width] += width * exact_sum(kept, widths == width)
    narrow = facts.weight_bits < FULL_PRECISION
    return BitSummary(
        macs={bits: n for bits, n in by_bits.items() if n},
        params={width: params[width] for width in sorted(params)},
        memory_bits={width: memory[width] for width in sorted(memory)},
        quantised_params=exact_sum(stored.weights, narrow),
        quantised_bits=exact_sum(stored.kept * stored.weight_bits, narrow),
        trainable_params=table.trainable_params,
    )


def has_new_low_bits(table: Records) -> bool:
    """Return whether a layer outside the two legacy classes has low-bit weights or operands."""
    facts = Facts(table)
    narrow = facts.low_bit | ((facts.weight_bits < FULL_PRECISION) & (facts.weights > 0))
    for index in np.flatnonzero(narrow):
        node = table.nodes[table.owners[table.records["owner"][index]].node]
        if node.class_name not in BY_NAME or not facts.binary[index]:
            return True
    return False


def _render(summary: BitSummary) -> str:
    """Return the text: MACs by bits, parameters by bits, sizes, and the share of binary MACs."""
    total = summary.total_macs or 1
    macs = [[f"{w} x {a}", f"{n:,}", f"{n / total:.2%}"] for (w, a), n in summary.macs.items()]
    params = [
        [str(bits), f"{count:,}", f"{summary.memory_bits[bits] / _MIB_BITS:.4f}"]
        for bits, count in summary.params.items()
    ]
    sizes = [
        f"Model size: {_mib(summary.size_mib)} (parameters at their true widths)",
        f"Model size, float parameters at 8 bit: {_mib(summary.int8_rest_mib)}",
        f"All-32-bit size: {_mib(summary.float32_mib)}, "
        f"compression ratio {summary.compression_ratio:.2f}",
        _parameters(summary),
        f"Total MACs: {summary.total_macs:,}, binarised {summary.binary_share:.2%}",
    ]
    return "\n".join(
        [
            _table(macs, ["weight x input bits", "MACs", "share"]),
            _table(params, ["bits", "params", "MiB"]),
            *sizes,
        ]
    )


def _mib(size: float) -> str:
    """Return a size with two decimals, or four below 1 MiB."""
    return f"{size:.2f}MiB" if size >= 1 else f"{size:.4f}MiB"


def _parameters(summary: BitSummary) -> str:
    line = f"Params by logical shape: {summary.total_params:,}"
    if summary.trainable_params is None:
        return line
    return f"{line}; trainable: {summary.trainable_params:,}"


def _table(rows: list[list[str]], headers: list[str]) -> str:
    from tabulate import tabulate

    text = tabulate(rows, headers, tablefmt="plain", disable_numparse=True, stralign="right")
    return str(text)
