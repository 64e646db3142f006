"""Products: linear, matmul, convolution, attention."""

from __future__ import annotations

from functools import lru_cache
from math import prod
from typing import Any

import torch
from torch import Tensor

from bopscount._core import KINDS, LEAF_RULES, answer, broadcast_shape, emit
from bopscount.tracing.fields import attention_of, weight_fields
from bopscount.tracing.functions.registry import rule
from bopscount.tracing.host import Rule, TraceHost
from bopscount.tracing.torch_names import RANKS


@rule("matmul.addmm")
def _addmm(host: TraceHost, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    if len(args) != 3 or kwargs.keys() - {"alpha", "beta"}:
        return NotImplemented
    bias, left, right = args
    a, b = tuple(left.shape), tuple(right.shape)
    rank = 2 if func.__name__ == "addmm" else 3
    if not len(a) == len(b) == rank:
        return NotImplemented
    shape = (*a[:-1], b[-1])
    if a[:-2] != b[:-2] or a[-1] != b[-2] or not left.dtype is right.dtype is bias.dtype:
        return NotImplemented
    if broadcast_shape(tuple(bias.shape), shape) != shape:
        return NotImplemented
    return emit(
        KINDS["matmul"],
        func.__name__,
        (left, right, bias),
        shape,
        fields={"bias_elements": bias.numel()},
    )


@rule("matmul.grouped_mm")
def _grouped_mm(host: TraceHost, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Record a grouped product of rows sorted by expert, each with its expert's matrix."""
    given = {**dict(zip(("left", "right", "offs"), args, strict=False)), **kwargs}
    left = given.get("left", given.get("self", given.get("mat_a")))
    right = given.get("right", given.get("mat2", given.get("mat_b")))
    offsets = given.get("offs")
    if host.real or left is None or right is None or offsets is None:
        return NotImplemented
    if tuple(offsets.shape) != tuple(right.shape[:1]) or offsets.dtype is not torch.int32:
        return NotImplemented
    a, b = tuple(left.shape), tuple(right.shape)
    if len(a) != 2 or len(b) != 3 or a[1] != b[1] or left.dtype is not right.dtype:
        return NotImplemented
    if left.dtype not in (torch.float32, torch.bfloat16, torch.float16):
        return NotImplemented
    # Rows must start at multiples of 16 bytes.
    if any(step > 1 and step * left.itemsize % 16 for step in (*left.stride(), *right.stride())):
        return NotImplemented
    fields = {
        **weight_fields(right),
        "batch": a[0],
        "in_channels": a[1],
        "in_positions": 1,
        "out_channels": b[2],
        "out_positions": 1,
        "extra_elements": 0,
    }
    return emit(KINDS["matmul"], "grouped_mm", (left, right), (a[0], b[2]), fields=fields)


@lru_cache(maxsize=256)
def _letters(equation: str) -> tuple[str, str, str, tuple[str, ...]] | None:
    """Return the letters of the left operand, the right one and the output, and their groups.

    The groups are batch, contracted, left only and right only. Returns None if the equation is no
    plain product, to let torch parse it.
    """
    terms, arrow, out = equation.replace(" ", "").partition("->")
    left, comma, right = terms.partition(",")
    if not arrow or not comma:
        return None
    for term in (left, right, out):
        if len(set(term)) != len(term) or (term and not term.isalpha()):
            return None
    shared = set(left) & set(right)
    summed = shared - set(out)
    if not summed or set(out) != (set(left) | set(right)) - summed:
        return None
    groups = (shared - summed, summed, set(left) - shared, set(right) - shared)
    return left, right, out, tuple("".join(sorted(group)) for group in groups)


@rule("matmul.einsum")
def _einsum(host: TraceHost, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Record an einsum of two operands as a batched product over their shared letters."""
    operands = args[1] if len(args) == 2 and isinstance(args[1], (tuple, list)) else args[1:]
    if kwargs or type(args[0]) is not str or len(operands) != 2:
        return NotImplemented
    letters = _letters(args[0])
    if letters is None:
        return NotImplemented
    left, right, out, groups = letters
    a, b = operands
    if len(left) != a.dim() or len(right) != b.dim() or a.dtype is not b.dtype:
        return NotImplemented
    size: dict[str, int] = dict(zip(left, a.shape, strict=True))
    for letter, length in zip(right, b.shape, strict=True):
        if size.setdefault(letter, length) != length:
            return NotImplemented
    batch, summed, rows, columns = (prod([size[letter] for letter in group]) for group in groups)
    if summed == 1:
        return NotImplemented  # torch multiplies element-wise
    fields = {
        **weight_fields(b),
        "batch": batch,
        "in_channels": summed,
        "in_positions": rows,
        "out_channels": columns,
        "out_positions": rows,
        "extra_elements": 0,
    }
    return emit(KINDS["matmul"], "einsum", (a, b), tuple([size[i] for i in out]), fields=fields)


@rule("attention.scaled_dot_product_attention")
def _attention(host: TraceHost, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    names = ("query", "key", "value", "attn_mask", "dropout_p", "is_causal")
    given = {**dict(zip(names, args, strict=False)), **kwargs}
    query, key, value = given["query"], given["key"], given["value"]
    if not query.dtype.is_floating_point:
        return NotImplemented
    if not query.dtype is key.dtype is value.dtype:
        return NotImplemented
    q, k, v = tuple(query.shape), tuple(key.shape), tuple(value.shape)
    if (
        0 in (*q, *k, *v)
        or min(len(q), len(k), len(v)) < 3
        or q[-1] != k[-1]
        or k[-2] != v[-2]
        or 0 in k + v
    ):
        return NotImplemented
    if given.get("enable_gqa"):
        if k[:-3] != q[:-3] or v[:-3] != q[:-3] or k[-3] != v[-3] or q[-3] % k[-3]:
            return NotImplemented
    elif not (q[:-2] == k[:-2] == v[:-2]):
        return NotImplemented
    mask = given.get("attn_mask")
    if mask is not None:
        scores = (*q[:-1], k[-2])
        if mask.dtype not in (torch.bool, query.dtype) or given.get("is_causal"):
            return NotImplemented
        if broadcast_shape(scores, tuple(mask.shape)) != scores:
            return NotImplemented
    fields = attention_of(query, key, value, mask, bool(given.get("is_causal")))
    operands = (query, key, value) if mask is None else (query, key, value, mask)
    return emit(
        KINDS["attention"], "scaled_dot_product_attention", operands, (*q[:-1], v[-1]),
        fields=fields,
    )  # fmt: skip


def _conv(rank: int) -> Rule:
    names = ("input", "weight", "bias", "stride", "padding", "dilation", "groups")
    number = LEAF_RULES.index(f"conv{rank}d")

    def handler(host: TraceHost, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        given = {**dict(zip(names, args, strict=False)), **kwargs}
        x, weight, bias = given["input"], given["weight"], given.get("bias")
        # Quantised weights of other libraries need not be tensors; torch dispatches to them.
        if not (isinstance(x, Tensor) and isinstance(weight, Tensor)):
            return NotImplemented
        if x.dtype is not weight.dtype:
            return NotImplemented
        if not x.dtype.is_floating_point or len(given) != len(args) + len(kwargs):
            return NotImplemented
        if bias is not None and (bias.dtype is not x.dtype or bias.shape != weight.shape[:1]):
            return NotImplemented
        if weight.dim() != rank + 2 or x.dim() not in (rank + 1, rank + 2):
            return NotImplemented
        stride, padding, dilation = (
            spread(given.get(name, default), rank)
            for name, default in (("stride", 1), ("padding", 0), ("dilation", 1))
        )
        groups = given.get("groups", 1)
        if stride is None or padding is None or dilation is None or type(groups) is not int:
            return NotImplemented
        if groups < 1 or weight.shape[0] % groups:
            return NotImplemented
        attributes = {
            "in_channels": weight.shape[1] * groups,
            "out_channels": weight.shape[0],
            "groups": groups,
            "kernel_size": tuple(weight.shape[2:]),
            "stride": stride,
            "padding": padding,
            "dilation": dilation,
            "padding_mode": "zeros",
        }
        out = answer(number, f"conv{rank}d", x, attributes, weight, bias, others=(weight,))
        return NotImplemented if out is None else out

    return handler


def spread(value: Any, rank: int) -> tuple[int, ...] | None:
    """Return `rank` ints from one int, or from a sequence of 1 or `rank` ints; else None."""
    if type(value) is int:
        return (value,) * rank
    if isinstance(value, (tuple, list)) and all(type(size) is int for size in value):
        return (
            tuple(value) * rank if len(value) == 1 else tuple(value) if len(value) == rank else None
        )
    return None


for _rank in RANKS:
    rule(f"conv.conv{_rank}d")(_conv(_rank))
