"""Functions that compute the same as a leaf module, answered by its leaf rule."""

from __future__ import annotations

from types import BuiltinFunctionType
from typing import Any

from torch import Tensor

from bopscount._core import LEAF_RULES, answer
from bopscount.tracing.functions.registry import generic, rule
from bopscount.tracing.host import Rule, TraceHost
from bopscount.tracing.torch_names import REQUIRED, Functions


@generic("leaf")
def _as_leaf(_kind: str, group: Functions) -> Rule:
    """Return a rule that passes the function's arguments to the leaf rule of the same name."""
    op, signature = group.op, group.takes
    number, names = LEAF_RULES.index(op), tuple(signature)

    def handler(host: TraceHost, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        kwargs = dict(kwargs)
        x = args[0] if args else kwargs.pop("input", None)
        if len(args) > len(names) + 1 or kwargs.keys() - signature.keys():
            return NotImplemented
        attributes = {**signature, **dict(zip(names, args[1:], strict=False)), **kwargs}
        if any(value is REQUIRED for value in attributes.values()):
            return NotImplemented
        if not isinstance(x, Tensor):
            return NotImplemented
        for name, value in attributes.items():
            sizes = isinstance(value, (tuple, list)) and name == "output_size"
            if sizes and isinstance(func, BuiltinFunctionType) and None in value:
                return NotImplemented  # only functions of torch.nn.functional take None
            if isinstance(value, list):
                attributes[name] = tuple(value)
            elif value == () and name == "stride":
                attributes[name] = None
        return _or_torch(answer(number, op, x, attributes))

    return handler


def _are_vectors(length: int, x: Tensor, *vectors: Tensor | None) -> bool:
    """Return whether weight and bias, if any, have shape (length,) and the dtype of `x`."""
    return all(
        vector is None or (vector.dtype is x.dtype and tuple(vector.shape) == (length,))
        for vector in vectors
    )


def _or_torch(output: Any) -> Any:
    return NotImplemented if output is None else output


@rule("softmax.softmin")
def _softmin(host: TraceHost, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    given = {**dict(zip(("input", "dim", "_stacklevel", "dtype"), args, strict=False)), **kwargs}
    x = given["input"]
    if given.get("dtype") is not None:
        return NotImplemented
    attributes = {"dim": given.get("dim")}
    return _or_torch(answer(LEAF_RULES.index("softmax"), "softmin", x, attributes))


@rule("lp_pool.lp_pool1d", "lp_pool.lp_pool2d", "lp_pool.lp_pool3d")
def _lp_pool(host: TraceHost, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    names = ("input", "norm_type", "kernel_size", "stride", "ceil_mode")
    given = {"stride": None, "ceil_mode": False, **dict(zip(names, args, strict=False)), **kwargs}
    x = given["input"]
    number = LEAF_RULES.index(func.__name__)
    return _or_torch(answer(number, func.__name__, x, given))


@rule("group_norm")
def _group_norm(host: TraceHost, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    names = ("input", "num_groups", "weight", "bias", "eps")
    given = {"weight": None, "bias": None, **dict(zip(names, args, strict=False)), **kwargs}
    x, weight, groups = given["input"], given["weight"], given["num_groups"]
    if x.dim() < 2 or type(groups) is not int or groups < 1:
        return NotImplemented
    channels = x.shape[1]
    if channels % groups or not _are_vectors(channels, x, weight, given["bias"]):
        return NotImplemented
    number, attributes = (
        LEAF_RULES.index("group_norm"),
        {"num_channels": channels, "num_groups": groups},
    )
    return _or_torch(answer(number, "group_norm", x, attributes, weight, given["bias"]))


@rule("instance_norm")
def _instance_norm(
    host: TraceHost, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    names = ("input", "running_mean", "running_var", "weight", "bias", "use_input_stats")
    given = {**dict.fromkeys(names), **dict(zip(names, args, strict=False)), **kwargs}
    x, weight = given["input"], given["weight"]
    if x.dim() not in (3, 4, 5) or not (given["running_mean"] is given["running_var"] is None):
        return NotImplemented
    channels = x.shape[1]
    if given["use_input_stats"] is False or not _are_vectors(channels, x, weight, given["bias"]):
        return NotImplemented
    number = LEAF_RULES.index(f"instance_norm{x.dim() - 2}d")
    attributes = {"num_features": channels, "_buffers": {}}
    return _or_torch(answer(number, "instance_norm", x, attributes, weight, given["bias"]))


@rule("upsample_nearest.interpolate")
def _interpolate(host: TraceHost, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    names = ("input", "size", "scale_factor", "mode", "align_corners", "recompute_scale_factor")
    given = {**dict.fromkeys(names), **dict(zip(names, args, strict=False)), **kwargs}
    x, size, factor = given["input"], given["size"], given["scale_factor"]
    mode = given["mode"] or "nearest"
    ranks = {"linear": (3,), "bilinear": (4,), "bicubic": (4,), "trilinear": (5,)}
    if (size is None) == (factor is None) or given.get("antialias"):
        return NotImplemented
    if mode not in ("nearest", "nearest-exact") and x.dim() not in ranks.get(mode, ()):
        return NotImplemented
    if given["align_corners"] is not None and mode not in ranks:
        return NotImplemented
    if isinstance(factor, (tuple, list)):
        factor = tuple(float(part) for part in factor)
    elif factor is not None:
        factor = float(factor)
    attributes = {
        "size": tuple(size) if isinstance(size, (tuple, list)) else size,
        "scale_factor": factor,
        "mode": mode,
    }
    number = LEAF_RULES.index("upsample")
    return _or_torch(answer(number, "interpolate", x, attributes))
