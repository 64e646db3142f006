"""Tensor classes of other libraries that state their bit width."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - torch's own custom

from bopscount.bits.adapters import torchao
from bopscount.bits.adapters.family import has, width
from bopscount.bits.layer_bits import LayerBits

_PLAIN = (Tensor, nn.Parameter)
_PRODUCTS = (F.linear, F.conv1d, F.conv2d, F.conv3d)
_WIDTHS = (
    ("brevitas.quant_tensor", "bit_width"),
    ("optimum.quanto", "qtype.bits"),
)
"""(Module path prefix, attribute with the width)."""


def own_width(tensor: Any) -> int | None:
    """Return the bits of a tensor's values by its class; None if the class states none.

    Quantised tensors of brevitas have `bit_width`, those of optimum-quanto `qtype.bits`.
    """
    module = type(tensor).__module__
    if module.startswith("torchao"):
        return torchao.weight_bits(tensor)
    for library, path in _WIDTHS:
        if module.startswith(library) and has(tensor, path):
            return width(tensor, path)
    return None


def bits_of_product(func: Any, args: tuple[Any, ...]) -> LayerBits | None:
    """Return the widths of a product by the classes of its operands; None for plain tensors."""
    if all(type(operand) in _PLAIN for operand in args[:2]) or func not in _PRODUCTS:
        return None
    x, weight = args[:2] if len(args) > 1 else (None, None)
    inputs, weights = own_width(x), own_width(weight)
    if inputs is None and weights is not None:
        inputs = torchao.input_bits(weight)
    if inputs is weights is None:
        return None
    return LayerBits(weight_bits=weights, input_bits=inputs, weight_shape=tuple(weight.shape))
