"""Record fields that several rules fill in the same way."""

from __future__ import annotations

from math import prod
from typing import Any

from torch import Tensor

from bopscount._core import BIT_SOURCES, LAYER_FLAGS


def three(value: int | tuple[int, ...] | list[int]) -> tuple[int, ...]:
    """A window attribute in three dimensions, filled up with what 1-D layers have."""
    values = (value,) if isinstance(value, int) else tuple(value)
    return (*values, 1, 1, 1)[:3]


def three_paddings(value: int | tuple[int, ...] | list[int]) -> tuple[int, ...]:
    """The same for paddings, where what is missing is 0."""
    values = (value,) if isinstance(value, int) else tuple(value)
    return (*values, 0, 0, 0)[:3]


def quantised(source: str, **bits: int | None) -> dict[str, Any]:
    """Record fields for bit widths that come from one source, such as "user"."""
    fields: dict[str, Any] = {}
    for name, width in bits.items():
        if width is not None:
            fields[name] = width
            fields[name + "_source"] = BIT_SOURCES[source]
    return fields


def weight_fields(weight: Tensor, bias: Tensor | None = None) -> dict[str, Any]:
    """Record fields for a weight, or second operand, and a bias."""
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


def matmul_fields(left: Tensor, right: Tensor, bias: Tensor | None = None) -> dict[str, Any]:
    """(..., m, k) @ (..., k, n): batch x m rows of k, the weight is the right operand.

    Example: (1, 12, 197, 64) @ (1, 12, 64, 197) has 12 x 197 rows, 64 in and 197 out.
    """
    inner = left.shape[-1]
    columns = right.shape[-1] if right.dim() > 1 else 1
    rows = left.shape[-2] if left.dim() > 1 else 1
    batch = batch_elements(tuple(left.shape[:-2]), tuple(right.shape[:-2]))
    return {
        "batch": batch * rows,
        "in_channels": inner,
        "in_positions": 1,
        "out_channels": columns,
        "out_positions": 1,
        "extra_elements": 0,
        **weight_fields(right, bias),
    }


def batch_elements(left: tuple[int, ...], right: tuple[int, ...]) -> int:
    """Number of matrices that two batch shapes broadcast to."""
    longer, shorter = (left, right) if len(left) >= len(right) else (right, left)
    padded = (1,) * (len(longer) - len(shorter)) + shorter
    return prod(max(a, b) if a and b else 0 for a, b in zip(longer, padded, strict=True))


def softmax_fields(shape: tuple[int, ...], dim: int) -> dict[str, Any]:
    """A softmax over `dim`: batch x in_positions vectors of in_channels each."""
    rank = len(shape)
    channels = shape[dim] if rank else 1
    batch = shape[0] if rank > 1 and dim % rank != 0 else 1
    positions = prod(shape) // max(1, channels * batch)
    return {
        "batch": batch,
        "in_channels": channels,
        "out_channels": channels,
        "in_positions": positions,
        "out_positions": positions,
    }


def attention_fields(
    query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None = None, causal: bool = False
) -> dict[str, Any]:
    """Query (..., length, width), key (..., keys, width), value (..., keys, value width)."""
    flags = LAYER_FLAGS["masked"] if mask is not None else 0
    length = query.shape[-2]
    return {
        **weight_fields(key),
        "batch": prod(query.shape[:-2]),
        "in_channels": query.shape[-1],
        "in_positions": length,
        "out_channels": value.shape[-1],
        "out_positions": length,
        "kernel": (key.shape[-2], 1, 1),
        "weight_elements": key.numel() + value.numel(),
        "extra_elements": 0 if mask is None else mask.numel(),
        "flags": flags | (LAYER_FLAGS["causal"] if causal else 0),
    }


def broadcast(left: tuple[int, ...], right: tuple[int, ...]) -> tuple[int, ...] | None:
    """The shape that two shapes broadcast to, None if they do not."""
    if left == right:
        return left
    longer, shorter = (left, right) if len(left) >= len(right) else (right, left)
    offset = len(longer) - len(shorter)
    shape = list(longer)
    for index, size in enumerate(shorter, offset):
        if shape[index] == size or size == 1:
            continue
        if shape[index] != 1:
            return None
        shape[index] = size
    return tuple(shape)
