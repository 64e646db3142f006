"""Bi-Real-Net-18 by its shapes, of classes that are known by their bare names."""

import torch
from torch import nn


class HardBinaryConv(nn.Conv2d):
    """By its bare name a 1x1-bit convolution."""


class BinaryActivation(nn.Module):
    """By its bare name a binary activation."""

    def forward(self, x):
        return torch.sign(x)


def binary_block(channels, out, stride):
    """Bi-Real-Net's block, of which only the shapes matter: no sums of shortcuts here."""
    shortcut = nn.Sequential()
    if stride > 1:
        shortcut = nn.Sequential(
            nn.AvgPool2d(2), nn.Conv2d(channels, out, 1, bias=False), nn.BatchNorm2d(out)
        )
    body = nn.Sequential(
        BinaryActivation(),
        HardBinaryConv(channels, out, 3, stride, 1, bias=False),
        nn.BatchNorm2d(out),
    )
    return nn.ModuleList([body, shortcut])


class BiRealNet18(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64), nn.MaxPool2d(3, 2, 1)
        )
        sizes = [(64, 64, 1)] * 4
        for out in (128, 256, 512):
            sizes += [(out // 2, out, 2), *[(out, out, 1)] * 3]
        self.blocks = nn.ModuleList([binary_block(*size) for size in sizes])
        self.head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, 1000))

    def forward(self, x):
        x = self.stem(x)
        for body, shortcut in self.blocks:
            x = body(x) + shortcut(x)
        return self.head(x)
