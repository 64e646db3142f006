"""Layers of the built-in networks.

The binary layers have the class names of public code, by which `bits` recognises them; the
others are marked with `built_in_layer`. All of them compute on values of the stated widths.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - torch's own custom

from bopscount.bits.registered_classes import built_in_layer


def straight_through(quantised: Tensor, x: Tensor) -> Tensor:
    """Return exactly the values of `quantised`, with the gradient of `x`."""
    return quantised.detach() + (x - x.detach())


def quantise(x: Tensor, bits: int, scale: Tensor | float) -> Tensor:
    """Round to multiples of `scale` in the range of signed integers of `bits` bits.

    One bit is the sign: +scale or -scale, with zero as positive.
    """
    if bits == 1:
        return ((x >= 0).to(x.dtype) * 2 - 1) * scale
    top = 2 ** (bits - 1)
    return torch.round(x / scale).clamp(-top, top - 1) * scale


class BinaryActivation(nn.Module):
    """Sign of the input, with the gradient of the identity."""

    def forward(self, x: Tensor) -> Tensor:
        """Binarise a tensor of any shape."""
        return straight_through(quantise(x, 1, 1.0), x)


class HardBinaryConv(nn.Module):
    """Convolution with binary weights, scaled per output channel.

    The weight is one flat parameter with the logical shape `shape`.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int = 3,
        stride: int = 1,
        padding: int | None = None,
    ) -> None:
        super().__init__()
        self.stride = stride
        self.padding = kernel_size // 2 if padding is None else padding
        self.shape = (out_channels, in_channels, kernel_size, kernel_size)
        self.weights = nn.Parameter(
            0.001 * (torch.rand(out_channels * in_channels * kernel_size**2, 1) - 0.5)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, in_channels, height, width) to (batch, out_channels, height', width')."""
        weights = self.weights.view(self.shape)
        scale = weights.abs().mean((1, 2, 3), keepdim=True)
        binary = straight_through(quantise(weights, 1, scale), weights)
        return F.conv2d(x, binary, stride=self.stride, padding=self.padding)


class SamePadding(nn.Module):
    """Padding like TensorFlow's "SAME": outputs = ceil(inputs / stride), an odd one at the end."""

    def __init__(self, kernel_size: int, stride: int = 1, value: float = 0.0) -> None:
        super().__init__()
        self.kernel_size = kernel_size
        self.stride = stride
        self.value = value

    def forward(self, x: Tensor) -> Tensor:
        """Pad height and width of (batch, channels, height, width)."""
        pads: list[int] = []
        for size in (x.shape[-1], x.shape[-2]):
            outputs = -(-size // self.stride)
            total = max((outputs - 1) * self.stride + self.kernel_size - size, 0)
            pads += [total // 2, total - total // 2]
        return F.pad(x, pads, value=self.value)


@built_in_layer(output_bits=lambda module: module.bits)
class QuantActivation(nn.Module):
    """Rounding to signed integers of `bits` bits, from about -1 to 1."""

    def __init__(self, bits: int) -> None:
        super().__init__()
        self.bits = bits

    def forward(self, x: Tensor) -> Tensor:
        """Quantise a tensor of any shape."""
        return straight_through(quantise(x, self.bits, 2.0 ** (1 - self.bits)), x)


def _quantised_weight(weight: Tensor, bits: int) -> Tensor:
    """Quantise a weight with one scale per tensor, symmetric: two bits are ternary."""
    magnitude = weight.abs()
    scale = magnitude.mean() if bits == 1 else magnitude.max() / (2 ** (bits - 1) - 1)
    return straight_through(quantise(weight, bits, scale), weight)


def _weight_bits(module: Any) -> int:
    return int(module.weight_bits)


def _input_bits(module: Any) -> int:
    return int(module.input_bits)


@built_in_layer(weight_bits=_weight_bits, input_bits=_input_bits)
class QuantConv2d(nn.Conv2d):
    """Convolution with quantised weights, for inputs that are quantised already."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        *,
        weight_bits: int,
        input_bits: int,
    ) -> None:
        super().__init__(in_channels, out_channels, kernel_size, bias=False)
        self.weight_bits = weight_bits
        self.input_bits = input_bits

    def forward(self, x: Tensor) -> Tensor:
        """Apply the convolution, as nn.Conv2d does."""
        weight = _quantised_weight(self.weight, self.weight_bits)
        return F.conv2d(x, weight, stride=self.stride, padding=self.padding)


@built_in_layer(weight_bits=_weight_bits, input_bits=_input_bits)
class QuantLinear(nn.Linear):
    """Linear layer with quantised weights, for inputs that are quantised already."""

    def __init__(
        self, in_features: int, out_features: int, *, weight_bits: int, input_bits: int
    ) -> None:
        super().__init__(in_features, out_features, bias=False)
        self.weight_bits = weight_bits
        self.input_bits = input_bits

    def forward(self, x: Tensor) -> Tensor:
        """Apply the linear layer, as nn.Linear does."""
        return F.linear(x, _quantised_weight(self.weight, self.weight_bits))
