"""ReActNet (Liu et al., 2020): learned shifts before every sign, shifted PReLUs after.

ReActNet-A is a MobileNet of binary 3x3 and 1x1 convolutions, each with a shortcut;
ReAct-ResNet-18 is a Bi-Real Net with these activations.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from bopscount.networks.birealnet import BiRealNet, downsample
from bopscount.networks.layers import BinaryActivation, HardBinaryConv

_CHANNELS = (32, 64, 128, 128, 256, 256, 512, 512, 512, 512, 512, 512, 1024, 1024)
_HALVING = (2, 4, 6, 12)
"""Indices in _CHANNELS of the blocks that halve the resolution."""


class Shift(nn.Module):
    """Learned bias per channel."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(1, channels, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Add the bias to (batch, channels, height, width)."""
        return x + self.bias


def shifted_sign(channels: int) -> nn.Sequential:
    """Return an RSign: the sign of the shifted input."""
    return nn.Sequential(Shift(channels), BinaryActivation())


def shifted_prelu(channels: int) -> nn.Sequential:
    """Return an RPReLU: a PReLU between two shifts."""
    return nn.Sequential(Shift(channels), nn.PReLU(channels), Shift(channels))


class BinaryUnit(nn.Module):
    """RSign, binary convolution, batch norm; the caller adds the shortcut."""

    def __init__(self, in_channels: int, out_channels: int, kernel: int, stride: int = 1) -> None:
        super().__init__()
        self.sign = shifted_sign(in_channels)
        self.conv = HardBinaryConv(in_channels, out_channels, kernel, stride)
        self.bn = nn.BatchNorm2d(out_channels)

    def forward(self, x: Tensor) -> Tensor:
        """Apply the unit; the stride divides the resolution."""
        result: Tensor = self.bn(self.conv(self.sign(x)))
        return result


class ReActBlock(nn.Module):
    """3x3 unit, then one 1x1 unit, or two in parallel that double the channels."""

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        self.unit3x3 = BinaryUnit(in_channels, in_channels, 3, stride)
        self.pool = nn.AvgPool2d(2) if stride > 1 else nn.Identity()
        self.prelu1 = shifted_prelu(in_channels)
        self.sign = shifted_sign(in_channels)
        self.pointwise = nn.ModuleList(
            nn.Sequential(HardBinaryConv(in_channels, in_channels, 1), nn.BatchNorm2d(in_channels))
            for _ in range(out_channels // in_channels)
        )
        self.prelu2 = shifted_prelu(out_channels)

    def forward(self, x: Tensor) -> Tensor:
        """Apply the block; the stride divides the resolution."""
        x = self.prelu1(self.unit3x3(x) + self.pool(x))
        signs = self.sign(x)
        x = torch.cat([unit(signs) + x for unit in self.pointwise], 1)
        result: Tensor = self.prelu2(x)
        return result


class ReActNetA(nn.Module):
    """Stem, thirteen blocks, classifier."""

    def __init__(self, num_classes: int = 1000) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(3, _CHANNELS[0], 3, 2, 1, bias=False), nn.BatchNorm2d(_CHANNELS[0])
        )
        self.blocks = nn.Sequential(
            *(
                ReActBlock(_CHANNELS[i - 1], _CHANNELS[i], 2 if i in _HALVING else 1)
                for i in range(1, len(_CHANNELS))
            )
        )
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(_CHANNELS[-1], num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, 3, height, width) to (batch, num_classes)."""
        logits: Tensor = self.fc(torch.flatten(self.avgpool(self.blocks(self.stem(x))), 1))
        return logits


class ReActResNetBlock(nn.Module):
    """3x3 unit with its shortcut, then RPReLU."""

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        self.unit = BinaryUnit(in_channels, out_channels, 3, stride)
        self.downsample = downsample(in_channels, out_channels, stride)
        self.prelu = shifted_prelu(out_channels)

    def forward(self, x: Tensor) -> Tensor:
        """Apply the block; the stride divides the resolution."""
        result: Tensor = self.prelu(self.unit(x) + self.downsample(x))
        return result


def reactnet_a() -> nn.Module:
    """Return ReActNet-A, with 4,816,896,000 binary and 11,862,016 other MACs."""
    return ReActNetA()


def react_resnet18() -> nn.Module:
    """Return ReAct-ResNet-18, with the convolutions of Bi-Real-Net-18."""
    return BiRealNet((4, 4, 4, 4), ReActResNetBlock)
