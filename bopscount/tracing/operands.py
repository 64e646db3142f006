"""Operands of ATen products, as rows that may each have a scale."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from bopscount.tracing.aten_rules import aten_names

Operand = tuple[Tensor | None, ...]
"""Parts of one operand, each of shape (groups, values per group); None is a float part."""
Operands = Callable[[tuple[Any, ...]], tuple[Operand, Operand]]

_FLOATS: Operand = (None,)


def _whole(values: Tensor) -> Tensor:
    return values.reshape(1, -1)


def _vectors(values: Tensor) -> Tensor:
    """Return rows along the last dimension."""
    return values.reshape(-1, values.shape[-1]) if values.dim() else values.reshape(1, 1)


def _columns(values: Tensor) -> Tensor:
    """Return rows along the second-last dimension."""
    return _vectors(values.transpose(-1, -2)) if values.dim() > 1 else _whole(values)


def _without_border(x: Tensor, rank: int) -> Tensor:
    """Return `x` without its border of zeros in the last `rank` dimensions: earlier padding."""
    for dim in range(x.dim() - rank, x.dim()):
        others = [other for other in range(x.dim()) if other != dim]
        filled = (x != 0).sum(others).nonzero()
        if len(filled):
            first, last = int(filled[0]), int(filled[-1])
            x = x.narrow(dim, first, last - first + 1)
    return x


def _convolution(args: tuple[Any, ...]) -> tuple[Operand, Operand]:
    x, weight, transposed, groups = args[0], args[1], args[6], args[8]
    rank = weight.dim() - 2
    if transposed:  # (in, out / groups, *kernel)
        weight = weight.unflatten(0, (groups, -1)).transpose(1, 2).flatten(0, 1)
    return (_whole(_without_border(x, rank)),), (weight.flatten(1),)


def _product(args: tuple[Any, ...]) -> tuple[Operand, Operand]:
    return (_vectors(args[0]),), (_columns(args[1]),)


def _sum_with_product(args: tuple[Any, ...]) -> tuple[Operand, Operand]:
    return _product(args[1:])


def _trilinear(args: tuple[Any, ...]) -> tuple[Operand, Operand]:
    first, weight, second = args[:3]
    return (_whole(first), _whole(second)), (weight.flatten(0, 1).flatten(1),)


def _attention(args: tuple[Any, ...]) -> tuple[Operand, Operand]:
    """Return attention's operands; its probabilities, which multiply the values, are floats."""
    return (_whole(args[0]), *_FLOATS), (_vectors(args[1]), _vectors(args[2]))


def _recurrent(args: tuple[Any, ...]) -> tuple[Operand, Operand]:
    """Return an LSTM's operands; its hidden state, an output of sigmoids, is float."""
    return (_vectors(args[0]), *_FLOATS), (args[1], args[2])


def _distance(args: tuple[Any, ...]) -> tuple[Operand, Operand]:
    return (_vectors(args[0]),), (_vectors(args[1]),)


OPERANDS: dict[str, Operands] = {
    name: operands
    for groups, operands in (
        (("conv.convolution",), _convolution),
        (("matmul.mm",), _product),
        (("matmul.addmm", "matmul.addbmm"), _sum_with_product),
        (("bilinear.trilinear",), _trilinear),
        (("attention.attention",), _attention),
        (("lstm.lstm",), _recurrent),
        (("distance.cdist",), _distance),
    )
    for name in aten_names(*groups)
} | {"_grouped_mm": _product}
"""ATen name -> function from a call's arguments to (input, weight)."""


def operands_of(func: Any, args: tuple[Any, ...]) -> tuple[Operand, Operand] | None:
    """Return the input and weight of a dispatched op, or None if it is no product."""
    namespace, _, name = func._schema.name.partition("::")
    operands = OPERANDS.get(name) if namespace == "aten" else None
    return None if operands is None else operands(tuple(map(_plain, args)))


def _plain(value: Any) -> Any:
    """Return the dequantised values of a quantised tensor or tensor subclass, else `value`."""
    if isinstance(value, Tensor) and (value.is_quantized or type(value) not in _REGULAR):
        dequantize = getattr(value, "dequantize", None)
        return value if dequantize is None else dequantize()
    return value


_REGULAR = (Tensor, torch.nn.Parameter)
