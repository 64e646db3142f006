"""Interface of a pass over a network's records, as seen by the rules of `follow`."""

from __future__ import annotations

from typing import Any, Protocol

import numpy.typing as npt

from bopscount.records.table import Records
from bopscount.search.candidates.shapes import Shape, Size, Traced

Operand = tuple[int, int, bool]
"""Producing record, number of the network's input, and whether the operand is a view."""


class Flow(Protocol):
    """Producers and consumers of a recorded network, the same for every candidate."""

    @property
    def kinds(self) -> list[str]:
        """Name of each record's kind."""

    @property
    def operands(self) -> list[list[Operand]]:
        """Operands of each record."""

    @property
    def input_shapes(self) -> dict[int, Traced]:
        """Traced shapes of the network's inputs by number."""

    def is_constant(self, operand: Operand) -> bool:
        """Return whether an operand does not depend on the network's inputs."""


class Walk(Protocol):
    """Pass over the records of a block of candidates."""

    @property
    def flow(self) -> Flow:
        """Producers and consumers of the network."""

    @property
    def table(self) -> Records:
        """The network as traced."""

    @property
    def given(self) -> set[tuple[int, str]]:
        """Fields set by the caller, by record, which must not follow from others."""

    def operand(self, index: int, number: int) -> Shape:
        """Return the current shape of an operand, or raise Unknown."""

    def base_of(self, index: int, number: int) -> tuple[Traced, Shape]:
        """Return the traced and the current shape of the tensor that an operand is or views."""

    def is_still(self, index: int, number: int) -> bool:
        """Return whether an operand is unchanged in every candidate."""

    def column(self, index: int) -> npt.NDArray[Any]:
        """Return the record of every candidate, writable."""

    def window_shape(self, index: int, spatial: int, shape: Shape) -> Shape:
        """Return the output shape of a convolution, pooling or linear layer."""

    def set_weights(self, index: int, weights: Size, biases: Size) -> None:
        """Set weight and bias elements of a layer, and its parameters accordingly."""
