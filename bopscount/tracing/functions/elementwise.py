"""Element-wise functions and activations."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 - torch's own custom

from bopscount._core import KINDS, emit
from bopscount.tracing.fields import broadcast
from bopscount.tracing.functions.registry import NATIVE, Rule, existing, rule


def _binary(kind: str, name: str, compares: bool = False, divides: bool = False) -> Rule:
    kind_number = KINDS[kind]

    def handler(driver: Any, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if len(args) != 2 or kwargs:
            return NotImplemented
        left, right = args
        left_is, right_is = isinstance(left, Tensor), isinstance(right, Tensor)
        if left_is and right_is:
            shape = broadcast(tuple(left.shape), tuple(right.shape))
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
            return NotImplemented  # some functions refuse these
        if compares:
            dtype = torch.bool
        elif divides and not dtype.is_floating_point:
            dtype = torch.get_default_dtype()
        return emit(kind_number, name, operands, shape, dtype)

    return handler


# What torch refuses, or computes in another way, for some pairs of operands.
_OF_TENSORS = {"maximum", "minimum"}
_SCALAR_FIRST = {torch.add, torch.sub, torch.mul, torch.div}
_REVERSED = {Tensor.__rsub__, Tensor.__rtruediv__}


def _binary_in_place(name: str) -> Rule:
    kind_number = KINDS["elementwise"]

    def handler(driver: Any, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if len(args) != 2 or kwargs or driver.real:
            return NotImplemented
        target, other = args
        if not isinstance(target, Tensor) or not _is_writable(target):
            return NotImplemented
        shape = tuple(target.shape)
        operands: tuple[Tensor, ...] = (target,)
        if isinstance(other, Tensor):
            if broadcast(shape, tuple(other.shape)) != shape:
                return NotImplemented
            if other.dtype.is_complex or other.dtype is torch.bool and name == "sub":
                return NotImplemented
            operands = (target, other)
        elif not isinstance(other, (int, float)) or type(other) is bool and name == "sub":
            return NotImplemented
        return emit(kind_number, name, operands, shape, into=target)

    return handler


def _is_writable(tensor: Tensor) -> bool:
    """Whether any float may be written into it: not into what was expanded."""
    return tensor.is_meta and tensor.dtype.is_floating_point and 0 not in tensor.stride()


for _name, _methods in {
    "add": "add __add__ __radd__",
    "sub": "sub subtract __sub__ __rsub__",
    "mul": "mul multiply __mul__ __rmul__",
    "maximum": "maximum",
    "minimum": "minimum",
    "fmod": "fmod",
    "remainder": "remainder __mod__",
}.items():
    _functions = " ".join(name for name in _methods.split() if name[:2] != "__")
    rule(*existing(Tensor, _methods), *existing(torch, _functions))(_binary("elementwise", _name))
rule(
    *existing(Tensor, "div divide true_divide __truediv__ __rtruediv__ __div__"),
    *existing(torch, "div divide true_divide"),
)(_binary("elementwise", "div", divides=True))
for _name in ("eq", "ne", "lt", "le", "gt", "ge"):
    rule(*existing(Tensor, f"{_name} __{_name}__"), getattr(torch, _name))(
        _binary("elementwise", _name, compares=True)
    )
for _name, _dunder in {"add": "add", "sub": "sub", "mul": "mul", "div": "truediv"}.items():
    _in_place = existing(Tensor, f"{_name}_ __i{_dunder}__")
    rule(*_in_place)(_binary_in_place(_name))
    for _function in _in_place:
        NATIVE[_function] = "binary_in_place", KINDS["elementwise"], _name, 0
    for _function in (*existing(Tensor, f"{_name} __{_dunder}__"), getattr(torch, _name)):
        NATIVE[_function] = "binary", KINDS["elementwise"], _name, 0


def _unary(kind: str, name: str) -> Rule:
    """Activations and other functions of one tensor that keep shape and float dtype."""
    kind_number = KINDS[kind]

    def handler(driver: Any, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        x = args[0] if args else kwargs.get("input")
        if not isinstance(x, Tensor) or not x.dtype.is_floating_point:
            return NotImplemented
        in_place = False
        if len(args) != 1 or kwargs:
            given = _activation_arguments(func, args, kwargs)
            if given is None:
                return NotImplemented
            in_place = given.get("inplace", False)
        shape = tuple(x.shape)
        if in_place and not driver.real:
            if not _is_writable(x):
                return NotImplemented
            return emit(kind_number, name, (x,), shape, into=x)
        return emit(kind_number, name, (x,), shape)

    return handler


# What the functions take besides the input.
_PARAMETERS: dict[Any, tuple[str, ...]] = {
    **dict.fromkeys((F.relu, F.relu6, F.selu, F.silu, F.mish), ("inplace",)),
    **dict.fromkeys((F.hardsigmoid, F.hardswish), ("inplace",)),
    **dict.fromkeys((F.elu, F.celu), ("alpha", "inplace")),
    F.leaky_relu: ("negative_slope", "inplace"),
    F.hardtanh: ("min_val", "max_val", "inplace"),
    F.softplus: ("beta", "threshold"),
}


def _activation_arguments(
    func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> dict[str, Any] | None:
    """Arguments besides the input by name; None where torch might refuse them."""
    given = {**dict(zip(("input", *_PARAMETERS.get(func, ())), args, strict=False)), **kwargs}
    if len(given) != len(args) + len(kwargs) or "input" not in given:
        return None
    del given["input"]
    if func is F.gelu and len(args) == 1:
        return given if given.get("approximate") in ("none", "tanh") and len(given) == 1 else None
    for name, value in given.items():
        if name not in _PARAMETERS.get(func, ()):
            return None
        if type(value) not in ((bool,) if name == "inplace" else (int, float)):
            return None
    if func is F.celu and given.get("alpha") == 0:
        return None
    if given.get("min_val", -1) > given.get("max_val", 1):
        return None
    return given


def _unary_in_place(kind: str, name: str) -> Rule:
    kind_number = KINDS[kind]

    def handler(driver: Any, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if driver.real or len(args) != 1 or kwargs or not _is_writable(args[0]):
            return NotImplemented
        x = args[0]
        return emit(kind_number, name, (x,), tuple(x.shape), into=x)

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
for _kind, _activations in _ACTIVATIONS.items():
    rule(*_activations)(_unary(_kind, _kind))
    for _function in _activations:
        _form = "activation" if "inplace" in _PARAMETERS.get(_function, ()) else "unary"
        NATIVE[_function] = _form, KINDS[_kind], _kind, 0
for _name in (
    "exp log log2 log10 log1p expm1 sqrt rsqrt abs neg sin cos tan asin "
    "acos atan sinh cosh square reciprocal erf floor ceil round sign trunc "
    "exp2"
).split():
    for _function in (getattr(Tensor, _name), getattr(torch, _name)):
        rule(_function)(_unary("elementwise", _name))
        NATIVE[_function] = "unary", KINDS["elementwise"], _name, 0
for _name, _kind in (("relu_", "relu"), ("sigmoid_", "sigmoid"), ("tanh_", "tanh")):
    rule(getattr(Tensor, _name), getattr(torch, _name))(_unary_in_place(_kind, _kind))


@rule(Tensor.pow, torch.pow, Tensor.__pow__)
def _pow(driver: Any, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    if kwargs or len(args) != 2 or type(args[1]) not in (int, float):
        return NotImplemented
    x = args[0]
    if not isinstance(x, Tensor) or not x.dtype.is_floating_point:
        return NotImplemented
    return emit(KINDS["elementwise"], "pow", (x,), tuple(x.shape))


@rule(Tensor.clamp, torch.clamp, Tensor.clip, torch.clip)
def _clamp(driver: Any, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    if not 1 <= len(args) <= 3 or kwargs.keys() - {*("min", "max")[len(args) - 1 :]}:
        return NotImplemented
    x = args[0]
    bounds = [bound for bound in (*args[1:], *kwargs.values()) if bound is not None]
    if not bounds or any(type(bound) not in (int, float) for bound in bounds):
        return NotImplemented
    if not x.dtype.is_floating_point:
        return NotImplemented
    return emit(KINDS["hardtanh"], "clamp", (x,), tuple(x.shape))


NATIVE[F.dropout] = "dropout", KINDS["dropout"], "dropout", 0


@rule(F.dropout, F.dropout1d, F.dropout2d, F.dropout3d, F.alpha_dropout, F.feature_alpha_dropout)
def _dropout(driver: Any, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    names = ("input", "p", "training", "inplace")
    given = {**dict(zip(names, args, strict=False)), **kwargs}
    if len(given) != len(args) + len(kwargs) or given.keys() - {*names}:
        return NotImplemented
    # True by default, but for alpha dropout.
    training = given.get("training", func not in (F.alpha_dropout, F.feature_alpha_dropout))
    x, p = given.get("input"), given.get("p", 0.5)
    if training is not False or not isinstance(x, Tensor) or type(p) not in (int, float):
        return NotImplemented
    rank = {"dropout1d": 3, "dropout2d": 4, "dropout3d": 5}.get(func.__name__)
    if not 0 <= p <= 1 or rank not in (None, x.dim()):
        return NotImplemented
    return x


@rule(torch.where, Tensor.where)
def _where(driver: Any, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    if kwargs or len(args) != 3:
        return NotImplemented
    tensors = tuple(value for value in args if isinstance(value, Tensor))
    if not tensors or not all(isinstance(a, Tensor) for a in args):
        return NotImplemented
    condition, one, other = args if func is torch.where else (args[1], args[0], args[2])
    shape = broadcast(tuple(args[0].shape), tuple(args[1].shape))
    shape = None if shape is None else broadcast(shape, tuple(args[2].shape))
    if shape is None or one.dtype is not other.dtype or condition.dtype is not torch.bool:
        return NotImplemented
    return emit(KINDS["elementwise"], "where", tensors, shape, one.dtype)


@rule(Tensor.masked_fill)
def _masked_fill(driver: Any, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    if kwargs or len(args) != 3 or type(args[2]) not in (int, float):
        return NotImplemented
    x, mask = args[:2]
    if not isinstance(mask, Tensor) or not x.dtype.is_floating_point:
        return NotImplemented
    if mask.dtype is not torch.bool:
        return NotImplemented
    shape = broadcast(tuple(x.shape), tuple(mask.shape))
    if shape is None:
        return NotImplemented
    return emit(KINDS["move"], "masked_fill", (x, mask), shape)
