"""Element-wise functions and activations."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 - torch's own custom

from bopscount._core import KINDS, broadcast_shape, emit
from bopscount.tracing.functions.registry import generic, rule
from bopscount.tracing.host import Rule, TraceHost
from bopscount.tracing.torch_names import Functions


@generic("binary")
@generic("comparison")
@generic("division")
def _binary(kind: str, group: Functions) -> Rule:
    kind_number, name = KINDS[kind], group.op
    compares, divides = group.by == "comparison", group.by == "division"

    def handler(host: TraceHost, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if len(args) != 2 or kwargs:
            return NotImplemented
        left, right = args
        left_is, right_is = isinstance(left, Tensor), isinstance(right, Tensor)
        if left_is and right_is:
            shape = broadcast_shape(tuple(left.shape), tuple(right.shape))
            if shape is None:
                return NotImplemented
            operands: tuple[Tensor, ...] = (left, right)
            dtype = left.dtype
            if right.dtype is not dtype:
                dtype = torch.result_type(left, right)
            if func in _REVERSED or torch.bool in (left.dtype, right.dtype) and name == "sub":
                return NotImplemented
        else:
            tensor, scalar = (left, right) if left_is else (right, left)
            if not isinstance(scalar, (int, float)):
                return NotImplemented
            if name in _OF_TENSORS or not (left_is or func in _SCALAR_FIRST):
                return NotImplemented
            if name == "sub" and (type(scalar) is bool or tensor.dtype is torch.bool):
                return NotImplemented
            operands, shape, dtype = (tensor,), tuple(tensor.shape), tensor.dtype
            if not dtype.is_floating_point:
                dtype = torch.result_type(tensor, scalar)
        if dtype.is_complex or dtype is torch.bool and not (compares or divides):
            return NotImplemented  # some functions reject these
        if compares:
            dtype = torch.bool
        elif divides and not dtype.is_floating_point:
            dtype = torch.get_default_dtype()
        return emit(kind_number, name, operands, shape, dtype)

    return handler


# Functions that torch rejects, or computes differently, for some pairs of operands.
_OF_TENSORS = {"maximum", "minimum"}
_SCALAR_FIRST = {torch.add, torch.sub, torch.mul, torch.div}
_REVERSED = {Tensor.__rsub__, Tensor.__rtruediv__}


@generic("binary_in_place")
def _binary_in_place(kind: str, group: Functions) -> Rule:
    kind_number, name = KINDS[kind], group.op

    def handler(host: TraceHost, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if len(args) != 2 or kwargs or host.real:
            return NotImplemented
        target, other = args
        if not isinstance(target, Tensor) or not _is_writable(target):
            return NotImplemented
        shape = tuple(target.shape)
        operands: tuple[Tensor, ...] = (target,)
        if isinstance(other, Tensor):
            if broadcast_shape(shape, tuple(other.shape)) != shape:
                return NotImplemented
            if other.dtype.is_complex or other.dtype is torch.bool and name == "sub":
                return NotImplemented
            operands = (target, other)
        elif not isinstance(other, (int, float)) or type(other) is bool and name == "sub":
            return NotImplemented
        return emit(kind_number, name, operands, shape, into=target)

    return handler


def _is_writable(tensor: Tensor) -> bool:
    """Return whether a tensor is on meta, floating-point and not expanded."""
    return tensor.is_meta and tensor.dtype.is_floating_point and 0 not in tensor.stride()


@generic("unary")
def _unary(kind: str, group: Functions) -> Rule:
    """Return a rule for functions of one tensor that keep its shape and float dtype."""
    kind_number, name, takes = KINDS[kind], group.op or kind, tuple(group.takes)

    def handler(host: TraceHost, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        x = args[0] if args else kwargs.get("input")
        if not isinstance(x, Tensor) or not x.dtype.is_floating_point:
            return NotImplemented
        in_place = False
        if len(args) != 1 or kwargs:
            given = _activation_arguments(takes, func, args, kwargs)
            if given is None:
                return NotImplemented
            in_place = given.get("inplace", False)
        shape = tuple(x.shape)
        if in_place and not host.real:
            if not _is_writable(x):
                return NotImplemented
            return emit(kind_number, name, (x,), shape, into=x)
        return emit(kind_number, name, (x,), shape)

    return handler


def _activation_arguments(
    takes: tuple[str, ...], func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> dict[str, Any] | None:
    """Return the arguments besides the input by name, or None if torch might reject them."""
    given = {**dict(zip(("input", *takes), args, strict=False)), **kwargs}
    if len(given) != len(args) + len(kwargs) or "input" not in given:
        return None
    del given["input"]
    if func is F.gelu and len(args) == 1:
        return given if given.get("approximate") in ("none", "tanh") and len(given) == 1 else None
    for name, value in given.items():
        if name not in takes:
            return None
        if type(value) not in ((bool,) if name == "inplace" else (int, float)):
            return None
    if func is F.celu and given.get("alpha") == 0:
        return None
    if given.get("min_val", -1) > given.get("max_val", 1):
        return None
    return given


@generic("unary_in_place")
def _unary_in_place(kind: str, group: Functions) -> Rule:
    kind_number, name = KINDS[kind], group.op

    def handler(host: TraceHost, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if host.real or len(args) != 1 or kwargs or not _is_writable(args[0]):
            return NotImplemented
        x = args[0]
        return emit(kind_number, name, (x,), tuple(x.shape), into=x)

    return handler


@rule("elementwise.pow")
def _pow(host: TraceHost, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    if kwargs or len(args) != 2 or type(args[1]) not in (int, float):
        return NotImplemented
    x = args[0]
    if not isinstance(x, Tensor) or not x.dtype.is_floating_point:
        return NotImplemented
    return emit(KINDS["elementwise"], "pow", (x,), tuple(x.shape))


@rule("hardtanh.clamp")
def _clamp(host: TraceHost, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    if not 1 <= len(args) <= 3 or kwargs.keys() - {*("min", "max")[len(args) - 1 :]}:
        return NotImplemented
    x = args[0]
    bounds = [bound for bound in (*args[1:], *kwargs.values()) if bound is not None]
    if not bounds or any(type(bound) not in (int, float) for bound in bounds):
        return NotImplemented
    if not x.dtype.is_floating_point:
        return NotImplemented
    return emit(KINDS["hardtanh"], "clamp", (x,), tuple(x.shape))


@rule("dropout")
def _dropout(host: TraceHost, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    names = ("input", "p", "training", "inplace")
    given = {**dict(zip(names, args, strict=False)), **kwargs}
    if len(given) != len(args) + len(kwargs) or given.keys() - {*names}:
        return NotImplemented
    # Default True, except for alpha dropout.
    training = given.get("training", func not in (F.alpha_dropout, F.feature_alpha_dropout))
    x, p = given.get("input"), given.get("p", 0.5)
    if training is not False or not isinstance(x, Tensor) or type(p) not in (int, float):
        return NotImplemented
    rank = {"dropout1d": 3, "dropout2d": 4, "dropout3d": 5}.get(func.__name__)
    if not 0 <= p <= 1 or rank not in (None, x.dim()):
        return NotImplemented
    return x


@rule("elementwise.where")
def _where(host: TraceHost, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    if kwargs or len(args) != 3:
        return NotImplemented
    tensors = tuple(value for value in args if isinstance(value, Tensor))
    if not tensors or not all(isinstance(a, Tensor) for a in args):
        return NotImplemented
    condition, one, other = args if func is torch.where else (args[1], args[0], args[2])
    shape = broadcast_shape(tuple(args[0].shape), tuple(args[1].shape))
    shape = None if shape is None else broadcast_shape(shape, tuple(args[2].shape))
    if shape is None or one.dtype is not other.dtype or condition.dtype is not torch.bool:
        return NotImplemented
    return emit(KINDS["elementwise"], "where", tensors, shape, one.dtype)


@rule("move.masked_fill")
def _masked_fill(host: TraceHost, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    if kwargs or len(args) != 3 or type(args[2]) not in (int, float):
        return NotImplemented
    x, mask = args[:2]
    if not isinstance(mask, Tensor) or not x.dtype.is_floating_point:
        return NotImplemented
    if mask.dtype is not torch.bool:
        return NotImplemented
    shape = broadcast_shape(tuple(x.shape), tuple(mask.shape))
    if shape is None:
        return NotImplemented
    return emit(KINDS["move"], "masked_fill", (x, mask), shape)
