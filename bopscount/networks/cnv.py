"""CNV of FINN (Umuroglu et al., 2017): VGG-like quantised network for CIFAR-10.

Convolutions have no padding; all weights and activations are low-bit, the image has 8 bits.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from bopscount.networks.layers import QuantActivation, QuantConv2d, QuantLinear

_IMAGE_BITS = 8
_CHANNELS = (64, 64, 128, 128, 256, 256)
_POOLED = (1, 3)
"""Indices of the convolutions followed by 2x2 max pooling."""
_WIDTH = 512


class CNV(nn.Module):
    """Six 3x3 convolutions, three linear layers."""

    def __init__(self, weight_bits: int, activation_bits: int, num_classes: int = 10) -> None:
        super().__init__()
        features: list[nn.Module] = [QuantActivation(_IMAGE_BITS)]
        channels, input_bits = 3, _IMAGE_BITS
        for index, width in enumerate(_CHANNELS):
            features += [
                QuantConv2d(channels, width, 3, weight_bits=weight_bits, input_bits=input_bits),
                nn.BatchNorm2d(width),
                QuantActivation(activation_bits),
            ]
            if index in _POOLED:
                features.append(nn.MaxPool2d(2))
            channels, input_bits = width, activation_bits
        bits = {"weight_bits": weight_bits, "input_bits": activation_bits}
        classifier: list[nn.Module] = []
        for width in (_WIDTH, _WIDTH):
            classifier += [
                QuantLinear(channels, width, **bits),
                nn.BatchNorm1d(width),
                QuantActivation(activation_bits),
            ]
            channels = width
        self.features = nn.Sequential(*features)
        self.classifier = nn.Sequential(*classifier, QuantLinear(channels, num_classes, **bits))

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, 3, 32, 32) to (batch, num_classes)."""
        logits: Tensor = self.classifier(torch.flatten(self.features(x), 1))
        return logits


def cnv_1w1a() -> nn.Module:
    """Return CNV with 1-bit operands; MACs x bits x bits are 70,347,776."""
    return CNV(1, 1)


def cnv_2w2a() -> nn.Module:
    """Return CNV with 2-bit operands; MACs x bits x bits are 256,507,904."""
    return CNV(2, 2)
