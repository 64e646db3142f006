"""QuickNet from larq's zoo 2.x (Bannink et al., 2021): binary residual blocks, SAME padding.

Binary inputs are padded with ones. The stem, the blurred and pointwise convolutions
between sections and the classifier are in full precision.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from bopscount.networks.layers import BinaryActivation, HardBinaryConv, SamePadding

_SECTIONS = ((4, 64), (4, 128), (4, 256), (4, 512))
"""(Blocks, channels) per section."""


class QuickNetBlock(nn.Module):
    """Sign, binary 3x3 convolution, ReLU, batch norm, shortcut."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            BinaryActivation(),
            SamePadding(3, value=1.0),
            HardBinaryConv(channels, channels, padding=0),
            nn.ReLU(),
            nn.BatchNorm2d(channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Apply the block; the shape is unchanged."""
        result: Tensor = x + self.layers(x)
        return result


def _depthwise(channels: int) -> list[nn.Module]:
    return [SamePadding(3, 2), nn.Conv2d(channels, channels, 3, 2, groups=channels, bias=False)]


def _stem(channels: int) -> list[nn.Module]:
    narrow = channels // 4
    return [
        SamePadding(3, 2),
        nn.Conv2d(3, narrow, 3, 2, bias=False),
        nn.BatchNorm2d(narrow),
        nn.ReLU(),
        *_depthwise(narrow),
        nn.BatchNorm2d(narrow, affine=False),
        nn.Conv2d(narrow, channels, 1, bias=False),
        nn.BatchNorm2d(channels),
    ]


def _transition(in_channels: int, out_channels: int) -> list[nn.Module]:
    """Return blurred max pooling and a 1x1 convolution."""
    return [
        nn.ReLU(),
        nn.MaxPool2d(2, 1),
        *_depthwise(in_channels),
        nn.Conv2d(in_channels, out_channels, 1, bias=False),
        nn.BatchNorm2d(out_channels),
    ]


class QuickNet(nn.Module):
    """Stem, four sections with transitions between them, classifier."""

    def __init__(self, num_classes: int = 1000) -> None:
        super().__init__()
        channels = _SECTIONS[0][1]
        layers = _stem(channels)
        for blocks, width in _SECTIONS:
            if width != channels:
                layers += _transition(channels, width)
                channels = width
            layers += [QuickNetBlock(channels) for _ in range(blocks)]
        self.layers = nn.Sequential(*layers, nn.ReLU())
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(channels, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, 3, height, width) to (batch, num_classes)."""
        logits: Tensor = self.fc(torch.flatten(self.avgpool(self.layers(x)), 1))
        return logits


def quicknet() -> nn.Module:
    """Return QuickNet; it has 13,234,088 parameters after batch norm fusion."""
    return QuickNet()
