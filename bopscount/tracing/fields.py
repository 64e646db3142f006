"""Record fields shared by several rules."""

from __future__ import annotations

from math import prod
from typing import Any

from torch import Tensor

from bopscount._core import BIT_SOURCES, LAYER_FLAGS


def three(value: int | tuple[int, ...] | list[int]) -> tuple[int, ...]:
    """Return a window attribute (kernel, stride, dilation) in three dimensions, padded with 1."""
    values = (value,) if isinstance(value, int) else tuple(value)
    return (*values, 1, 1, 1)[:3]


def three_paddings(value: int | tuple[int, ...] | list[int]) -> tuple[int, ...]:
    """Return paddings in three dimensions, padded with 0."""
    values = (value,) if isinstance(value, int) else tuple(value)
    return (*values, 0, 0, 0)[:3]


def quantised(source: str, **bits: int | None) -> dict[str, Any]:
    """Return the record fields of bit widths from one source, such as "user"."""
    fields: dict[str, Any] = {}
    for name, width in bits.items():
        if width is not None:
            fields[name] = width
            fields[name + "_source"] = BIT_SOURCES[source]
    return fields


def weight_fields(weight: Tensor, bias: Tensor | None = None) -> dict[str, Any]:
    """Return the record fields of a weight, or second operand, and a bias."""
    itemsize, dtype = weight.itemsize, weight.dtype
    fields = {
        "weight_elements": weight.numel(),
        "weight_bits": 8 * itemsize,
        "weight_item_bytes": itemsize,
        "bias_elements": 0 if bias is None else bias.numel(),
    }
    if not dtype.is_floating_point and not dtype.is_complex:
        fields["weight_bits_source"] = BIT_SOURCES["dtype"]
    return fields


def attention_fields(
    batch: int, length: int, keys: int, width: int, value_width: int, *, mask: Tensor | None
) -> dict[str, Any]:
    """Return the record fields of scaled dot-product attention.

    Args:
        batch: Samples x heads.
        length: Number of queries per head.
        keys: Number of keys, and of values, per head.
        width: Features of a query and of a key.
        value_width: Features of a value and of the output.
        mask: Attention mask, if any.

    Example: 12 heads of 197 tokens and 64 features, `attention_fields(12, 197, 197, 64, 64,
    mask=None)`, have 12 x 197 x 197 x (64 + 64) macs.
    """
    return {
        "batch": batch,
        "in_channels": width,
        "in_positions": length,
        "out_channels": value_width,
        "out_positions": length,
        "kernel": (keys, 1, 1),
        "extra_elements": 0 if mask is None else mask.numel(),
        "flags": 0 if mask is None else LAYER_FLAGS["masked"],
    }


def attention_of(
    query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None = None, causal: bool = False
) -> dict[str, Any]:
    """Return the record fields of attention on (..., length, width) tensors."""
    fields = attention_fields(
        prod(query.shape[:-2]), query.shape[-2], key.shape[-2], query.shape[-1], value.shape[-1],
        mask=mask,
    )  # fmt: skip
    fields |= weight_fields(key)
    fields["weight_elements"] = key.numel() + value.numel()
    fields["flags"] |= LAYER_FLAGS["causal"] if causal else 0
    return fields
