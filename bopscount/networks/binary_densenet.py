"""BinaryDenseNet-28 (Bethge et al., 2019), on which MeliusNet builds.

Each block adds 64 channels with a binary 3x3 convolution; between stages, a 1x1
convolution in full precision reduces the channels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from bopscount.networks.layers import BinaryActivation, HardBinaryConv
from bopscount.networks.stems import grouped_stem, norm_relu, plain_stem

GROWTH = 64


class DenseBlock(nn.Module):
    """Batch norm, sign, binary convolution to 64 channels, concatenated to the input."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.bn = nn.BatchNorm2d(channels)
        self.sign = BinaryActivation()
        self.conv = HardBinaryConv(channels, GROWTH)

    def forward(self, x: Tensor) -> Tensor:
        """Map `channels` to `channels` + 64."""
        return torch.cat([x, self.conv(self.sign(self.bn(x)))], 1)


def transition(in_channels: int, out_channels: int) -> nn.Sequential:
    """Return a layer that halves the resolution and reduces the channels."""
    return nn.Sequential(
        nn.BatchNorm2d(in_channels),
        nn.MaxPool2d(2),
        nn.ReLU(),
        nn.Conv2d(in_channels, out_channels, 1, bias=False),
    )


class BinaryDenseNet(nn.Module):
    """Stem, stages of blocks with transitions between them, classifier."""

    def __init__(
        self,
        blocks: Sequence[int],
        reduced: Sequence[int],
        stem: nn.Module,
        block: Callable[[int], nn.Module] = DenseBlock,
        num_classes: int = 1000,
    ) -> None:
        super().__init__()
        self.stem = stem
        channels, layers = 64, list[nn.Module]()
        for stage, repeats in enumerate(blocks):
            for _ in range(repeats):
                layers.append(block(channels))
                channels += GROWTH
            if stage < len(reduced):
                layers.append(transition(channels, reduced[stage]))
                channels = reduced[stage]
        self.layers = nn.Sequential(*layers, *norm_relu(channels))
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(channels, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, 3, height, width) to (batch, num_classes)."""
        logits: Tensor = self.fc(torch.flatten(self.avgpool(self.layers(self.stem(x))), 1))
        return logits


def binary_densenet28(grouped: bool = False) -> nn.Module:
    """Return BinaryDenseNet-28, if `grouped` with MeliusNet's stem instead of a 7x7 convolution."""
    stem = grouped_stem() if grouped else plain_stem(relu=True)
    return BinaryDenseNet((6, 6, 6, 5), (160, 192, 256), stem)
