"""Conventions for the size of a model, in MiB of 2**20 bytes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from bopscount.conventions.bit_price import BitPrice
from bopscount.conventions.convention import Convention, Figure
from bopscount.conventions.facts import Facts, Integers, exact_sum
from bopscount.records.widths import FULL_PRECISION

MIB_BITS = 8 * 2**20
_KIND = "size"


def _fused_values(facts: Facts) -> int:
    # A batch norm without affine parameters still fuses into two values per channel.
    return facts.parameters + sum(
        2 * channels for channels, affine in facts.batch_norms if not affine
    )


def _raw_values(facts: Facts) -> int:
    return _fused_values(facts) + sum(
        2 * channels for channels, affine in facts.batch_norms if affine
    )


def _layer_weights(facts: Facts) -> Integers:
    return np.where(facts.layers, facts.weights, 0)


def _with_rest(values: Callable[[Facts], int]) -> BitPrice:
    """Return the size of weights at their widths, at most 32, plus 32 bits per other value."""
    return BitPrice(
        lambda facts: facts.weights,
        lambda w, _: min(w, FULL_PRECISION),
        divisor=MIB_BITS,
        rest=lambda facts: FULL_PRECISION * (values(facts) - exact_sum(facts.weights)),
    )


_MIB_FUSED, _MIB_RAW = _with_rest(_fused_values), _with_rest(_raw_values)
_WEIGHTS_ONLY = BitPrice(_layer_weights, lambda w, _: w, divisor=MIB_BITS)


def _figure(facts: Facts, price: BitPrice, values: int) -> Figure:
    return Figure(price.value(facts), {"bits": price.total(facts), "values": values})


def _mib_fused(facts: Facts) -> Figure:
    return _figure(facts, _MIB_FUSED, _fused_values(facts))


def _mib_raw(facts: Facts) -> Figure:
    return _figure(facts, _MIB_RAW, _raw_values(facts))


def _weights_only(facts: Facts) -> Figure:
    return _figure(facts, _WEIGHTS_ONLY, exact_sum(_layer_weights(facts)))


SIZES = (
    Convention(
        "mib_fused", _KIND, "MiB",
        "Quantised weights at their width (a binary one has 1 bit), every other parameter at 32 "
        "bits, batch norm as 2 values a channel; \"MB\" means MiB.",
        "MeliusNet tables, larq (newer)",
        "hpi-xnor/BMXNet-v2-wiki; larq/zoo, docstrings", False,
        "(576 + 128 * 8 + 32 * (216 + 50 + 2 * 8)) / (8 * 2**20) = 0.00126648",
        _mib_fused, _MIB_FUSED,
    ),
    Convention(
        "mib_raw", _KIND, "MiB",
        "mib_fused with all four tensors of a batch norm.",
        "larq (older)", "larq/zoo, docstrings", False,
        "(576 + 128 * 8 + 32 * (216 + 50 + 4 * 8)) / (8 * 2**20) = 0.00132751",
        _mib_raw, _MIB_RAW,
    ),
    Convention(
        "weights_only", _KIND, "MiB",
        "Weights of convolutions and linear layers at their widths, 32 bits in full precision; "
        "no biases, no norms.",
        "HAWQ's uniform rows", "Zhen-Dong/HAWQ, model_zoo.md", False,
        "(576 + 128 * 8 + 32 * (216 + 40)) / (8 * 2**20) = 0.00116730",
        _weights_only, _WEIGHTS_ONLY,
    ),
)  # fmt: skip
"""In the order of the documentation."""
