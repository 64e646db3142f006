"""Conventions that are independent of bit widths."""

from __future__ import annotations

from math import prod

import bopscount._core as _core
from bopscount.conventions.convention import Convention, Figure
from bopscount.conventions.facts import Facts, exact_sum

_KIND = "operations"
_FVCORE = [row["name"] for row in _core.OP_TABLE if row["source"] == "fvcore" and not row["macs"]]


def fvcore_extras(facts: Facts) -> int:
    """Return fvcore's count beyond MACs: norms, adaptive pooling, upsampling, grid sampling."""
    return exact_sum(facts.flops, facts.of_kind(*_FVCORE))


def _linear_biases(facts: Facts) -> int:
    return exact_sum(facts.outputs, facts.of_kind("linear") & (facts.column("bias_elements") > 0))


def _all_biases(facts: Facts) -> int:
    biased = facts.column("bias_elements") > 0
    per_output = facts.of_kind("conv", "conv_transpose", "linear", "bilinear", "matmul")
    # A recurrent layer adds each bias once per step; `batch` is the number of all steps.
    recurrent = facts.table.records[facts.of_kind("rnn", "lstm", "gru")]
    names = ("calls", "batch", "bias_elements")
    steps = zip(*(recurrent[name].tolist() for name in names), strict=True)
    return exact_sum(facts.outputs, biased & per_output) + sum(map(prod, steps))


def _macs(facts: Facts) -> Figure:
    return Figure(exact_sum(facts.macs))


def _fvcore(facts: Facts) -> Figure:
    return Figure(exact_sum(facts.macs) + fvcore_extras(facts))


def _fc_bias(facts: Facts) -> Figure:
    return Figure(exact_sum(facts.macs) + _linear_biases(facts))


def _all_bias(facts: Facts) -> Figure:
    return Figure(exact_sum(facts.macs) + _all_biases(facts))


def _two_per_mac(facts: Facts) -> Figure:
    return Figure(2 * exact_sum(facts.macs))


OPERATIONS = (
    Convention(
        "macs", _KIND, "MACs",
        "Multiply-accumulates of convolutions, linear and recurrent layers and matrix products, "
        "attention's included; nothing else.",
        "torchvision's published GFLOPS, TF-slim",
        "torchvision model weights' metadata; tensorflow/models, slim/nets/mobilenet", True,
        "13824 + 36864 + 8192 + 40 = 58920", _macs,
    ),
    Convention(
        "fvcore", _KIND, "FLOPs",
        "macs + batch norm 2 an element (1 without a weight), layer, group and instance norm 5 "
        "(4), adaptive average pooling 1 an input element, upsampling 1 or 4 an output element.",
        "timm's benchmark CSV", "facebookresearch/fvcore, flop_count.py", True,
        "58920 + 2 * 512 + 1024 = 60968", _fvcore,
    ),
    Convention(
        "fc_bias", _KIND, "FLOPs",
        "macs + one for each output element of a linear layer with bias.",
        "NATS-Bench", "D-X-Y/AutoDL-Projects, flop_benchmark.py", True,
        "58920 + 10 = 58930", _fc_bias,
    ),
    Convention(
        "all_bias", _KIND, "FLOPs",
        "macs + one for each bias addition, whatever the layer.",
        "ptflops", "sovrasov/flops-counter.pytorch, common_test.py", True,
        "58920 + 10 = 58930", _all_bias,
    ),
    Convention(
        "two_per_mac", _KIND, "FLOPs",
        "2 x macs.",
        "calflops, torch's counter", "torch.utils.flop_counter", True,
        "2 * 58920 = 117840", _two_per_mac,
    ),
)  # fmt: skip
"""In the order of the documentation."""
