"""Reductions, softmax and normalisation."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 - torch's own custom

from bopscount._core import KINDS, LEAF_RULES, answer, emit
from bopscount.tracing.fields import weight_fields
from bopscount.tracing.functions.registry import generic, rule
from bopscount.tracing.host import Rule, TraceHost
from bopscount.tracing.torch_names import Functions


def _reduced_shape(shape: tuple[int, ...], dim: Any, keepdim: bool) -> tuple[int, ...] | None:
    rank = len(shape)
    dims = range(rank) if dim is None else (dim,) if type(dim) is int else dim
    if not isinstance(dims, (range, tuple, list)) or not all(type(d) is int for d in dims):
        return None
    if any(not -rank <= d < rank for d in dims):
        return None
    reduced = {d % rank for d in dims}
    if len(reduced) != len(dims) or type(keepdim) is not bool:
        return None
    if not reduced:
        reduced = set(range(rank))
    if keepdim:
        return tuple(1 if i in reduced else size for i, size in enumerate(shape))
    return tuple(size for i, size in enumerate(shape) if i not in reduced)


@generic("reduction")
def _reduction(kind: str, group: Functions) -> Rule:
    name = group.op

    def handler(host: TraceHost, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        x = args[0] if args else kwargs.get("input")
        dim = args[1] if len(args) > 1 else kwargs.get("dim")
        keepdim = args[2] if len(args) > 2 else kwargs.get("keepdim", False)
        if not isinstance(x, Tensor) or not x.dtype.is_floating_point:
            return NotImplemented
        if len(args) > 3 or kwargs.keys() - {"input", "dim", "keepdim"}:
            return NotImplemented
        shape = _reduced_shape(tuple(x.shape), dim, keepdim)
        if shape is None or 0 in x.shape:
            return NotImplemented
        return emit(KINDS[kind], name, (x,), shape)

    return handler


def _softmax(kind: str) -> Rule:
    number = LEAF_RULES.index(kind)

    def handler(host: TraceHost, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        in_python = func is F.softmax or func is F.log_softmax
        names = ("input", "dim", "_stacklevel", "dtype") if in_python else ("input", "dim", "dtype")
        given = {**dict(zip(names, args, strict=False)), **kwargs}
        x, dim, dtype = given.get("input"), given.get("dim"), given.get("dtype")
        if len(given) != len(args) + len(kwargs) or given.keys() - {*names}:
            return NotImplemented
        if not isinstance(x, Tensor) or type(dim) is not int:
            return NotImplemented
        if not x.dtype.is_floating_point:
            return NotImplemented
        if dtype is not None and not (isinstance(dtype, torch.dtype) and dtype.is_floating_point):
            return NotImplemented
        out = answer(number, kind, x, {"dim": dim}, dtype=dtype)
        return NotImplemented if out is None else out

    return handler


rule("softmax")(_softmax("softmax"))
rule("log_softmax")(_softmax("log_softmax"))


@generic("trailing_norm")
def _trailing_norm(kind: str, group: Functions) -> Rule:
    number, names = LEAF_RULES.index(kind), ("input", *group.takes)

    def handler(host: TraceHost, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        given = {**dict(zip(names, args, strict=False)), **kwargs}
        x, weight, bias = given["input"], given.get("weight"), given.get("bias")
        if not isinstance(given["normalized_shape"], (tuple, list)):
            return NotImplemented
        normalized = tuple(given["normalized_shape"])
        for vector in (weight, bias):
            if vector is not None and (
                vector.dtype is not x.dtype or tuple(vector.shape) != normalized
            ):
                return NotImplemented
        bias = None if weight is None else bias
        out = answer(number, kind, x, {"normalized_shape": normalized}, weight, bias)
        return NotImplemented if out is None else out

    return handler


@rule("normalize")
def _normalize(host: TraceHost, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    given = {
        "dim": 1,
        **dict(zip(("input", "p", "dim", "eps", "out"), args, strict=False)),
        **kwargs,
    }
    x, dim = given["input"], given["dim"]
    if given.get("out") is not None or not x.dtype.is_floating_point:
        return NotImplemented
    if type(dim) is not int or not -x.dim() <= dim < x.dim():
        return NotImplemented
    return emit(KINDS["normalize"], "normalize", (x,), tuple(x.shape))


@rule("batch_norm")
def _batch_norm(host: TraceHost, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    if func is torch.batch_norm:
        return NotImplemented
    names = ("input", "running_mean", "running_var", "weight", "bias", "training")
    given = {**dict(zip(names, args, strict=False)), **kwargs}
    x, mean, weight = given["input"], given["running_mean"], given.get("weight")
    if given.get("training") or mean is None or x.dim() < 2:
        return NotImplemented
    features = x.shape[1]
    if not x.dtype.is_floating_point or not features:
        return NotImplemented
    for vector in (mean, given["running_var"], weight, given.get("bias")):
        if vector is not None and (
            tuple(vector.shape) != (features,) or vector.dtype is not x.dtype
        ):
            return NotImplemented
    fields = {} if weight is None else weight_fields(weight, given.get("bias"))
    fields["extra_elements"] = 2 * features
    return emit(KINDS["batch_norm"], "batch_norm", (x,), tuple(x.shape), fields=fields)


@rule(Tensor._is_all_true)
def _asserted(host: TraceHost, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Answer torch._check_tensor_all: without values, the check is assumed to pass."""
    if host.real or not args[0].is_meta:
        return NotImplemented
    return torch.ones((), dtype=torch.bool)
