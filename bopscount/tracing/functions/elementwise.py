"""Element-wise functions and activations."""

from __future__ import annotations

from math import prod
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 - torch's own custom

from bopscount._core import KINDS
from bopscount.tracing.fields import broadcast
from bopscount.tracing.functions.registry import Rule, existing, rule


def _binary(kind: str, name: str, compares: bool = False, divides: bool = False) -> Rule:
    kind_number = KINDS[kind]

    def handler(driver: Any, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if len(args) != 2 or kwargs and kwargs.keys() - {"alpha"}:
            return NotImplemented
        left, right = args
        left_is, right_is = isinstance(left, Tensor), isinstance(right, Tensor)
        if left_is and right_is:
            shape = broadcast(tuple(left.shape), tuple(right.shape))
            if shape is None:
                return NotImplemented
            if not driver.live(left, right) and prod(shape) <= driver.constant_elements:
                return NotImplemented
            operands: tuple[Tensor, ...] = (left, right)
            dtype = left.dtype
            if right.dtype is not dtype:
                dtype = torch.result_type(left, right)
        else:
            tensor, scalar = (left, right) if left_is else (right, left)
            if not isinstance(scalar, (int, float)) or not driver.live(tensor):
                return NotImplemented
            operands, shape, dtype = (tensor,), tuple(tensor.shape), tensor.dtype
            if not dtype.is_floating_point:
                dtype = torch.result_type(tensor, scalar)
        if compares:
            dtype = torch.bool
        elif divides and not (dtype.is_floating_point or dtype.is_complex):
            dtype = torch.get_default_dtype()
        return driver.tracer.emit(kind_number, name, operands, shape, dtype)

    return handler


def _binary_in_place(name: str) -> Rule:
    kind_number = KINDS["elementwise"]

    def handler(driver: Any, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if len(args) != 2 or kwargs and kwargs.keys() - {"alpha"} or driver.real:
            return NotImplemented
        target, other = args
        if not isinstance(target, Tensor) or not target.is_meta:
            return NotImplemented
        shape = tuple(target.shape)
        operands: tuple[Tensor, ...] = (target,)
        if isinstance(other, Tensor):
            if broadcast(shape, tuple(other.shape)) != shape:
                return NotImplemented
            if not target.dtype.is_floating_point:
                return NotImplemented
            operands = (target, other)
        elif not isinstance(other, (int, float)) or not target.dtype.is_floating_point:
            return NotImplemented
        return driver.tracer.emit(kind_number, name, operands, shape, into=target)

    return handler


for _name, _methods in {
    "add": "add __add__ __radd__",
    "sub": "sub subtract __sub__ __rsub__",
    "mul": "mul multiply __mul__ __rmul__",
    "maximum": "maximum",
    "minimum": "minimum",
    "fmod": "fmod",
    "remainder": "remainder __mod__",
}.items():
    rule(*existing(Tensor, _methods), *existing(torch, _name))(_binary("elementwise", _name))
rule(*existing(Tensor, "div divide true_divide __truediv__ __rtruediv__ __div__"), torch.div)(
    _binary("elementwise", "div", divides=True)
)
for _name in ("eq", "ne", "lt", "le", "gt", "ge"):
    rule(*existing(Tensor, f"{_name} __{_name}__"), getattr(torch, _name))(
        _binary("elementwise", _name, compares=True)
    )
for _name in ("add", "sub", "mul", "div"):
    _dunder = {"div": "__itruediv__"}.get(_name, f"__i{_name}__")
    rule(*existing(Tensor, f"{_name}_ {_dunder}"))(_binary_in_place(_name))


def _unary(kind: str, name: str) -> Rule:
    """Activations and other functions of one tensor that keep shape and float dtype."""
    kind_number = KINDS[kind]

    def handler(driver: Any, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        x = args[0] if args else kwargs.get("input")
        if not isinstance(x, Tensor) or not x.dtype.is_floating_point or not driver.live(x):
            return NotImplemented
        if "out" in kwargs:
            return NotImplemented
        in_place = kwargs.get("inplace") is True or (
            kind in _INPLACE_AT
            and len(args) > _INPLACE_AT[kind]
            and args[_INPLACE_AT[kind]] is True
        )
        shape = tuple(x.shape)
        if in_place and not driver.real:
            if not x.is_meta:
                return NotImplemented
            return driver.tracer.emit(kind_number, name, (x,), shape, into=x)
        return driver.tracer.emit(kind_number, name, (x,), shape)

    return handler


# Where the functional form takes its positional `inplace`.
_INPLACE_AT = {"relu": 1, "silu": 1, "hardswish": 1, "hardsigmoid": 1, "mish": 1}


def _unary_in_place(kind: str, name: str) -> Rule:
    kind_number = KINDS[kind]

    def handler(driver: Any, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        x = args[0]
        if driver.real or not x.is_meta or not x.dtype.is_floating_point:
            return NotImplemented
        return driver.tracer.emit(kind_number, name, (x,), tuple(x.shape), into=x)

    return handler


_ACTIVATIONS: dict[str, list[Any]] = {
    "relu": [F.relu, torch.relu, Tensor.relu, F.relu6],
    "leaky_relu": [F.leaky_relu],
    "elu": [F.elu],
    "selu": [F.selu, torch.selu],
    "celu": [F.celu],
    "hardsigmoid": [F.hardsigmoid],
    "hardswish": [F.hardswish],
    "hardtanh": [F.hardtanh],
    "sigmoid": [torch.sigmoid, Tensor.sigmoid, F.sigmoid],
    "tanh": [torch.tanh, Tensor.tanh, F.tanh],
    "silu": [F.silu],
    "gelu": [F.gelu],
    "softplus": [F.softplus],
    "mish": [F.mish],
    "log_sigmoid": [F.logsigmoid],
}
for _kind, _functions in _ACTIVATIONS.items():
    rule(*_functions)(_unary(_kind, _kind))
for _name in (
    "exp log log2 log10 log1p expm1 sqrt rsqrt abs neg sin cos tan asin "
    "acos atan sinh cosh square reciprocal erf floor ceil round sign trunc "
    "exp2"
).split():
    rule(getattr(Tensor, _name), getattr(torch, _name))(_unary("elementwise", _name))
for _name, _kind in (("relu_", "relu"), ("sigmoid_", "sigmoid"), ("tanh_", "tanh")):
    rule(getattr(Tensor, _name), getattr(torch, _name))(_unary_in_place(_kind, _kind))


@rule(Tensor.pow, torch.pow, Tensor.__pow__)
def _pow(driver: Any, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    if kwargs or len(args) != 2 or not isinstance(args[1], (int, float)):
        return NotImplemented
    x = args[0]
    if not isinstance(x, Tensor) or not x.dtype.is_floating_point or not driver.live(x):
        return NotImplemented
    return driver.tracer.emit(KINDS["elementwise"], "pow", (x,), tuple(x.shape))


@rule(Tensor.clamp, torch.clamp, Tensor.clip, torch.clip)
def _clamp(driver: Any, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    x = args[0]
    bounds = (*args[1:], *kwargs.values())
    if any(isinstance(bound, Tensor) for bound in bounds) or not x.dtype.is_floating_point:
        return NotImplemented
    if not driver.live(x):
        return NotImplemented
    return driver.tracer.emit(KINDS["hardtanh"], "clamp", (x,), tuple(x.shape))


@rule(F.dropout, F.dropout1d, F.dropout2d, F.dropout3d, F.alpha_dropout, F.feature_alpha_dropout)
def _dropout(driver: Any, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    training = args[2] if len(args) > 2 else kwargs.get("training")
    # The default of F.dropout is training=True, that of the others False.
    if training is False or (training is None and func is not F.dropout):
        return args[0] if args else kwargs["input"]
    return NotImplemented


@rule(torch.where, Tensor.where)
def _where(driver: Any, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    if kwargs or len(args) != 3:
        return NotImplemented
    tensors = tuple(value for value in args if isinstance(value, Tensor))
    if not tensors or not driver.live(*tensors) or not all(isinstance(a, Tensor) for a in args):
        return NotImplemented
    shape = broadcast(tuple(args[0].shape), tuple(args[1].shape))
    shape = None if shape is None else broadcast(shape, tuple(args[2].shape))
    if shape is None or args[1].dtype is not args[2].dtype:
        return NotImplemented
    return driver.tracer.emit(KINDS["elementwise"], "where", tensors, shape, args[1].dtype)


@rule(Tensor.masked_fill)
def _masked_fill(driver: Any, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    if kwargs or len(args) != 3 or isinstance(args[2], Tensor):
        return NotImplemented
    x, mask = args[:2]
    if not driver.live(x, mask) or mask.dtype is not torch.bool:
        return NotImplemented
    shape = broadcast(tuple(x.shape), tuple(mask.shape))
    if shape is None:
        return NotImplemented
    return driver.tracer.emit(KINDS["move"], "masked_fill", (x, mask), shape)
