"""Built-in example networks, by name.

Imports torch and `bits`, whose decorator marks the quantised layers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bopscount.networks.binary_densenet import binary_densenet28
from bopscount.networks.binary_resnet18 import binary_resnet18
from bopscount.networks.birealnet import birealnet18, birealnet34
from bopscount.networks.bitnet import bitnet
from bopscount.networks.cnv import cnv_1w1a, cnv_2w2a
from bopscount.networks.meliusnet import meliusnet22
from bopscount.networks.quicknet import quicknet
from bopscount.networks.reactnet import react_resnet18, reactnet_a
from bopscount.networks.resnet_e import resnet_e18
from bopscount.networks.tfc import tfc_1w1a, tfc_1w2a, tfc_2w2a

if TYPE_CHECKING:
    from torch import nn

_IMAGENET = (3, 224, 224)
_CIFAR = (3, 32, 32)
_MNIST = (1, 28, 28)


@dataclass(frozen=True, slots=True)
class ExampleNetwork:
    """Network with the input that it expects.

    Attributes:
        build: Function that builds the network, with untrained weights.
        input_size: Shape of one sample.
        doc: Description in one line.
        dtype: Name of the torch dtype of the input; None for that of the parameters.
    """

    build: Callable[[], nn.Module]
    input_size: tuple[int, ...]
    doc: str
    dtype: str | None = None


NETWORKS = {
    "binary_resnet18": ExampleNetwork(
        binary_resnet18, _IMAGENET, "binary ResNet-18 variant of the torchstat Bops table"
    ),
    "birealnet18": ExampleNetwork(birealnet18, _IMAGENET, "Bi-Real-Net-18"),
    "birealnet34": ExampleNetwork(birealnet34, _IMAGENET, "Bi-Real-Net-34"),
    "reactnet_a": ExampleNetwork(reactnet_a, _IMAGENET, "ReActNet-A, a binary MobileNet"),
    "react_resnet18": ExampleNetwork(
        react_resnet18, _IMAGENET, "ReActNet's ResNet-18, Bi-Real-Net-18 with its activations"
    ),
    "quicknet": ExampleNetwork(quicknet, _IMAGENET, "QuickNet of larq's zoo"),
    "binary_densenet28": ExampleNetwork(
        binary_densenet28, _IMAGENET, "BinaryDenseNet-28 with a 7x7 stem"
    ),
    "resnet_e18": ExampleNetwork(resnet_e18, _IMAGENET, "ResNetE-18 with a 7x7 stem"),
    "meliusnet22": ExampleNetwork(meliusnet22, _IMAGENET, "MeliusNet-22"),
    "bitnet": ExampleNetwork(
        bitnet, (128,), "decoder with ternary weights and 8-bit activations, 128 tokens", "int64"
    ),
    "cnv_1w1a": ExampleNetwork(cnv_1w1a, _CIFAR, "CNV of FINN, 1-bit weights and activations"),
    "cnv_2w2a": ExampleNetwork(cnv_2w2a, _CIFAR, "CNV of FINN, 2-bit weights and activations"),
    "tfc_1w1a": ExampleNetwork(tfc_1w1a, _MNIST, "TFC of FINN, 1-bit weights and activations"),
    "tfc_1w2a": ExampleNetwork(tfc_1w2a, _MNIST, "TFC of FINN, 1-bit weights, 2-bit activations"),
    "tfc_2w2a": ExampleNetwork(tfc_2w2a, _MNIST, "TFC of FINN, 2-bit weights and activations"),
}
"""Name on the command line -> network."""
