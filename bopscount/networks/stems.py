"""First layers of ImageNet networks: 3x224x224 to 64x56x56, in full precision."""

from __future__ import annotations

from torch import nn


def norm_relu(channels: int) -> list[nn.Module]:
    """Return batch norm and ReLU."""
    return [nn.BatchNorm2d(channels), nn.ReLU()]


def plain_stem(relu: bool) -> nn.Sequential:
    """Return ResNet's stem: one 7x7 convolution of stride 2, 118,013,952 MACs.

    Args:
        relu: Whether a ReLU follows; False if the next layer takes the sign of the result.
    """
    norm = norm_relu(64) if relu else [nn.BatchNorm2d(64)]
    return nn.Sequential(nn.Conv2d(3, 64, 7, 2, 3, bias=False), *norm, nn.MaxPool2d(3, 2, 1))


def grouped_stem() -> nn.Sequential:
    """Return MeliusNet's stem: three 3x3 convolutions, two grouped, 68,640,768 MACs."""
    return nn.Sequential(
        nn.Conv2d(3, 32, 3, 2, 1, bias=False), *norm_relu(32),
        nn.Conv2d(32, 32, 3, 1, 1, groups=4, bias=False), *norm_relu(32),
        nn.Conv2d(32, 64, 3, 1, 1, groups=8, bias=False), *norm_relu(64),
        nn.MaxPool2d(3, 2, 1),
    )  # fmt: skip
