"""ATen ops as the dispatcher sees them: how each is recorded.

Used wherever no leaf rule speaks for the running module. What is neither named
here nor tagged pointwise by torch, and is no view, is recorded as uncounted.
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
    attention_fields,
    matmul_fields,
    softmax_fields,
    three,
    three_paddings,
    weight_fields,
)
from bopscount.tracing.quantized_rules import record_quantized

Rule = Callable[[Emitter, str, tuple[Any, ...], dict[str, Any], Any], None]
aten = torch.ops.aten
RULES: dict[str, Rule] = {}


def _rule(*names: str) -> Callable[[Rule], Rule]:
    def add(rule: Rule) -> Rule:
        for name in names:
            if name in RULES:
                raise ValueError(f"two rules for aten.{name}")
            RULES[name] = rule
        return rule

    return add


@_rule("convolution", "_convolution", "convolution_overrideable", "cudnn_convolution")
def _convolution(
    emitter: Emitter, op: str, args: tuple[Any, ...], _kwargs: dict[str, Any], out: Tensor
) -> None:
    x, weight, bias, stride, padding, dilation, transposed, output_padding, groups = args[:9]
    rank = weight.dim() - 2
    channels = x.shape[-1 - rank]
    if transposed and channels != weight.shape[0]:  # torch looks on real tensors only
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
    emitter.add("matmul", op, left, out, others=(right,), **matmul_fields(left, right, bias))


@_rule("mm", "bmm", "mv", "dot", "vdot", "_int_mm")
def _mm(emitter: Emitter, op: str, args: tuple[Any, ...], _kwargs: Any, out: Tensor) -> None:
    _product(emitter, op, args[0], args[1], out)


@_rule("addmm", "baddbmm", "addmv", "_addmm_activation")
def _addmm(emitter: Emitter, op: str, args: tuple[Any, ...], _kwargs: Any, out: Tensor) -> None:
    _product(emitter, op, args[1], args[2], out, args[0])


@_rule("addbmm")
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


@_rule("_trilinear")
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


@_rule(
    "_scaled_dot_product_flash_attention_for_cpu",
    "_scaled_dot_product_flash_attention",
    "_scaled_dot_product_efficient_attention",
    "_scaled_dot_product_cudnn_attention",
    "_scaled_dot_product_fused_attention_overrideable",
    "_scaled_dot_product_attention_math",
    "_scaled_dot_product_attention_math_for_mps",
)
def _attention(
    emitter: Emitter, op: str, args: tuple[Any, ...], kwargs: dict[str, Any], out: Any
) -> None:
    query, key, value = args[:3]
    mask = kwargs.get("attn_mask", kwargs.get("attn_bias"))
    fields = attention_fields(query, key, value, mask, bool(kwargs.get("is_causal")))
    first = out[0] if isinstance(out, (tuple, list)) else out
    emitter.add("attention", op, query, first, others=(key, value), **fields)


@_rule("native_batch_norm", "_native_batch_norm_legit", "_native_batch_norm_legit_no_training",
       "cudnn_batch_norm", "_batch_norm_with_update", "_batch_norm_no_update")  # fmt: skip
def _batch_norm(emitter: Emitter, op: str, args: tuple[Any, ...], _kwargs: Any, out: Any) -> None:
    weight, bias = args[1], args[2]
    mean = args[3] if len(args) > 3 and isinstance(args[3], Tensor) else None  # noqa: PLR2004
    fields = {} if weight is None else weight_fields(weight, bias)
    statistics = 0 if mean is None else 2 * mean.numel()
    first = out[0] if isinstance(out, (tuple, list)) else out
    emitter.add("batch_norm", op, args[0], first, extra_elements=statistics, **fields)


def _norm(kind: str, channel_axis: int, weight_at: int) -> Rule:
    def rule(emitter: Emitter, op: str, args: tuple[Any, ...], _kwargs: Any, out: Any) -> None:
        weight = args[weight_at] if len(args) > weight_at else None
        bias = args[weight_at + 1] if len(args) > weight_at + 1 else None
        fields = {}
        if isinstance(weight, Tensor):
            fields = weight_fields(weight, bias if isinstance(bias, Tensor) else None)
        first = out[0] if isinstance(out, (tuple, list)) else out
        emitter.add(kind, op, args[0], first, channel_axis=channel_axis, **fields)

    return rule


RULES["native_layer_norm"] = _norm("layer_norm", -1, 2)
RULES["native_group_norm"] = _norm("group_norm", 1, 1)
RULES["_fused_rms_norm"] = _norm("rms_norm", -1, 2)
RULES["rms_norm"] = _norm("rms_norm", -1, 2)


def _pool(kind: str, rank: int) -> Rule:
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


def _fractional_pool(rank: int) -> Rule:
    pool = _pool("max_pool", rank)

    def rule(emitter: Emitter, op: str, args: tuple[Any, ...], kwargs: Any, out: Any) -> None:
        pool(emitter, op, (args[0], args[1], args[1]), kwargs, out)  # strides are drawn

    return rule


RULES["fractional_max_pool2d"] = _fractional_pool(2)
RULES["fractional_max_pool3d"] = _fractional_pool(3)
for _rank in (1, 2, 3):
    RULES[f"max_pool{_rank}d"] = RULES[f"max_pool{_rank}d_with_indices"] = _pool("max_pool", _rank)
    RULES[f"quantized_max_pool{_rank}d"] = _pool("max_pool", _rank)
    RULES[f"avg_pool{_rank}d"] = _pool("avg_pool", _rank)


def _plain(kind: str, channel_axis: int = 1) -> Rule:
    """Kinds that need nothing but the shapes of the first operand and the output."""

    def rule(emitter: Emitter, op: str, args: tuple[Any, ...], kwargs: Any, out: Any) -> None:
        first = out[0] if isinstance(out, (tuple, list)) else out
        operands = tensors_in(args) + tensors_in(tuple(kwargs.values()))
        operand = operands[0] if operands else first
        if not isinstance(first, Tensor):
            return
        extra = sum(other.numel() for other in operands[1:])
        emitter.add(
            kind, op, operand, first,
            others=tuple(operands[1:]), channel_axis=channel_axis, extra_elements=extra,
        )  # fmt: skip

    return rule


def tensors_in(values: tuple[Any, ...] | list[Any]) -> list[Tensor]:
    """Tensors among the values, one list deep."""
    found: list[Tensor] = []
    for value in values:
        if isinstance(value, Tensor):
            found.append(value)
        elif isinstance(value, (tuple, list)):
            found += [item for item in value if isinstance(item, Tensor)]
    return found


_PLAIN_KINDS = {
    "relu": "relu",
    "prelu": "_prelu_kernel prelu",
    "leaky_relu": "leaky_relu rrelu_with_noise",
    "elu": "elu",
    "selu": "selu",
    "celu": "celu",
    "hardtanh": "hardtanh clamp relu6",
    "hardsigmoid": "hardsigmoid",
    "hardswish": "hardswish",
    "sigmoid": "sigmoid",
    "tanh": "tanh",
    "silu": "silu",
    "gelu": "gelu",
    "softplus": "softplus",
    "mish": "mish",
    "log_sigmoid": "log_sigmoid_forward",
    "shrink": "softshrink hardshrink",
    "threshold": "threshold",
    "glu": "glu",
    "adaptive_avg_pool": "_adaptive_avg_pool2d _adaptive_avg_pool3d adaptive_avg_pool2d",
    "adaptive_max_pool": "adaptive_max_pool2d adaptive_max_pool3d",
    "upsample_nearest": "upsample_nearest1d upsample_nearest2d upsample_nearest3d "
    "_upsample_nearest_exact1d _upsample_nearest_exact2d _upsample_nearest_exact3d",
    "upsample_linear": "upsample_linear1d upsample_bilinear2d upsample_trilinear3d "
    "_upsample_bilinear2d_aa",
    "upsample_cubic": "upsample_bicubic2d _upsample_bicubic2d_aa",
    "grid_sample": "grid_sampler_2d grid_sampler_3d",
    "embedding": "embedding _embedding_bag _embedding_bag_forward_only",
    "reduce": "sum mean amax amin max min argmax argmin prod any all logsumexp aminmax nansum "
    "count_nonzero linalg_vector_norm norm median mode trace histc bincount",
    "variance": "var std var_mean std_mean var_mean.correction",
    "cumulative": "cumsum cumprod cummax cummin _cummax_helper _cummin_helper logcumsumexp",
    "move": "clone _to_copy copy cat stack index index_select gather scatter scatter_add "
    "index_put _unsafe_index_put _unsafe_index constant_pad_nd "
    "reflection_pad1d reflection_pad2d reflection_pad3d replication_pad1d replication_pad2d "
    "replication_pad3d roll flip repeat repeat_interleave "
    "new_zeros new_ones new_full full_like zeros_like ones_like full zeros ones "
    "arange linspace eye tril triu masked_fill masked_scatter fill zero im2col col2im "
    "pixel_shuffle pixel_unshuffle channel_shuffle rand randn rand_like randn_like bernoulli "
    "normal uniform exponential randint randperm slice_scatter select_scatter "
    "tril_indices triu_indices _pack_padded_sequence scalar_tensor slice_backward "
    "as_strided_copy one_hot resize "
    "contiguous native_dropout max_unpool2d max_unpool3d take nonzero masked_select "
    "select_backward embedding_renorm index_fill index_copy put bucketize searchsorted",
}
for _kind, _names in _PLAIN_KINDS.items():
    for _name in _names.split():
        RULES.setdefault(_name, _plain(_kind, -1 if _kind == "embedding" else 1))


@_rule("_softmax", "_log_softmax", "_safe_softmax")
def _softmax(emitter: Emitter, op: str, args: tuple[Any, ...], _kwargs: Any, out: Tensor) -> None:
    kind = "log_softmax" if "log" in op else "softmax"
    dim = args[1] if len(args) > 1 else -1
    emitter.add(kind, op, args[0], out, **softmax_fields(tuple(args[0].shape), dim))


@_rule("_cdist_forward")
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


@_rule("_euclidean_dist")
def _euclidean(emitter: Emitter, op: str, args: tuple[Any, ...], kwargs: Any, out: Tensor) -> None:
    _cdist(emitter, op, args, kwargs, out)


@_rule("mkldnn_rnn_layer")
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
"""Ops that compute and move nothing."""
VIEWS = frozenset("_unsafe_view unsafe_split unsafe_split_with_sizes unsafe_chunk".split())
"""Views that torch does not call so."""


def record_aten(
    emitter: Emitter, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], out: Any
) -> None:
    """Records one dispatched op, or that there is no rule for it."""
    namespace, _, name = func._schema.name.partition("::")
    if namespace == "aten":
        if func.is_view or name in VIEWS:
            for part in out if isinstance(out, (tuple, list)) else (out,):
                alias(part, args[0])
            return
        if name in FREE:
            return
        base = name[:-1] if name.endswith("_") and not name.endswith("__") else name
        rule = RULES.get(base)
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
    """All outputs of an op have the producer of the first."""
    if isinstance(out, (tuple, list)):
        tensors = tensors_in(out)
        for other in tensors[1:]:
            alias(other, tensors[0])
