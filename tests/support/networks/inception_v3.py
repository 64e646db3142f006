"""Inception-v3 (Szegedy et al., 2015) without its auxiliary classifier."""

import torch
from torch import nn


def conv(in_channels, out_channels, kernel, stride=1, padding=0):
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, kernel, stride, padding, bias=False),
        nn.BatchNorm2d(out_channels),
        nn.ReLU(),
    )


def chain(channels, *convs):
    """Convolutions of (out, kernel) that keep the resolution."""
    layers = []
    for out_channels, kernel in convs:
        rows, columns = kernel if isinstance(kernel, tuple) else (kernel, kernel)
        layers.append(conv(channels, out_channels, (rows, columns), 1, (rows // 2, columns // 2)))
        channels = out_channels
    return nn.Sequential(*layers)


def pooled(channels, out_channels):
    return nn.Sequential(nn.AvgPool2d(3, 1, 1), conv(channels, out_channels, 1))


class Branches(nn.Module):
    """Side by side, joined along the channels."""

    def __init__(self, *branches):
        super().__init__()
        self.branches = nn.ModuleList(branches)

    def forward(self, x):
        return torch.cat([branch(x) for branch in self.branches], 1)


def block_a(channels, pool):
    return Branches(
        chain(channels, (64, 1)),
        chain(channels, (48, 1), (64, 5)),
        chain(channels, (64, 1), (96, 3), (96, 3)),
        pooled(channels, pool),
    )


def block_b(channels):
    return Branches(
        conv(channels, 384, 3, 2),
        nn.Sequential(chain(channels, (64, 1), (96, 3)), conv(96, 96, 3, 2)),
        nn.MaxPool2d(3, 2),
    )


def block_c(channels, width):
    row, column = (1, 7), (7, 1)
    return Branches(
        chain(channels, (192, 1)),
        chain(channels, (width, 1), (width, row), (192, column)),
        chain(channels, (width, 1), (width, column), (width, row), (width, column), (192, row)),
        pooled(channels, 192),
    )


def block_d(channels):
    return Branches(
        nn.Sequential(chain(channels, (192, 1)), conv(192, 320, 3, 2)),
        nn.Sequential(
            chain(channels, (192, 1), (192, (1, 7)), (192, (7, 1))), conv(192, 192, 3, 2)
        ),
        nn.MaxPool2d(3, 2),
    )


def block_e(channels):
    def fork():
        return Branches(chain(384, (384, (1, 3))), chain(384, (384, (3, 1))))

    return Branches(
        chain(channels, (320, 1)),
        nn.Sequential(chain(channels, (384, 1)), fork()),
        nn.Sequential(chain(channels, (448, 1), (384, 3)), fork()),
        pooled(channels, 192),
    )


class InceptionV3(nn.Module):
    """3x299x299 to 1,000 classes."""

    def __init__(self, num_classes=1000):
        super().__init__()
        self.features = nn.Sequential(
            conv(3, 32, 3, 2),
            conv(32, 32, 3),
            conv(32, 64, 3, 1, 1),
            nn.MaxPool2d(3, 2),
            conv(64, 80, 1),
            conv(80, 192, 3),
            nn.MaxPool2d(3, 2),
            block_a(192, 32),
            block_a(256, 64),
            block_a(288, 64),
            block_b(288),
            block_c(768, 128),
            block_c(768, 160),
            block_c(768, 160),
            block_c(768, 192),
            block_d(768),
            block_e(1280),
            block_e(2048),
            nn.AdaptiveAvgPool2d(1),
        )
        self.fc = nn.Linear(2048, num_classes)

    def forward(self, x):
        return self.fc(torch.flatten(self.features(x), 1))
