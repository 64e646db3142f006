"""TFC of FINN (Umuroglu et al., 2017): quantised perceptron for MNIST."""

from __future__ import annotations

from torch import Tensor, nn

from bopscount.networks.layers import QuantActivation, QuantLinear

_WIDTHS = (28 * 28, 64, 64, 64)


class TFC(nn.Module):
    """Three hidden layers of 64 with batch norm; the image has the activations' bit width."""

    def __init__(self, weight_bits: int, activation_bits: int, num_classes: int = 10) -> None:
        super().__init__()
        bits = {"weight_bits": weight_bits, "input_bits": activation_bits}
        layers: list[nn.Module] = [nn.Flatten(), QuantActivation(activation_bits)]
        for narrow, wide in zip(_WIDTHS[1:], _WIDTHS, strict=False):
            layers += [
                QuantLinear(wide, narrow, **bits),
                nn.BatchNorm1d(narrow),
                QuantActivation(activation_bits),
            ]
        self.layers = nn.Sequential(*layers, QuantLinear(_WIDTHS[-1], num_classes, **bits))

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, 1, 28, 28) to (batch, num_classes)."""
        logits: Tensor = self.layers(x)
        return logits


def tfc_1w1a() -> nn.Module:
    """Return TFC with 59,008 MACs of 1 x 1 bit."""
    return TFC(1, 1)


def tfc_1w2a() -> nn.Module:
    """Return TFC with 59,008 MACs of 1 x 2 bits."""
    return TFC(1, 2)


def tfc_2w2a() -> nn.Module:
    """Return TFC with 59,008 MACs of 2 x 2 bits."""
    return TFC(2, 2)
