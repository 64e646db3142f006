"""Bit widths of one layer, as adapters and rules state them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, slots=True)
class LayerBits:
    """Bit widths of one module, and its weight shape if the weight is no plain parameter.

    A width of None is unknown: the input tensor, its dtype, or else full precision determines
    it. A width of 32 means float.

    Attributes:
        weight_bits: Stored bits per weight.
        input_bits: Stored bits per input element.
        output_bits: Stored bits per output element; marks a quantiser.
        weight_shape: Logical shape (out, in / groups, *kernel) of a packed or flat weight.
        logical_params: Number of parameters by logical shape, if they are packed or hidden.
        looks_up: Whether the layer looks up rows of the weight, as an embedding does.
        by_shape: Whether the forward cannot be traced (a custom kernel), so that
            `weight_shape` and the module's attributes determine the record.
        stand_in: Float layer of the same sizes, on meta, whose rule is used instead.
        assumptions: Sentences on unreadable attributes and the values assumed for them.
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
