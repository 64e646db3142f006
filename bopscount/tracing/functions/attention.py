"""Multi-head attention, as a function and as torch's module, which comes to the same."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - torch's own custom

from bopscount._core import KINDS, LAYER_FLAGS, alias, emit
from bopscount.tracing.fields import weight_fields
from bopscount.tracing.functions.registry import rule

if TYPE_CHECKING:
    from bopscount.tracing.driver import Driver

_NAMES = (
    "query key value embed_dim_to_check num_heads in_proj_weight in_proj_bias bias_k bias_v "
    "add_zero_attn dropout_p out_proj_weight out_proj_bias training key_padding_mask need_weights "
    "attn_mask use_separate_proj_weight q_proj_weight k_proj_weight v_proj_weight static_k "
    "static_v average_attn_weights is_causal"
).split()
_UNUSUAL = ("bias_k", "bias_v", "static_k", "static_v")
_RANK = 3


def _masks_fit(given: dict[str, Any], scores: tuple[int, ...]) -> bool:
    """Whether the masks, if any, are for (batch, heads, length, keys) scores."""
    batch, heads, length, keys = scores
    dtypes = (torch.bool, given["query"].dtype)
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
    """Whether a bias, if any, is what torch takes."""
    return vector is None or (tuple(vector.shape) == (length,) and vector.dtype is dtype)


@rule(F.multi_head_attention_forward)
def _multi_head_attention(
    driver: Driver, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    """Projections, attention, output projection; torch's own order and shapes."""
    given = {**dict(zip(_NAMES, args, strict=False)), **kwargs}
    query, key, value = operands = given["query"], given["key"], given["value"]
    if driver.real or given["add_zero_attn"] or (given["training"] and given["dropout_p"]):
        return NotImplemented
    if any(given.get(name) is not None for name in _UNUSUAL):
        return NotImplemented
    if not query.dim() == key.dim() == value.dim() == _RANK or key.shape[:2] != value.shape[:2]:
        return NotImplemented
    length, batch, width = query.shape
    keys, heads, dtype = key.shape[0], given["num_heads"], query.dtype
    if width != given["embed_dim_to_check"] or heads < 1 or width % heads:
        return NotImplemented
    if key.shape[1] != batch or not all((length, batch, width, keys)):
        return NotImplemented
    out_weight, out_bias = given["out_proj_weight"], given["out_proj_bias"]
    if tuple(out_weight.shape) != (width, width) or out_weight.dtype is not dtype:
        return NotImplemented
    weight, bias = given["in_proj_weight"], given["in_proj_bias"]
    if not (_is_vector(bias, 3 * width, dtype) and _is_vector(out_bias, width, dtype)):
        return NotImplemented
    if given.get("use_separate_proj_weight"):
        weights = tuple(given[f"{letter}_proj_weight"] for letter in "qkv")
        rows = width
    else:
        weights, rows = (weight,) * 3, 3 * width
    for x, w in zip(operands, weights, strict=True):
        if w is None or tuple(w.shape) != (rows, x.shape[-1]) or x.dtype is not w.dtype:
            return NotImplemented
    if not _masks_fit(given, (batch, heads, length, keys)):
        return NotImplemented
    projected = tuple(
        _project(x, w, bias is not None, width) for x, w in zip(operands, weights, strict=True)
    )
    mask = given.get("attn_mask")
    fields = {
        **weight_fields(projected[1]),
        "batch": batch * heads,
        "in_channels": width // heads,
        "in_positions": length,
        "out_channels": width // heads,
        "out_positions": length,
        "kernel": (keys, 1, 1),
        "weight_elements": 2 * keys * batch * width,
        "extra_elements": 0 if mask is None else mask.numel(),
        "flags": 0 if mask is None else LAYER_FLAGS["masked"],
    }
    attended = emit(
        KINDS["attention"], "multi_head_attention_forward", projected, (length, batch, width),
        fields=fields,
    )  # fmt: skip
    out = _project(attended, out_weight, out_bias is not None, width)
    if not given.get("need_weights", True):
        return out, None
    shape: tuple[int, ...] = (batch, length, keys)
    if not given.get("average_attn_weights", True):
        shape = (batch, heads, length, keys)
    return out, driver.tracer.another(shape, dtype)


def _project(x: Tensor, weight: Tensor, has_bias: bool, width: int) -> Tensor:
    """A linear layer to `width` features by these rows of the weight."""
    shape = tuple(x.shape)
    fields = {
        "weight_elements": width * shape[-1],
        "weight_bits": 8 * weight.itemsize,
        "weight_item_bytes": weight.itemsize,
        "bias_elements": width if has_bias else 0,
        "extra_elements": 0,
    }
    out: Tensor = emit(
        KINDS["linear"], "linear", (x, weight), (*shape[:-1], width), channel_axis=-1, fields=fields
    )
    return out


def attention_rule(
    driver: Driver,
    module: nn.MultiheadAttention,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> Any:
    """nn.MultiheadAttention without masks; its forward sees to all the rest.

    Shapes: (batch, length, features) or (length, batch, features) as `batch_first` says;
    the weights that come out are (batch, length, keys), or with the heads second.
    """
    given = {**dict(zip(("query", "key", "value"), args, strict=False)), **kwargs}
    if len(given) != len(args) + len(kwargs) or driver.real or given.get("is_causal"):
        return NotImplemented
    if given.get("key_padding_mask") is not None or given.get("attn_mask") is not None:
        return NotImplemented
    try:
        operands: tuple[Tensor, ...] = (given["query"], given["key"], given["value"])
    except KeyError:
        return NotImplemented
    for x in operands:
        if type(x) is not Tensor or not x.is_meta or x.dim() != _RANK:
            return NotImplemented
    if module.batch_first:
        turned = {id(x): x.transpose(0, 1) for x in set(operands)}
        for x in operands:
            alias(turned[id(x)], x)
        operands = tuple(turned[id(x)] for x in operands)
    out = _multi_head_attention(
        driver,
        F.multi_head_attention_forward,
        (*operands, module.embed_dim, module.num_heads, module.in_proj_weight,
         module.in_proj_bias, module.bias_k, module.bias_v, module.add_zero_attn, module.dropout,
         module.out_proj.weight, module.out_proj.bias, module.training),
        {
            "need_weights": given.get("need_weights", True),
            "average_attn_weights": given.get("average_attn_weights", True),
            "use_separate_proj_weight": not module._qkv_same_embed_dim,
            "q_proj_weight": module.q_proj_weight,
            "k_proj_weight": module.k_proj_weight,
            "v_proj_weight": module.v_proj_weight,
        },
    )  # fmt: skip
    if out is NotImplemented or not module.batch_first:
        return out
    attended = out[0].transpose(0, 1)
    alias(attended, out[0])
    return attended, out[1]
