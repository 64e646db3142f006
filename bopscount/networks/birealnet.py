"""Bi-Real Net (Liu et al., 2018): ResNets with a shortcut around every binary convolution.

The stem, the 1x1 shortcuts between stages and the classifier are in full precision.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from bopscount.networks.layers import BinaryActivation, HardBinaryConv
from bopscount.networks.stems import plain_stem


class BiRealBlock(nn.Module):
    """Sign, binary 3x3 convolution, batch norm, shortcut."""

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        self.binary_activation = BinaryActivation()
        self.binary_conv = HardBinaryConv(in_channels, out_channels, 3, stride)
        self.bn1 = nn.BatchNorm2d(out_channels)
        self.downsample = downsample(in_channels, out_channels, stride)

    def forward(self, x: Tensor) -> Tensor:
        """Apply the block; the stride divides the resolution."""
        branch = self.bn1(self.binary_conv(self.binary_activation(x)))
        result: Tensor = branch + self.downsample(x)
        return result


def downsample(in_channels: int, out_channels: int, stride: int) -> nn.Module:
    """Return a shortcut: average pooling and a 1x1 convolution if the shape changes."""
    if stride == 1 and in_channels == out_channels:
        return nn.Identity()
    return nn.Sequential(
        nn.AvgPool2d(2, stride),
        nn.Conv2d(in_channels, out_channels, 1, bias=False),
        nn.BatchNorm2d(out_channels),
    )


class BiRealNet(nn.Module):
    """Stem, four stages of one-convolution blocks, classifier."""

    def __init__(
        self,
        blocks: Sequence[int],
        block: Callable[[int, int, int], nn.Module] = BiRealBlock,
        num_classes: int = 1000,
    ) -> None:
        super().__init__()
        self.stem = plain_stem(relu=False)
        channels, layers = 64, list[nn.Module]()
        for stage, repeats in enumerate(blocks):
            width = 64 * 2**stage
            for index in range(repeats):
                layers.append(block(channels, width, 2 if stage > 0 and index == 0 else 1))
                channels = width
        self.layers = nn.Sequential(*layers)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(channels, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, 3, height, width) to (batch, num_classes)."""
        logits: Tensor = self.fc(torch.flatten(self.avgpool(self.layers(self.stem(x))), 1))
        return logits


def birealnet18() -> nn.Module:
    """Return Bi-Real-Net-18, with 16 binary convolutions."""
    return BiRealNet((4, 4, 4, 4))


def birealnet34() -> nn.Module:
    """Return Bi-Real-Net-34, with 32 binary convolutions."""
    return BiRealNet((6, 8, 12, 6))
