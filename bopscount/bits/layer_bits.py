"""What is known of a layer's bit widths."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, slots=True)
class LayerBits:
    """Bit widths of one module, and where its weights are no plain parameter, their shape.

    None means that nothing is known: then the tensor that comes in decides, its dtype, or full
    precision. 32 means float, for certain.

    Attributes:
        weight_bits: Stored bits of a weight.
        input_bits: Stored bits of an element of the input.
        output_bits: Stored bits of an element of what comes out; marks a quantiser.
        weight_shape: Logical shape (out, in / groups, *kernel) of a packed or flat weight.
        logical_params: Parameters by logical shapes, where they are packed or hidden.
        looks_up: Whether rows of the weight are looked up, as in an embedding.
        by_shape: Whether the forward cannot be followed (a kernel of its own) and is answered
            from `weight_shape` and the module's attributes.
        stand_in: A float layer of the same sizes, on meta, whose rule answers in its place.
        assumptions: What could not be read and what was taken instead, as sentences.
    """

    weight_bits: int | None = None
    input_bits: int | None = None
    output_bits: int | None = None
    weight_shape: tuple[int, ...] | None = None
    logical_params: int | None = None
    looks_up: bool = False
    by_shape: bool = False
    stand_in: nn.Module | None = None
    assumptions: tuple[str, ...] = ()
