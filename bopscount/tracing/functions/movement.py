"""Functions that move data: copies, casts, concatenation, indexing, padding."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import torch
from torch import Tensor

from bopscount._core import KINDS, alias, emit
from bopscount.tracing.functions.registry import rule
from bopscount.tracing.host import TraceHost
from bopscount.tracing.inputs import CONSTANT_ELEMENTS


@rule("move.reshape")
def _reshape(host: TraceHost, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    # Not recorded: torch copies only if strides require it, which traced tensors do not show.
    out = func(*args, **kwargs)
    alias(out, args[0] if args else kwargs["input"])
    return out


@rule("move.contiguous")
def _contiguous(host: TraceHost, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    x = args[0]
    if kwargs:
        return NotImplemented
    if x.is_contiguous():
        return x
    return emit(KINDS["move"], "contiguous", (x,), tuple(x.shape))


@rule("move.clone")
def _clone(host: TraceHost, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    if kwargs or len(args) != 1:
        return NotImplemented
    return emit(KINDS["move"], "clone", (args[0],), tuple(args[0].shape))


@rule("move.cast")
def _cast(host: TraceHost, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    if kwargs or len(args) != 1:
        return NotImplemented
    return _cast_to(host, args[0], _CASTS[func.__name__])


_CASTS = {
    "float": torch.float32,
    "half": torch.float16,
    "bfloat16": torch.bfloat16,
    "double": torch.float64,
    "long": torch.int64,
    "int": torch.int32,
    "bool": torch.bool,
}


def _cast_to(host: Any, x: Tensor, dtype: torch.dtype, copy: bool = False) -> Any:
    if x.dtype is dtype and not copy:
        return x
    return emit(KINDS["move"], "to", (x,), tuple(x.shape), dtype)


@rule("move.to")
def _to(host: TraceHost, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Record a cast; a move to another device stays on meta, the device of the trace."""
    x = _on_meta(host, args[0])
    if x is None:
        return NotImplemented
    if func is not Tensor.to:
        wanted = args[1] if len(args) == 2 and not kwargs else None
        if isinstance(wanted, Tensor) and func is Tensor.type_as:
            wanted = wanted.dtype
        if not isinstance(wanted, torch.dtype):
            return NotImplemented
        return _cast_to(host, x, wanted)
    names = ("device", "dtype", "non_blocking", "copy")
    if len(args) > 1 and isinstance(args[1], (torch.dtype, Tensor)):
        names = ("dtype", "non_blocking", "copy", "device")
    given = {**dict(zip(names, args[1:], strict=False)), **kwargs}
    if (
        not given
        or len(given) != len(args) + len(kwargs) - 1
        or given.keys() - {*names, "memory_format"}
    ):
        return NotImplemented
    device, wanted = given.get("device"), given.get("dtype")
    if not isinstance(device, (torch.device, str, int, type(None))):
        return NotImplemented
    if isinstance(wanted, Tensor):
        wanted = wanted.dtype
    if not isinstance(wanted, (torch.dtype, type(None))):
        return NotImplemented
    if any(type(given.get(name, False)) is not bool for name in ("non_blocking", "copy")):
        return NotImplemented
    order: Any = given.get("memory_format")
    copy = given.get("copy", False)
    rank = _RANKS.get(order, x.dim())
    if rank != x.dim() or (len(args) > 1 and args[1] is None):
        return NotImplemented
    if order in _RANKS:
        copy = True  # another memory layout
    return _cast_to(host, x, wanted or x.dtype, copy=copy)


_RANKS = {torch.channels_last: 4, torch.channels_last_3d: 5}


@rule("move.device")
def _move_device(host: TraceHost, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    x = _on_meta(host, args[0])
    return NotImplemented if x is None else x


def _on_meta(host: Any, x: Tensor) -> Tensor | None:
    """Return the tensor on meta, the device of the trace, or None in a run for real."""
    if host.real:
        return None
    if x.is_meta:
        return x
    meta: Tensor = host.to_meta(x)
    alias(meta, x)
    return meta


@rule("move.cat")
def _cat(host: TraceHost, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    tensors = args[0] if args else kwargs.get("tensors")
    dim = args[1] if len(args) > 1 else kwargs.get("dim", kwargs.get("axis", 0))
    if "out" in kwargs or not isinstance(tensors, (tuple, list)) or type(dim) is not int:
        return NotImplemented
    tensors = tuple(tensors)
    if not tensors:
        return NotImplemented
    first = next((tensor for tensor in tensors if tuple(tensor.shape) != (0,)), tensors[0])
    shape = list(first.shape)
    rank, dtype = len(shape), first.dtype
    if not -rank <= dim < rank:
        return NotImplemented
    dim %= rank
    total = 0
    for tensor in tensors:
        other = list(tensor.shape)
        if tensor.dtype is not dtype:
            return NotImplemented
        if other == [0]:
            continue  # torch accepts these, for empty caches
        if len(other) != rank:
            return NotImplemented
        total += other[dim]
        other[dim] = shape[dim]
        if other != shape:
            return NotImplemented
    shape[dim] = total
    return emit(KINDS["move"], "cat", tensors, tuple(shape))


@rule("move.stack")
def _stack(host: TraceHost, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    tensors = args[0] if args else kwargs.get("tensors")
    dim = args[1] if len(args) > 1 else kwargs.get("dim", 0)
    if "out" in kwargs or not isinstance(tensors, (tuple, list)) or type(dim) is not int:
        return NotImplemented
    tensors = tuple(tensors)
    if not tensors:
        return NotImplemented
    shape, dtype = tuple(tensors[0].shape), tensors[0].dtype
    if any(tuple(t.shape) != shape or t.dtype is not dtype for t in tensors):
        return NotImplemented
    rank = len(shape) + 1
    if not -rank <= dim < rank:
        return NotImplemented
    dim %= rank
    return emit(KINDS["move"], "stack", tensors, (*shape[:dim], len(tensors), *shape[dim:]))


@rule("move.index")
def _look_up(host: TraceHost, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Record a look-up of rows by an integer tensor; leave other advanced indices to torch."""
    x, index = args
    if not isinstance(index, Tensor) or index.dtype not in (torch.int64, torch.int32):
        return NotImplemented
    if not x.dim():
        return NotImplemented
    shape = (*index.shape, *x.shape[1:])
    return emit(KINDS["move"], "index", (x, index), shape, fields={"extra_elements": 0})


@rule("move.fill_in_place")
def _fill(host: TraceHost, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    x = args[0]
    if host.real or kwargs or not x.is_meta or type(x) is not Tensor:
        return NotImplemented
    if any(type(value) not in (int, float, bool) for value in args[1:]):
        return NotImplemented
    return emit(KINDS["move"], func.__name__, (x,), tuple(x.shape), into=x)


@rule("move.permuted")
def _permuted(host: TraceHost, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    names = ("input", "dims") if func.__name__ == "flip" else ("input", "shifts", "dims")
    given = {"dims": (), **dict(zip(names, args, strict=False)), **kwargs}
    x, dims = given.get("input"), given["dims"]
    if len(args) > len(names) or not isinstance(x, Tensor):
        return NotImplemented
    dims = (dims,) if type(dims) is int else tuple(dims)
    rank = x.dim()
    if any(type(dim) is not int or not -rank <= dim < rank for dim in dims):
        return NotImplemented
    if func.__name__ == "roll":
        shifts = given.get("shifts")
        if len(dims or (0,)) != len(shifts if isinstance(shifts, (tuple, list)) else (0,)):
            return NotImplemented
    elif len({dim % rank for dim in dims}) != len(dims):
        return NotImplemented
    return emit(KINDS["move"], func.__name__, (x,), tuple(x.shape))


@rule("move.gather")
def _gather(host: TraceHost, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    if kwargs or len(args) != 3 or not isinstance(args[2], Tensor):
        return NotImplemented
    x, dim, index = args
    rank = x.dim()
    if rank != index.dim() or index.dtype is not torch.int64:
        return NotImplemented
    if type(dim) is not int or not -rank <= dim < rank:
        return NotImplemented
    if any(i != dim % rank and index.shape[i] > x.shape[i] for i in range(rank)):
        return NotImplemented
    return emit(
        KINDS["move"], "gather", (x, index), tuple(index.shape), fields={"extra_elements": 0}
    )


_NEW = (Tensor.new_zeros, Tensor.new_ones, Tensor.new_empty)


@rule("move.constant")
def _factory(host: TraceHost, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Record the creation of a constant from shapes alone; small ones may keep their values."""
    if host.real:
        return NotImplemented
    if not host.keeps_values and func in _NEW and args[0].is_meta:
        shape = args[1] if len(args) == 2 and isinstance(args[1], (tuple, list)) else args[1:]
        if not kwargs and all(type(size) is int and size >= 0 for size in shape):
            host.dropped_values = True
            return emit(KINDS["move"], func.__name__, (), tuple(shape), args[0].dtype)
    out = func(*args, **kwargs)
    if out.is_meta and not host.keeps_values:
        host.dropped_values = True
    elif out.is_meta and out.numel() <= CONSTANT_ELEMENTS:
        with suppress(RuntimeError, ValueError, TypeError):  # some dtypes have no kernel
            out = func(*args, **{**kwargs, "device": "cpu"})
    emit(KINDS["move"], func.__name__, (), tuple(out.shape), out.dtype, into=out)
    return out


@rule("move.pad")
def _pad(host: TraceHost, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    x = args[0] if args else kwargs.get("input")
    pad = args[1] if len(args) > 1 else kwargs.get("pad")
    mode = args[2] if len(args) > 2 else kwargs.get("mode", "constant")
    if not isinstance(x, Tensor) or mode != "constant":
        return NotImplemented
    if not isinstance(pad, (tuple, list)) or len(pad) % 2 or len(pad) > 2 * x.dim():
        return NotImplemented
    if not all(type(size) is int for size in pad):
        return NotImplemented
    shape = list(x.shape)
    for index in range(len(pad) // 2):
        before, after = pad[2 * index : 2 * index + 2]
        if shape[-1 - index] + min(before, 0) + min(after, 0) < 0:
            return NotImplemented
        shape[-1 - index] += before + after
    return emit(KINDS["move"], "pad", (x,), tuple(shape))
