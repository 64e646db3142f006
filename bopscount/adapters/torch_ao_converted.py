"""torch.ao's converted modules, whose parameters are packed."""

from math import prod

from bopscount.adapters.family import FLOAT, Family, get
from bopscount.layer_bits import LayerBits

_BITS = {"torch.qint8": 8, "torch.quint8": 8, "torch.quint4x2": 4, "torch.float16": 16}
_CONVS = tuple(f"Conv{what}{rank}d" for rank in (1, 2, 3) for what in ("", "Transpose", "ReLU"))


def _read(module: object, output_bits: int | None) -> LayerBits:
    weight, bias = get(module, "weight()"), get(module, "bias()")
    bits = _BITS.get(str(weight.dtype), FLOAT)
    return LayerBits(
        weight_bits=bits,
        input_bits=8 if bits < 16 else FLOAT,
        output_bits=output_bits,
        weight_shape=tuple(weight.shape),
        logical_params=prod(weight.shape) + (0 if bias is None else bias.numel()),
        by_shape=True,
    )


FAMILIES = (
    Family(
        name="torch.ao converted, dynamic",
        classes=("Linear", "LinearReLU"),
        modules=("torch.ao.nn.quantized.dynamic", "torch.ao.nn.intrinsic.quantized.dynamic"),
        read=lambda module: _read(module, None),
        where="dtype of `.weight()`; 8-bit inputs; parameters by the shapes of weight and bias",
    ),
    Family(
        name="torch.ao converted",
        classes=(*_CONVS, "Linear", "LinearReLU"),
        modules=("torch.ao.nn.quantized.modules", "torch.ao.nn.intrinsic.quantized.modules"),
        read=lambda module: _read(module, 8),
        where="dtype of `.weight()`; 8-bit inputs and outputs; parameters by the shapes of "
        "weight and bias",
    ),
    Family(
        name="torch.ao converted: quantisers",
        classes=("Quantize",),
        modules=("torch.ao.nn.quantized.modules",),
        read=lambda module: LayerBits(output_bits=8, by_shape=True),
        where="8 bits",
    ),
    Family(
        name="torch.ao converted: back to float",
        classes=("DeQuantize",),
        modules=("torch.ao.nn.quantized.modules",),
        read=lambda module: LayerBits(output_bits=FLOAT, by_shape=True),
        where="float",
    ),
)
