"""Built-in example networks, by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bopscount.networks.binary_resnet18 import binary_resnet18

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, slots=True)
class ExampleNetwork:
    """A network and the input it is made for.

    Attributes:
        build: Makes it, without weights.
        input_size: Shape of one sample.
        doc: One line.
    """

    build: Callable[[], nn.Module]
    input_size: tuple[int, ...]
    doc: str


NETWORKS = {
    "binary_resnet18": ExampleNetwork(
        binary_resnet18, (3, 224, 224), "binary ResNet-18 variant of the torchstat Bops table"
    ),
}
"""Name -> network, as the command line knows them."""
