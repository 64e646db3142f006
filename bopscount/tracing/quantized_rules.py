"""Recording rules of dispatched ops on quantised tensors, of torch and of libraries."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from bopscount._core import BIT_SOURCES
from bopscount.tracing.emitter import Emitter
from bopscount.tracing.fields import quantised, three, weight_fields

_BITS = {"torch.quint4x2": 4, "torch.quint2x4": 2}
_DYNAMIC_BITS = 8
_QUANTISE = (
    "aten.quantize_per_tensor", "aten.quantize_per_channel", "aten.quantize_per_tensor_dynamic",
    "quanto.quantize_symmetric",
)  # fmt: skip
_LIKE = {
    "add": "elementwise", "mul": "elementwise", "add_scalar": "elementwise",
    "mul_scalar": "elementwise", "relu6": "hardtanh", "hardswish": "hardswish", "elu": "elu",
    "celu": "celu", "leaky_relu": "leaky_relu", "sigmoid": "sigmoid", "prelu": "prelu",
    "batch_norm1d": "batch_norm", "batch_norm2d": "batch_norm", "batch_norm3d": "batch_norm",
    "batch_norm": "batch_norm", "instance_norm": "instance_norm", "layer_norm": "layer_norm",
    "group_norm": "group_norm", "softmax": "softmax", "cat": "move",
}  # fmt: skip
"""Name without a fused ReLU -> op kind, for ops that need only shapes."""
_CONVS = tuple(f"conv{what}{rank}d" for what in ("", "_transpose") for rank in (1, 2, 3))


def record_quantized(
    emitter: Emitter, namespace: str, name: str, args: tuple[Any, ...], out: Any
) -> bool:
    """Record an op on quantised tensors; return False if it is unknown or not one."""
    if not isinstance(out, Tensor):
        return False
    op = f"{namespace}.{name}"
    if op in _QUANTISE:
        bits = _BITS.get(str(out.dtype), 8 * out.itemsize)
        emitter.add("quantize", op, args[0], out, **quantised("dtype", output_bits=bits))
        return True
    if namespace == "aten":
        if name == "dequantize" and isinstance(args[0], Tensor):
            emitter.add("elementwise", op, args[0], out)
            return True
        return False
    if namespace != "quantized":
        return False
    base = name if name in _LIKE else name.replace("_relu", "")
    if base in ("linear", "linear_dynamic"):
        weight, bias = args[1].unpack()
        fields = weight_fields(weight, bias)
        emitter.add("linear", op, args[0], out, **fields, **_dynamic(base))
    elif base.removesuffix("_dynamic") in _CONVS:
        weight, bias = args[1].unpack()
        kind = "conv_transpose" if "transpose" in base else "conv"
        emitter.add(
            kind, op, args[0], out,
            groups=args[1].groups(), kernel=three(tuple(weight.shape[2:])),
            **weight_fields(weight, bias), **_dynamic(base),
        )  # fmt: skip
    elif base in _LIKE:
        operand = args[0][0] if isinstance(args[0], (tuple, list)) else args[0]
        emitter.add(_LIKE[base], op, operand, out)
    else:
        return False
    return True


def _dynamic(base: str) -> dict[str, Any]:
    """Return the input fields of a dynamic op, which quantises its float input itself."""
    if not base.endswith("_dynamic"):
        return {}
    return {"input_bits": _DYNAMIC_BITS, "input_bits_source": BIT_SOURCES["dtype"]}
