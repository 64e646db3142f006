"""Multi-head attention, as a function and as torch's module."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from bopscount._core import KINDS, alias, emit
from bopscount.tracing.fields import attention_fields
from bopscount.tracing.functions.registry import rule

if TYPE_CHECKING:
    from bopscount.tracing.host import TraceHost

_NAMES = (
    "query key value embed_dim_to_check num_heads in_proj_weight in_proj_bias bias_k bias_v "
    "add_zero_attn dropout_p out_proj_weight out_proj_bias training key_padding_mask need_weights "
    "attn_mask use_separate_proj_weight q_proj_weight k_proj_weight v_proj_weight static_k "
    "static_v average_attn_weights is_causal"
).split()
_UNUSUAL = ("bias_k", "bias_v", "static_k", "static_v")
_RANK = 3


def _masks_fit(given: dict[str, Any], dtype: torch.dtype, scores: tuple[int, ...]) -> bool:
    """Return whether the masks, if any, fit (batch, heads, length, keys) scores."""
    batch, heads, length, keys = scores
    dtypes = (torch.bool, dtype)
    mask, padding = given.get("attn_mask"), given.get("key_padding_mask")
    if given.get("is_causal") and mask is None:
        return False
    if padding is not None and (
        tuple(padding.shape) != (batch, keys) or padding.dtype not in dtypes
    ):
        return False
    shapes = ((length, keys), (batch * heads, length, keys))
    return mask is None or (tuple(mask.shape) in shapes and mask.dtype in dtypes)


def _is_vector(vector: Tensor | None, length: int, dtype: torch.dtype) -> bool:
    """Return whether a bias, if any, has shape (length,) and this dtype."""
    return vector is None or (tuple(vector.shape) == (length,) and vector.dtype is dtype)


@rule("attention.multi_head_attention_forward")
def _multi_head_attention(
    host: TraceHost, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    """Record the projections, the attention and the output projection, in torch's order."""
    given = {**dict(zip(_NAMES, args, strict=False)), **kwargs}
    if host.real or given["add_zero_attn"] or (given["training"] and given["dropout_p"]):
        return NotImplemented
    if any(given.get(name) is not None for name in _UNUSUAL):
        return NotImplemented
    if given["query"].shape[-1] != given["embed_dim_to_check"]:
        return NotImplemented
    if given.get("use_separate_proj_weight"):
        weights = tuple(given[f"{letter}_proj_weight"] for letter in "qkv")
    else:
        weights = (given["in_proj_weight"],)
    scores = _attend(
        (given["query"], given["key"], given["value"]), given["num_heads"],
        weights, given["in_proj_bias"], given["out_proj_weight"], given["out_proj_bias"], given,
    )  # fmt: skip
    if scores is None:
        return NotImplemented
    attended, scores_shape = scores
    return attended, _weights(host, scores_shape, attended.dtype, given)


def _attend(
    operands: tuple[Tensor, Tensor, Tensor],
    heads: int,
    weights: tuple[Any, ...],
    bias: Tensor | None,
    out_weight: Tensor | None,
    out_bias: Tensor | None,
    masks: dict[str, Any],
) -> tuple[Tensor, tuple[int, ...]] | None:
    """Record attention of (length, batch, features) operands.

    Args:
        operands: Query, key and value.
        heads: Number of heads.
        weights: Weights of the input projections: a joint one, or three.
        bias: Joint bias of the input projections, if any.
        out_weight: Weight of the output projection.
        out_bias: Bias of the output projection, if any.
        masks: `attn_mask`, `key_padding_mask` and `is_causal`, as far as given.

    Returns:
        The output, and the shape (batch, heads, length, keys) of the scores; None if torch must
        check the shapes.
    """
    shapes = [tuple(x.shape) for x in operands]
    if not all(len(shape) == _RANK for shape in shapes) or shapes[1][:2] != shapes[2][:2]:
        return None
    (length, batch, width), (keys, key_batch, _), _ = shapes
    dtype = operands[0].dtype
    if heads < 1 or width % heads or key_batch != batch or not all((length, batch, width, keys)):
        return None
    if out_weight is None or tuple(out_weight.shape) != (width, width):
        return None
    if out_weight.dtype is not dtype or not (
        _is_vector(bias, 3 * width, dtype) and _is_vector(out_bias, width, dtype)
    ):
        return None
    rows = width * 3 // len(weights)
    weights = weights * (3 // len(weights))
    for x, shape, w in zip(operands, shapes, weights, strict=True):
        if w is None or tuple(w.shape) != (rows, shape[2]) or not dtype is x.dtype is w.dtype:
            return None
    if not _masks_fit(masks, operands[0].dtype, (batch, heads, length, keys)):
        return None
    projected = tuple(
        _project(x, (*shape[:2], width), w, bias is not None)
        for x, shape, w in zip(operands, shapes, weights, strict=True)
    )
    head_width = width // heads
    fields = {
        **attention_fields(
            batch * heads, length, keys, head_width, head_width, mask=masks.get("attn_mask")
        ),
        "weight_bits": 8 * dtype.itemsize,
        "weight_item_bytes": dtype.itemsize,
        "weight_elements": 2 * keys * batch * width,
    }
    attended = emit(
        KINDS["attention"], "multi_head_attention_forward", projected, shapes[0], fields=fields
    )
    out = _project(attended, shapes[0], out_weight, out_bias is not None)
    return out, (batch, heads, length, keys)


def _project(x: Tensor, shape: tuple[int, ...], weight: Tensor, has_bias: bool) -> Tensor:
    """Record a linear layer from (length, batch, features) to `shape`, with these weight rows."""
    itemsize, width = weight.dtype.itemsize, shape[-1]
    fields = {
        "weight_elements": width * weight.shape[1],
        "weight_bits": 8 * itemsize,
        "weight_item_bytes": itemsize,
        "bias_elements": width if has_bias else 0,
        "extra_elements": 0,
    }
    out: Tensor = emit(KINDS["linear"], "linear", (x, weight), shape, fields=fields)
    return out


def _weights(
    host: TraceHost, scores: tuple[int, ...], dtype: torch.dtype, given: dict[str, Any]
) -> Tensor | None:
    """Return the attention weights, the second output, or None unless `need_weights`."""
    if not given.get("need_weights", True):
        return None
    if given.get("average_attn_weights", True):
        scores = (scores[0], *scores[2:])
    weights: Tensor = host.tracer.another(scores, dtype)
    return weights


def attention_rule(
    host: TraceHost,
    module: nn.MultiheadAttention,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> Any:
    """Answer nn.MultiheadAttention without masks; return NotImplemented for all other calls.

    Shapes: (batch, length, features) if `batch_first`, else (length, batch, features); attention
    weights (batch, length, keys), or (batch, heads, length, keys) if not averaged.
    """
    given = {**dict(zip(("query", "key", "value"), args, strict=False)), **kwargs}
    if len(given) != len(args) + len(kwargs) or host.real or given.get("is_causal"):
        return NotImplemented
    if given.get("key_padding_mask") is not None or given.get("attn_mask") is not None:
        return NotImplemented
    operands: Any = given.get("query"), given.get("key"), given.get("value")
    for x in operands:
        if type(x) is not Tensor or not x.is_meta or x.dim() != _RANK:
            return NotImplemented
    if module.add_zero_attn or (module.training and module.dropout):
        return NotImplemented
    own = module._parameters  # attribute access is slow
    if own.get("bias_k") is not None or operands[0].shape[-1] != module.embed_dim:
        return NotImplemented
    if module._qkv_same_embed_dim:
        weights: tuple[Any, ...] = (own.get("in_proj_weight"),)
    else:
        weights = tuple(own.get(f"{letter}_proj_weight") for letter in "qkv")
    out_proj = module.out_proj._parameters
    if module.batch_first:
        transposed = {id(x): x for x in operands}
        for key, x in transposed.items():
            transposed[key] = x.transpose(0, 1)
            alias(transposed[key], x)
        operands = tuple(transposed[id(x)] for x in operands)
    answer = _attend(
        operands, module.num_heads, weights, own.get("in_proj_bias"),
        out_proj.get("weight"), out_proj.get("bias"), {},
    )  # fmt: skip
    if answer is None:
        return NotImplemented
    attended, scores = answer
    if module.batch_first:
        batch_first = attended.transpose(0, 1)
        alias(batch_first, attended)
        attended = batch_first
    return attended, _weights(host, scores, attended.dtype, given)
