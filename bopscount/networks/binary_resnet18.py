"""Binary ResNet-18 variant, whose table torchstat's Bops extension published.

Its blocks have one convolution each: binary activation, binary 3x3 convolution of stride 1,
batch norm. The first block of layers 2 to 4 halves the resolution by average pooling, and
doubles the channels.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from bopscount.networks.layers import BinaryActivation, HardBinaryConv


class BinaryBlock(nn.Module):
    """Binary activation, binary convolution and batch norm, with a shortcut around them."""

    def __init__(self, in_channels: int, out_channels: int, halve: bool) -> None:
        super().__init__()
        self.binary_activation = BinaryActivation()
        self.binary_conv = HardBinaryConv(in_channels, out_channels)
        self.bn1 = nn.BatchNorm2d(out_channels)
        # Every block of the published table has a pooling layer; only halving blocks call it.
        self.avgpool = nn.AvgPool2d(2)
        self.halve = halve
        self.repeats = out_channels // in_channels

    def forward(self, x: Tensor) -> Tensor:
        """Apply the block; the shortcut repeats the channels if their number grows."""
        shortcut = torch.cat([x] * self.repeats, 1) if self.repeats > 1 else x
        x = self.bn1(self.binary_conv(self.binary_activation(x))) + shortcut
        return self.avgpool(x) if self.halve else x


def _layer(in_channels: int, out_channels: int) -> nn.Sequential:
    """Return four blocks; the first changes the channels and, if they grow, the resolution."""
    first = BinaryBlock(in_channels, out_channels, halve=out_channels > in_channels)
    rest = [BinaryBlock(out_channels, out_channels, halve=False) for _ in range(3)]
    return nn.Sequential(first, *rest)


class BinaryResNet18(nn.Module):
    """Stem, four layers of four binary blocks, classifier."""

    def __init__(self, num_classes: int = 10) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        self.avgpool_2 = nn.AvgPool2d(2)
        self.layer1 = _layer(64, 64)
        self.layer2 = _layer(64, 128)
        self.layer3 = _layer(128, 256)
        self.layer4 = _layer(256, 512)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(512, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, 3, height, width) to (batch, num_classes)."""
        x = self.maxpool(self.bn1(self.conv1(x)))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        logits: Tensor = self.fc(torch.flatten(self.avgpool(x), 1))
        return logits


def binary_resnet18(num_classes: int = 10) -> nn.Module:
    """Return the network with random weights."""
    return BinaryResNet18(num_classes)
