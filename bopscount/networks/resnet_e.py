"""ResNetE-18 (Bethge et al., 2019): Bi-Real-Net-18 with another stem and layer order."""

from __future__ import annotations

from torch import nn

from bopscount.networks.birealnet import BiRealNet
from bopscount.networks.stems import grouped_stem


def resnet_e18(grouped: bool = False, norm_after_stem: bool = False) -> nn.Module:
    """Return ResNetE-18 for 1,000 classes.

    Args:
        grouped: Use MeliusNet's stem of three 3x3 convolutions instead of a 7x7 convolution.
        norm_after_stem: Add a batch norm after the stem, as bitorch and larq do.

    Example: it has 163,473,408 OPs without the classifier, 114,100,224 with the grouped stem.
    """
    model = BiRealNet((4, 4, 4, 4))
    if grouped:
        model.stem = grouped_stem()
    if norm_after_stem:
        model.stem.append(nn.BatchNorm2d(64))
    return model
