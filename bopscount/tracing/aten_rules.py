"""Recording rules of ATen ops.

They apply to ops that reach torch's dispatcher because no leaf or function rule answered. An op
without a rule that is neither a view nor tagged pointwise by torch is recorded as uncounted.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

import torch
from torch import Tensor

from bopscount._core import alias
from bopscount.tracing.emitter import Emitter
from bopscount.tracing.fields import (
    attention_of,
    three,
    three_paddings,
    weight_fields,
)
from bopscount.tracing.quantized_rules import record_quantized
from bopscount.tracing.torch_names import RANKS, TORCH_NAMES

AtenRule = Callable[[Emitter, str, tuple[Any, ...], dict[str, Any], Any], None]
aten = torch.ops.aten
ATEN_RULES: dict[str, AtenRule] = {}
"""ATen name, without the underscore of in-place forms -> rule."""


def aten_names(*groups: str) -> list[str]:
    """Return the ATen names of `TORCH_NAMES` groups such as "matmul.addmm"."""
    found: list[str] = []
    for group in groups:
        kind, _, name = group.partition(".")
        found += TORCH_NAMES[kind].aten[name]
    return found


def _rule(*groups: str) -> Callable[[AtenRule], AtenRule]:
    """Register a rule for all ops of the named groups."""

    def add(rule: AtenRule) -> AtenRule:
        for name in aten_names(*groups):
            if name in ATEN_RULES:
                raise ValueError(f"two rules for aten.{name}")
            ATEN_RULES[name] = rule
        return rule

    return add


@_rule("conv.convolution")
def _convolution(
    emitter: Emitter, op: str, args: tuple[Any, ...], _kwargs: dict[str, Any], out: Tensor
) -> None:
    x, weight, bias, stride, padding, dilation, transposed, output_padding, groups = args[:9]
    rank = weight.dim() - 2
    channels = x.shape[-1 - rank]
    if transposed and channels != weight.shape[0]:  # torch checks this on real tensors only
        raise RuntimeError(
            f"transposed convolution with a weight of size {list(weight.shape)} expects an input "
            f"of {weight.shape[0]} channels, got {channels} in {list(x.shape)}"
        )
    emitter.add(
        "conv_transpose" if transposed else "conv",
        op,
        x,
        out,
        others=(weight,),
        batched=x.dim() == rank + 2,
        groups=groups,
        kernel=three(tuple(weight.shape[2:])),
        stride=three((*stride,) * (rank if len(stride) == 1 else 1)),
        padding=three_paddings((*padding,) * (rank if len(padding) == 1 else 1)),
        dilation=three((*dilation,) * (rank if len(dilation) == 1 else 1)),
        output_padding=three_paddings(tuple(output_padding)),
        **weight_fields(weight, bias),
    )


def _product(
    emitter: Emitter, op: str, left: Tensor, right: Tensor, out: Tensor, bias: Tensor | None = None
) -> None:
    bias_elements = 0 if bias is None else bias.numel()
    emitter.add("matmul", op, left, out, others=(right,), bias_elements=bias_elements)


@_rule("matmul.mm")
def _mm(emitter: Emitter, op: str, args: tuple[Any, ...], _kwargs: Any, out: Tensor) -> None:
    _product(emitter, op, args[0], args[1], out)


@_rule("matmul.addmm")
def _addmm(emitter: Emitter, op: str, args: tuple[Any, ...], _kwargs: Any, out: Tensor) -> None:
    _product(emitter, op, args[1], args[2], out, args[0])


@_rule("matmul.addbmm")
def _addbmm(emitter: Emitter, op: str, args: tuple[Any, ...], _kwargs: Any, out: Tensor) -> None:
    left, right = args[1], args[2]
    emitter.add(
        "matmul",
        op,
        left,
        out,
        batch=left.shape[1],
        in_channels=left.shape[0] * left.shape[2],
        in_positions=1,
        out_channels=right.shape[2],
        out_positions=1,
        **weight_fields(right, args[0]),
    )


@_rule("bilinear.trilinear")
def _trilinear(emitter: Emitter, op: str, args: tuple[Any, ...], _kwargs: Any, out: Tensor) -> None:
    # nn.Bilinear: x1 (b, 1, in1, 1), weight (1, out, in1, in2), x2 (b, 1, 1, in2)
    x1, weight, x2 = args[:3]
    first, second = weight.shape[-2], weight.shape[-1]
    emitter.add(
        "bilinear",
        op,
        x1,
        out,
        batch=out.numel() // max(1, out.shape[-1]),
        in_channels=(first + 1) * second,
        in_positions=1,
        out_channels=out.shape[-1],
        out_positions=1,
        extra_elements=x2.numel(),
        **weight_fields(weight),
    )


@_rule("attention.attention")
def _attention(
    emitter: Emitter, op: str, args: tuple[Any, ...], kwargs: dict[str, Any], out: Any
) -> None:
    query, key, value = args[:3]
    mask = kwargs.get("attn_mask", kwargs.get("attn_bias"))
    fields = attention_of(query, key, value, mask, bool(kwargs.get("is_causal")))
    first = out[0] if isinstance(out, (tuple, list)) else out
    emitter.add("attention", op, query, first, others=(key, value), **fields)


@_rule("batch_norm.batch_norm")
def _batch_norm(emitter: Emitter, op: str, args: tuple[Any, ...], _kwargs: Any, out: Any) -> None:
    weight, bias = args[1], args[2]
    mean = args[3] if len(args) > 3 and isinstance(args[3], Tensor) else None  # noqa: PLR2004
    fields = {} if weight is None else weight_fields(weight, bias)
    statistics = 0 if mean is None else 2 * mean.numel()
    first = out[0] if isinstance(out, (tuple, list)) else out
    emitter.add("batch_norm", op, args[0], first, extra_elements=statistics, **fields)


def _norm(kind: str, weight_at: int) -> AtenRule:
    def rule(emitter: Emitter, op: str, args: tuple[Any, ...], _kwargs: Any, out: Any) -> None:
        weight = args[weight_at] if len(args) > weight_at else None
        bias = args[weight_at + 1] if len(args) > weight_at + 1 else None
        fields = {}
        if isinstance(weight, Tensor):
            fields = weight_fields(weight, bias if isinstance(bias, Tensor) else None)
        first = out[0] if isinstance(out, (tuple, list)) else out
        emitter.add(kind, op, args[0], first, **fields)

    return rule


for _kind, _names in TORCH_NAMES.items():
    for _weight_at in (1, 2):
        if f"norm_{_weight_at}" in _names.aten:
            _rule(f"{_kind}.norm_{_weight_at}")(_norm(_kind, _weight_at))


def _pool(kind: str, rank: int) -> AtenRule:
    def rule(emitter: Emitter, op: str, args: tuple[Any, ...], _kwargs: Any, out: Any) -> None:
        first = out[0] if isinstance(out, (tuple, list)) else out
        spread = [
            tuple(value) if isinstance(value, (list, tuple)) else (value,) for value in args[1:4]
        ]
        kernel, stride, padding = (
            (value * rank if len(value) == 1 else value) for value in [*spread, (0,), (0,)][:3]
        )
        emitter.add(
            kind,
            op,
            args[0],
            first,
            batched=args[0].dim() == rank + 2,
            kernel=three(kernel),
            stride=three(stride or kernel),
            padding=three_paddings(padding if isinstance(padding[0], int) else (0,)),
        )

    return rule


def _fractional_pool(rank: int) -> AtenRule:
    pool = _pool("max_pool", rank)

    def rule(emitter: Emitter, op: str, args: tuple[Any, ...], kwargs: Any, out: Any) -> None:
        pool(emitter, op, (args[0], args[1], args[1]), kwargs, out)  # torch draws the strides

    return rule


for _rank in RANKS:
    _rule(f"max_pool.pool{_rank}d")(_pool("max_pool", _rank))
    _rule(f"avg_pool.pool{_rank}d")(_pool("avg_pool", _rank))
for _rank in (2, 3):
    _rule(f"max_pool.fractional_pool{_rank}d")(_fractional_pool(_rank))


def _plain(kind: str) -> AtenRule:
    """Return the rule of a kind that needs only the shapes of the operands and the output."""

    def rule(emitter: Emitter, op: str, args: tuple[Any, ...], kwargs: Any, out: Any) -> None:
        first = out[0] if isinstance(out, (tuple, list)) else out
        operands = tensors_in(args) + tensors_in(tuple(kwargs.values()))
        operand = operands[0] if operands else first
        if not isinstance(first, Tensor):
            return
        extra = sum(other.numel() for other in operands[1:])
        emitter.add(
            kind, op, operand, first,
            others=tuple(operands[1:]), extra_elements=extra,
        )  # fmt: skip

    return rule


def tensors_in(values: tuple[Any, ...] | list[Any]) -> list[Tensor]:
    """Return the tensors among the values and in their lists and tuples, one level deep."""
    found: list[Tensor] = []
    for value in values:
        if isinstance(value, Tensor):
            found.append(value)
        elif isinstance(value, (tuple, list)):
            found += [item for item in value if isinstance(item, Tensor)]
    return found


for _kind, _names in TORCH_NAMES.items():
    if "" in _names.aten:
        _rule(f"{_kind}.")(_plain(_kind))


@_rule("softmax.softmax", "log_softmax.softmax")
def _softmax(emitter: Emitter, op: str, args: tuple[Any, ...], _kwargs: Any, out: Tensor) -> None:
    kind = "log_softmax" if "log" in op else "softmax"
    dim = args[1] if len(args) > 1 else -1
    emitter.add(kind, op, args[0], out, channel_axis=dim)


@_rule("distance.cdist")
def _cdist(emitter: Emitter, op: str, args: tuple[Any, ...], _kwargs: Any, out: Tensor) -> None:
    left, right = args[0], args[1]
    emitter.add(
        "distance",
        op,
        left,
        out,
        batch=prod(left.shape[:-1]),
        in_channels=left.shape[-1],
        in_positions=1,
        out_channels=right.shape[-2],
        out_positions=1,
        **weight_fields(right),
    )


@_rule("lstm.lstm")
def _lstm_layer(
    emitter: Emitter, op: str, args: tuple[Any, ...], _kwargs: dict[str, Any], out: Any
) -> None:
    # oneDNN's LSTM: one layer, one direction; x (steps, batch, features).
    x, input_weight, hidden_weight, bias = args[:4]
    state_size = hidden_weight.shape[1]
    steps = prod(x.shape[:-1])
    fields = weight_fields(input_weight, bias)
    fields["weight_elements"] += hidden_weight.numel()
    fields["bias_elements"] *= 2
    emitter.add(
        "lstm",
        op,
        x,
        out[0],
        batch=steps,
        in_channels=x.shape[-1],
        in_positions=1,
        out_channels=state_size,
        out_positions=1,
        extra_elements=steps * state_size,
        kernel=(state_size, 1, 1),
        **fields,
    )


_elementwise = _plain("elementwise")
_FREE_NAMES = """
    detach empty empty_like new_empty empty_strided new_empty_strided lift_fresh lift alias
    is_same_size _local_scalar_dense item sym_size sym_numel sym_stride sym_storage_offset
    equal allclose is_nonzero is_pinned set_ _assert_async _assert_tensor_metadata record_stream
    _nested_tensor_size _has_compatible_shallow_copy_type
    squeeze_ unsqueeze_ t_ transpose_ as_strided_ detach_
"""
FREE = frozenset(_FREE_NAMES.split())
"""Ops without computation or data movement."""
VIEWS = frozenset("_unsafe_view unsafe_split unsafe_split_with_sizes unsafe_chunk".split())
"""Ops that return views, though torch does not mark them `is_view`."""


def record_aten(
    emitter: Emitter, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], out: Any
) -> None:
    """Record one dispatched op, as uncounted if it has no rule."""
    namespace, _, name = func._schema.name.partition("::")
    if namespace == "aten":
        if func.is_view or name in VIEWS:
            for part in out if isinstance(out, (tuple, list)) else (out,):
                alias(part, args[0])
            return
        if name in FREE:
            return
        base = name[:-1] if name.endswith("_") and not name.endswith("__") else name
        rule = ATEN_RULES.get(base)
        if rule is None and torch.Tag.pointwise in func.tags:
            rule = _elementwise
        if rule is not None:
            rule(emitter, f"aten.{name}", args, kwargs, out)
            _share_producer(out)
            return
    elif namespace in ("prim", "prims", "profiler"):
        return
    if record_quantized(emitter, namespace, name, args, out):
        return
    tensors = tensors_in((out,)) or tensors_in(args)
    if tensors:
        operand = (tensors_in(args) or tensors)[0]
        emitter.add("uncounted", f"{namespace}.{name}", operand, tensors[0])
        _share_producer(out)


def _share_producer(out: Any) -> None:
    """Set the producer of all outputs of an op to that of the first."""
    if isinstance(out, (tuple, list)):
        tensors = tensors_in(out)
        for other in tensors[1:]:
            alias(other, tensors[0])
