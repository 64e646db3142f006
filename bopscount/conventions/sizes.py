"""Conventions for the size of a model, in MiB of 2**20 bytes."""

from __future__ import annotations

from bopscount.conventions.convention import Convention, Figure
from bopscount.conventions.facts import Facts, exact_sum
from bopscount.stored_weights import FULL_PRECISION

MIB_BITS = 8 * 2**20
_KIND = "size"


def _figure(bits: int, values: int) -> Figure:
    return Figure(bits / MIB_BITS, {"bits": bits, "values": values})


def _mib_fused(facts: Facts) -> Figure:
    # A batch norm without affine parameters still has two values a channel when fused.
    unparametrised = sum(2 * channels for channels, affine in facts.batch_norms if not affine)
    values = facts.parameters + unparametrised
    quantised = facts.quantised_weights
    narrow = sum(bits * count for bits, count in quantised.items())
    return _figure(narrow + FULL_PRECISION * (values - sum(quantised.values())), values)


def _mib_raw(facts: Facts) -> Figure:
    fused = _mib_fused(facts).parts
    further = sum(2 * channels for channels, affine in facts.batch_norms if affine)
    return _figure(fused["bits"] + FULL_PRECISION * further, fused["values"] + further)


def _weights_only(facts: Facts) -> Figure:
    quantised, values = facts.weights * facts.weight_bits, facts.weights
    return _figure(exact_sum(quantised, facts.layers), exact_sum(values, facts.layers))


SIZES = (
    Convention(
        "mib_fused", _KIND, "MiB",
        "Quantised weights at their width (a binary one has 1 bit), every other parameter at 32 "
        "bits, batch norm as 2 values a channel; \"MB\" means MiB.",
        "MeliusNet tables, larq (newer)",
        "hpi-xnor/BMXNet-v2-wiki; larq/zoo, docstrings", False,
        "(576 + 128 * 8 + 32 * (216 + 50 + 2 * 8)) / (8 * 2**20) = 0.00126648", _mib_fused,
    ),
    Convention(
        "mib_raw", _KIND, "MiB",
        "mib_fused with all four tensors of a batch norm.",
        "larq (older)", "larq/zoo, docstrings", False,
        "(576 + 128 * 8 + 32 * (216 + 50 + 4 * 8)) / (8 * 2**20) = 0.00132751", _mib_raw,
    ),
    Convention(
        "weights_only", _KIND, "MiB",
        "Weights of convolutions and linear layers at their widths, 32 bits in full precision; "
        "no biases, no norms.",
        "HAWQ's uniform rows", "Zhen-Dong/HAWQ, model_zoo.md", False,
        "(576 + 128 * 8 + 32 * (216 + 40)) / (8 * 2**20) = 0.00116730", _weights_only,
    ),
)  # fmt: skip
"""In the order of the documentation."""
