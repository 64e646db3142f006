"""Conventions for binary, quantised and mixed-precision networks."""

from __future__ import annotations

from math import log2

import numpy as np

import bopscount._core as _core
from bopscount.conventions.bit_price import BitPrice
from bopscount.conventions.convention import Convention, Figure
from bopscount.conventions.facts import Facts, Integers, Mask, exact_sum
from bopscount.conventions.operations import fvcore_extras
from bopscount.errors import InputError
from bopscount.records.kinds import MAC_KINDS
from bopscount.records.nonzero import zeros_were_looked_for
from bopscount.records.parameters import low_bit_widths
from bopscount.records.widths import FULL_PRECISION

_INT8 = 8
_KIND = "low-bit operations"


def _low_bit_price(w: int, a: int) -> int:
    return w * a if low_bit_widths(w, a) else 0


def _ops_price(w: int, a: int) -> int:
    return w * a if low_bit_widths(w, a) else 64


def _counted_by_bmxnet(facts: Facts) -> Mask:
    counted: Mask = facts.layers.copy()
    last = np.flatnonzero(MAC_KINDS[facts.table.records["kind"]])[-1:]
    counted[last[facts.of_kind("linear")[last]]] = False
    return counted


_REACTNET = BitPrice(lambda facts: np.where(facts.layers, facts.macs, 0), _ops_price, divisor=64)
_BMXNET = BitPrice(
    lambda facts: np.where(_counted_by_bmxnet(facts), facts.macs, 0), _ops_price, divisor=64
)


def _ops(facts: Facts, price: BitPrice, counted: Mask) -> Figure:
    """Return FLOPs + BOPs / 64 of the MAC ops in `counted`."""
    flops = exact_sum(facts.macs, counted & ~facts.low_bit)
    bops = facts.products(facts.macs, counted & facts.low_bit)
    return Figure(price.value(facts), {"FLOPs": flops, "BOPs": bops})


def _reactnet(facts: Facts) -> Figure:
    return _ops(facts, _REACTNET, facts.layers)


def _bmxnet(facts: Facts) -> Figure:
    return _ops(facts, _BMXNET, _counted_by_bmxnet(facts))


def _torchstat(facts: Facts) -> Figure:
    totals = facts.table.totals("torchstat")
    return Figure({"Bops": totals.bops, "Flops": totals.flops})


_BIT32 = BitPrice(
    lambda facts: facts.macs,
    lambda w, _: w,
    divisor=FULL_PRECISION,
    rest=lambda facts: FULL_PRECISION * fvcore_extras(facts),
)


def _bit32(facts: Facts) -> Figure:
    parts = {"32 x flops": _BIT32.total(facts), "norms and pooling": fvcore_extras(facts)}
    return Figure(_BIT32.value(facts), parts)


def _split2(facts: Facts) -> Figure:
    integer = facts.low_bit & ~facts.binary
    return Figure(
        {
            "binary": 2 * exact_sum(facts.macs, facts.binary),
            "integer": 2 * exact_sum(facts.macs, integer),
            "float": 2 * exact_sum(facts.macs, ~facts.low_bit),
        }
    )


def _bnext_price(w: int, a: int) -> int:
    if w == a == 1:
        return 1
    return 8 if max(w, a) <= _INT8 else 64


_BNEXT = BitPrice(lambda facts: facts.macs, _bnext_price, divisor=64)


def _bnext(facts: Facts) -> Figure:
    narrow = facts.low_bit & (np.maximum(facts.weight_bits, facts.input_bits) <= _INT8)
    parts = {
        "binary MACs": exact_sum(facts.macs, facts.binary),
        "int8 MACs": exact_sum(facts.macs, narrow & ~facts.binary),
        "other MACs": exact_sum(facts.macs, ~narrow),
    }
    return Figure(_BNEXT.value(facts), parts)


def _product_price(w: int, a: int) -> int:
    return w * a


_PRODUCT = BitPrice(lambda facts: facts.macs, _product_price)
_PRODUCT_LOW_BIT = BitPrice(lambda facts: facts.macs, _low_bit_price)


def _product(facts: Facts) -> Figure:
    total, low = _PRODUCT.value(facts), _PRODUCT_LOW_BIT.value(facts)
    return Figure(total, {"low-bit layers": low, "other layers": total - low})


def _product_low_bit(facts: Facts) -> Figure:
    return Figure(_PRODUCT_LOW_BIT.value(facts))


def _macs_by_outputs(facts: Facts) -> list[int]:
    """Return the MACs of convolutions and linear layers, by output positions if transposed."""
    macs = np.where(facts.layers, facts.macs, 0).tolist()
    for index in np.flatnonzero(facts.of_kind("conv_transpose")):
        macs[index] = int(facts.outputs[index]) * int(facts.fan_in[index])
    return macs  # type: ignore[no-any-return]


_MCT = BitPrice(_macs_by_outputs, _product_price)


def _mct(facts: Facts) -> Figure:
    return Figure(_MCT.value(facts))


def _bayesian_bits(facts: Facts) -> Figure:
    of_unknown_width = facts.reads_network_input & (facts.input_bits == FULL_PRECISION)
    input_bits = np.where(of_unknown_width, _INT8, facts.input_bits)
    bops = facts.products(facts.nonzero_macs, facts.macs > 0, input_bits)
    full = FULL_PRECISION**2 * exact_sum(facts.macs)
    return Figure(100 * bops / full if full else 0.0, {"BOPs": bops, "BOPs at 32 bits": full})


def _log2_of_sums(facts: Facts) -> float:
    return sum(
        (
            sum(macs * log2(n) for macs, n in _sums(facts, int(index)))
            for index in np.flatnonzero(facts.macs)
        ),
        start=0.0,
    )


_ACCUMULATOR = BitPrice(
    lambda facts: facts.macs, lambda w, a: w * a + w + a, real_rest=_log2_of_sums
)


def _accumulator(facts: Facts) -> Figure:
    return Figure(_ACCUMULATOR.value(facts), {"without log2": _ACCUMULATOR.total(facts)})


def _sums(facts: Facts, index: int) -> list[tuple[int, int]]:
    """Return (MACs, fan-in) of the sums in an op; attention has sums of two lengths."""
    record, macs = facts.table.records[index], int(facts.macs[index])
    wide, out = int(record["in_channels"]), int(record["out_channels"])
    kind = int(record["kind"])
    if kind == _core.KINDS["attention"]:
        scores = macs * wide // (wide + out)
        return [(scores, wide), (macs - scores, max(1, int(record["kernel"][0])))]
    if kind in {_core.KINDS[name] for name in ("rnn", "lstm", "gru")}:
        return [(macs, wide + out)]  # a gate sums over the input and the hidden state
    return [(macs, int(facts.fan_in[index]))]


def _known_nonzero_macs(facts: Facts) -> Integers:
    if not zeros_were_looked_for(facts.table):
        raise InputError(
            "sparse_product needs the non-zero weights: trace with discount_zeros=True"
        )
    return facts.nonzero_macs


_SPARSE_PRODUCT = BitPrice(_known_nonzero_macs, _product_price)


def _sparse_product(facts: Facts) -> Figure:
    return Figure(_SPARSE_PRODUCT.value(facts))


def _max_bits(facts: Facts) -> Figure:
    precision: Integers = np.maximum(facts.weight_bits, facts.input_bits)
    return Figure(
        {
            f"{width}-bit": exact_sum(facts.macs, facts.layers & (precision == width))
            for width in np.unique(precision[facts.layers])
        }
    )


LOW_BIT = (
    Convention(
        "reactnet", _KIND, "OPs",
        "FLOP = MAC = BOP: one a multiply-accumulate, of convolutions and linear layers only; "
        "OPs = FLOPs + BOPs / 64. A low-bit layer of more than one bit, which these papers do "
        "not have, counts MACs x weight bits x input bits BOPs.",
        "Bi-Real Net, ReActNet and most papers after them",
        "liuzechun/ReActNet, issues 1, 17, 19, 23", False,
        "13824 + 40 + (36864 + 8 * 8 * 8192) / 64 = 22632",
        _reactnet, _REACTNET,
    ),
    Convention(
        "bmxnet", _KIND, "OPs",
        "reactnet without the final linear layer: the last MAC op, if it is a linear layer.",
        "MeliusNet, BinaryDenseNet, ResNetE tables",
        "hpi-xnor/BMXNet-v2-wiki, Binary-Network-Results", False,
        "13824 + (36864 + 8 * 8 * 8192) / 64 = 22592",
        _bmxnet, _BMXNET,
    ),
    Convention(
        "torchstat", _KIND, "",
        "The columns of rules='torchstat': Bops are a low-bit layer's MACs x weight bits x input "
        "bits and one for each binarised activation element; Flops include batch norm, pooling "
        "and activations. Never merged.",
        "the Bops extension of torchstat", "KeyuLi/BOPs_calculation, README", True,
        "Bops: 36864 + 512 + 8 * 8 * 8192 = 561664; Flops: 13824 + 2 * 512 + 40 = 14888",
        _torchstat,
    ),
    Convention(
        "bit32", _KIND, "FLOPs",
        "MACs x weight bits / 32; batch norm 2 an element, layer and group norm 5, adaptive "
        "pooling 1 an input element, as fvcore counts them.",
        "bitorch", "hpi-xnor/fvbitcore, flop_count.py", False,
        "13824 + 36864 / 32 + 8192 * 8 / 32 + 40 + 2 * 512 + 1024 = 19112",
        _bit32, _BIT32,
    ),
    Convention(
        "split2", _KIND, "operations",
        "2 operations a MAC; binary, other low-bit and float MACs apart, never merged.",
        "OpenVINO's binary models", "openvinotoolkit/open_model_zoo, resnet50-binary-0001.md", True,
        "binary: 2 * 36864 = 73728; integer: 2 * 8192 = 16384; float: 2 * (13824 + 40) = 27728",
        _split2,
    ),
    Convention(
        "bnext", _KIND, "OPs",
        "Binary MACs / 64 + int8 MACs / 8 + float MACs. Other low-bit MACs of up to 8 bits run "
        "as int8, wider ones as float.",
        "BNext", "hpi-xnor/BNext", False,
        "13824 + 40 + 36864 / 64 + 8192 / 8 = 15464",
        _bnext, _BNEXT,
    ),
    Convention(
        "product", _KIND, "BOPs",
        "MACs x weight bits x input bits of every MAC op; an operand in full precision has 32 "
        "bits.",
        "HAWQ-V3, QONNX, Sony MCT, LIMPQ, NIPQ, brevitas users",
        "Zhen-Dong/HAWQ, model_zoo.md; fastmachinelearning/qonnx, inference_cost.py", True,
        "32 * 32 * (13824 + 40) + 36864 + 8 * 8 * 8192 = 14757888",
        _product, _PRODUCT,
    ),
    Convention(
        "product_low_bit", _KIND, "BOPs",
        "product with the full-precision layers left out: MACs x weight bits x input bits of "
        "the layers both of whose operands are quantised, to 16 bits or fewer.",
        "papers that quantise every layer that they count",
        "as product; bopscount's own Bops of MAC layers", True,
        "36864 + 8 * 8 * 8192 = 561152",
        _product_low_bit, _PRODUCT_LOW_BIT,
    ),
    Convention(
        "mct", _KIND, "BOPs",
        "product of convolutions and linear layers, with transposed convolution counted by "
        "output positions.",
        "Sony MCT's own tests", "sony/model_optimization, base_ru_integration_test.py", True,
        "32 * 32 * (13824 + 40) + 36864 + 8 * 8 * (4 * 256 * 8 * 4) = 16330752",
        _mct, _MCT,
    ),
    Convention(
        "bayesian_bits", _KIND, "% of the all-32-bit BOPs",
        "product, times the share of weights that are not zero where that is known, in per cent "
        "of 32 x 32 x MACs. The network's input has 8 bits, even if it comes as floats.",
        "Bayesian Bits", "Qualcomm-AI-research/BayesianBits, gated_mixed_precision.py", False,
        "100 * (32 * 8 * 13824 + 36864 + 8 * 8 * 8192 * 64 / 128 + 32 * 32 * 40) "
        "/ (32 * 32 * (13824 + 36864 + 8192 + 40)) = 6.4290563476",
        _bayesian_bits,
    ),
    Convention(
        "accumulator", _KIND, "BOPs",
        "MACs x (w a + w + a + log2 n) for weights of w bits, inputs of a bits and sums of n "
        "products; 32 bits for full precision.",
        "UNIQ, Ps and Qs", "ben-hawks/pytorch-jet-classify, param_count.py", False,
        "13824 * (32 * 32 + 64 + log2(27)) + 36864 * (1 + 2 + log2(72)) "
        "+ 8192 * (8 * 8 + 16 + log2(32)) + 40 * (32 * 32 + 64 + log2(4)) = 16184203.680083",
        _accumulator, _ACCUMULATOR,
    ),
    Convention(
        "sparse_product", _KIND, "BOPs",
        "product with the MACs of zero weights left out; known after discount_zeros=True.",
        "QONNX by default", "fastmachinelearning/qonnx, inference_cost.py", True,
        "32 * 32 * (13824 + 40) + 36864 + 8 * 8 * 8192 * 64 // 128 = 14495744",
        _sparse_product, _SPARSE_PRODUCT,
    ),
    Convention(
        "max_bits", _KIND, "MACs",
        "Each MAC of a convolution or linear layer has one precision, the larger of its two "
        "widths (32 in full precision); reported by precision, no product.",
        "larq's summary", "larq/larq, models.py", True,
        "1-bit: 8 * 64 * 72 = 36864; 8-bit: 8 * 64 * 16 = 8192; 32-bit: 13824 + 40 = 13864",
        _max_bits,
    ),
)  # fmt: skip
"""In the order of the documentation."""
