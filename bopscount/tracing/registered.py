"""Classes with a registered rule: what is recorded of their forward.

Of the ops that such a forward runs, only convolutions and matrix products count, at
the registered widths: the rest (sign, scale, straight-through tricks) is how training
emulates the low-bit layer. A quantiser is one record whatever it runs.
"""

from __future__ import annotations

from math import prod
from typing import Any

from torch import Tensor, nn

from bopscount.errors import InputError
from bopscount.registry import LayerRule
from bopscount.tracing.emitter import Emitter
from bopscount.tracing.fields import quantised, three

_MIN_RANK, _MAX_RANK = 2, 5


def record_registered(
    emitter: Emitter,
    rule: LayerRule,
    module: nn.Module,
    operand: Tensor,
    output: Tensor,
    mark: int,
) -> None:
    """Rewrites what the module's forward recorded since `mark` by its rule."""
    weight_bits = rule.read(module, "weight_bits")
    input_bits = rule.read(module, "input_bits")
    output_bits = rule.read(module, "output_bits")
    bits = quantised(
        rule.source, weight_bits=weight_bits, input_bits=input_bits, output_bits=output_bits
    )
    if emitter.tracer.rewrite(mark, bits):
        return
    name = type(module).__name__
    shape = _weight_shape(rule, module)
    if shape is not None:
        kind = "conv" if len(shape) > _MIN_RANK else "linear"
        emitter.add(kind, name, operand, output, **_by_shape(shape, operand), **bits)
    elif output_bits is not None:
        emitter.add("quantize", name, operand, output, **bits)
    elif weight_bits is None and input_bits is None:
        emitter.add("identity", name, operand, output)
    else:
        raise InputError(
            f"{name} has registered bit widths but its forward runs no convolution or matrix "
            "product and no weight shows its shape; register it with weight_shape=(out, in, ...)"
        )


def _weight_shape(rule: LayerRule, module: nn.Module) -> tuple[int, ...] | None:
    """The registered logical shape, or that of a parameter called weight(s)."""
    shape = rule.read(module, "weight_shape")
    if shape is None:
        if rule.weight_bits is None:
            return None
        weight = getattr(module, "weight", getattr(module, "weights", None))
        shape = tuple(weight.shape) if isinstance(weight, Tensor) else None
    if shape is None:
        return None
    shape = tuple(shape)
    if not _MIN_RANK <= len(shape) <= _MAX_RANK:
        raise InputError(
            f"weight_shape of {type(module).__name__} must be (out, in / groups, *kernel), "
            f"got {shape!r}"
        )
    return shape


def _by_shape(shape: tuple[int, ...], operand: Tensor) -> dict[str, Any]:
    """Record fields for a weight of shape (out, in / groups, *kernel)."""
    if len(shape) == _MIN_RANK:
        return {"channel_axis": -1, "weight_elements": prod(shape)}
    channels = operand.shape[1] if operand.dim() > 1 else shape[1]
    return {
        "weight_elements": prod(shape),
        "kernel": three(shape[2:]),
        "groups": max(1, channels // max(1, shape[1])),
        "batched": operand.dim() >= len(shape),
    }
