"""MeliusNet-22 (Bethge et al., 2020): dense blocks, each followed by an improvement block."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from bopscount.networks.binary_densenet import GROWTH, BinaryDenseNet, DenseBlock
from bopscount.networks.layers import BinaryActivation, HardBinaryConv
from bopscount.networks.stems import grouped_stem


class ImprovementBlock(nn.Module):
    """Binary convolution of all channels, added to the 64 newest."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.bn = nn.BatchNorm2d(channels)
        self.sign = BinaryActivation()
        self.conv = HardBinaryConv(channels, GROWTH)

    def forward(self, x: Tensor) -> Tensor:
        """Apply the block; the shape is unchanged."""
        newest = x[:, -GROWTH:] + self.conv(self.sign(self.bn(x)))
        return torch.cat([x[:, :-GROWTH], newest], 1)


def _block(channels: int) -> nn.Module:
    return nn.Sequential(DenseBlock(channels), ImprovementBlock(channels + GROWTH))


def meliusnet22() -> nn.Module:
    """Return MeliusNet-22: four stages of 4, 5, 4 and 4 pairs of blocks."""
    return BinaryDenseNet((4, 5, 4, 4), (160, 224, 256), grouped_stem(), _block)
