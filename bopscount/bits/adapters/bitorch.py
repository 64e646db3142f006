"""bitorch: QConv2d and QLinear, which appear in a model as composed layers."""

from bopscount.bits.adapters.family import Family, MissingError, has, width
from bopscount.bits.layer_bits import LayerBits

_CLASSES = (
    *(f"_QConv{rank}dComposed" for rank in (1, 2, 3)),
    *(f"QConv{rank}d{kind}" for rank in (1, 2, 3) for kind in ("", "Base")),
    "_QLinearComposed",
    "QLinear",
    "QLinearBase",
)
_WEIGHTS = ("_weight_quantize.bit_width", "weight_quantization.bit_width")
_INPUT = "activation.activation_function.bit_width"


def _read(module: object) -> LayerBits:
    path = next((path for path in _WEIGHTS if has(module, path)), None)
    if path is None:
        raise MissingError(_WEIGHTS[0])
    return LayerBits(weight_bits=width(module, path), input_bits=width(module, _INPUT))


FAMILY = Family(
    name="bitorch",
    classes=_CLASSES,
    needs=(_INPUT,),
    read=_read,
    where="`._weight_quantize.bit_width` or `.weight_quantization.bit_width`; "
    "`.activation.activation_function.bit_width`",
)
