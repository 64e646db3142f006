"""Records of modules with explicit bit widths, from registered classes and adapters.

Of the ops in such a forward, only convolutions and matrix products count, at the given widths:
the rest (sign, scale, straight-through estimators) emulates the low-bit layer in training. A
quantiser is one record, whichever ops it runs.
"""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from bopscount._core import KINDS, LEAF_RULES, answer, emit
from bopscount.bits.adapters.family import FLOAT
from bopscount.bits.adapters.tensor_subclasses import own_width
from bopscount.bits.layer_bits import LayerBits
from bopscount.errors import InputError
from bopscount.tracing.emitter import Emitter
from bopscount.tracing.fields import quantised, three
from bopscount.tracing.inputs import tensors_of
from bopscount.tracing.recurrent import recurrent_fields, recurrent_rule, recurrent_suffixes

if TYPE_CHECKING:
    from bopscount.tracing.host import TraceHost

_MIN_RANK, _MAX_RANK = 2, 5


def record_registered(
    emitter: Emitter,
    bits: LayerBits,
    source: str,
    name: str,
    given: Any,
    output: Tensor,
    mark: int,
) -> None:
    """Rewrite the records since `mark` with known bit widths.

    Args:
        emitter: Emitter of the running trace.
        bits: The bit widths.
        source: Source of the widths, a name in `BIT_SOURCES`.
        name: Name of the module's class, or of the function.
        given: First argument that holds a tensor.
        output: Output tensor.
        mark: Number of records before the module or function ran.

    Raises:
        InputError: If the widths are those of a product, but none was recorded and there is no
            valid weight shape.
    """
    operand = next(tensors_of(given))
    fields = quantised(
        source,
        weight_bits=bits.weight_bits,
        input_bits=bits.input_bits,
        output_bits=bits.output_bits,
    )
    if bits.input_bits is None:
        carried = emitter.tracer.bits_of(operand)
        fields |= quantised("producer", input_bits=carried or None)
        fields |= {} if carried else quantised("dtype", input_bits=own_width(given))
    shape = bits.weight_shape
    if emitter.tracer.rewrite(mark, fields):
        pass
    elif bits.stand_in is not None:
        for suffix in recurrent_suffixes(bits.stand_in):
            sizes = recurrent_fields(bits.stand_in, suffix, prod(operand.shape[:-1]))
            kind = type(bits.stand_in).__name__.lower()
            emitter.add(kind, name, operand, output, **{**sizes, **fields})
    elif shape is not None:
        _check_rank(name, shape)
        kind = "conv" if len(shape) > _MIN_RANK else "linear"
        emitter.add(kind, name, operand, output, **_by_shape(shape, operand), **fields)
    elif bits.output_bits == FLOAT:
        emitter.add("elementwise", name, operand, output)  # dequantised
    elif bits.output_bits is not None:
        emitter.add("quantize", name, operand, output, **fields)
    elif bits.weight_bits is None and bits.input_bits is None:
        emitter.add("identity", name, operand, output)
    else:
        raise InputError(
            f"{name} has registered bit widths but its forward runs no convolution or matrix "
            "product and no weight shows its shape; register it with weight_shape=(out, in, ...)"
        )
    if bits.output_bits is not None and bits.output_bits < FLOAT:
        emitter.tracer.set_bits(output, bits.output_bits)


def answer_by_shape(
    host: TraceHost, bits: LayerBits, module: nn.Module, args: tuple[Any, ...], kwargs: Any
) -> Any:
    """Answer a module whose kernels cannot be traced by its weight shape, as a float layer."""
    if bits.stand_in is not None:
        return recurrent_rule(host, bits.stand_in, args, kwargs)
    x = args[0] if args else None
    if host.real or not isinstance(x, Tensor) or not (x.is_meta or bits.looks_up):
        return NotImplemented
    name, shape = type(module).__name__, bits.weight_shape
    if shape is None:
        return emit(KINDS["elementwise"], name, (x,), tuple(x.shape), torch.get_default_dtype())
    if bits.looks_up:
        out, dtype = (*x.shape, shape[1]), torch.get_default_dtype()
        fields = {"weight_elements": prod(out), "extra_elements": 0}
        return emit(KINDS["embedding"], name, (x,), out, dtype, fields=fields)
    n_bias = (bits.logical_params or prod(shape)) - prod(shape)
    if len(shape) == _MIN_RANK:
        if not x.dim() or x.shape[-1] != shape[1]:
            return NotImplemented  # its forward raises the error
        fields = {"weight_elements": prod(shape), "bias_elements": n_bias, "extra_elements": 0}
        out = (*x.shape[:-1], shape[0])
        return emit(KINDS["linear"], name, (x,), out, fields=fields)
    leaf = f"conv{'_transpose' if 'Transpose' in name else ''}{len(shape) - _MIN_RANK}d"
    if leaf not in LEAF_RULES:
        return NotImplemented
    weight = torch.empty(shape, dtype=x.dtype, device="meta")
    bias = torch.empty(n_bias, dtype=x.dtype, device="meta") if n_bias else None
    attributes = {key: getattr(module, key) for key in _WINDOW if hasattr(module, key)}
    out = answer(LEAF_RULES.index(leaf), name, x, attributes, weight, bias)
    return NotImplemented if out is None else out


_WINDOW = (
    "in_channels", "out_channels", "kernel_size", "stride", "padding", "dilation", "groups",
    "padding_mode", "output_padding",
)  # fmt: skip


def _check_rank(name: str, shape: tuple[int, ...]) -> None:
    if not _MIN_RANK <= len(shape) <= _MAX_RANK:
        raise InputError(
            f"weight_shape of {name} must be (out, in / groups, *kernel), got {shape!r}"
        )


def _by_shape(shape: tuple[int, ...], operand: Tensor) -> dict[str, Any]:
    """Return the record fields of a weight of shape (out, in / groups, *kernel)."""
    if len(shape) == _MIN_RANK:
        return {"weight_elements": prod(shape)}
    channels = operand.shape[1] if operand.dim() > 1 else shape[1]
    return {
        "weight_elements": prod(shape),
        "kernel": three(shape[2:]),
        "groups": max(1, channels // max(1, shape[1])),
        "batched": operand.dim() >= len(shape),
    }
