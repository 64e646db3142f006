"""optimum-quanto: a quantised type per operand."""

from math import prod

from bopscount.bits.adapters.family import FLOAT, Family, get, width
from bopscount.bits.layer_bits import LayerBits


def _bits(module: object, qtype: str) -> int | None:
    return FLOAT if get(module, qtype) is None else width(module, f"{qtype}.bits")


def _read(module: object) -> LayerBits:
    weight, bias = get(module, "weight"), get(module, "bias")
    return LayerBits(
        weight_bits=_bits(module, "weight_qtype"),
        input_bits=_bits(module, "activation_qtype"),
        weight_shape=tuple(weight.shape),
        logical_params=prod(weight.shape) + (0 if bias is None else bias.numel()),
        by_shape=True,
    )


FAMILY = Family(
    name="optimum-quanto",
    tested="optimum-quanto 0.2.7",
    classes=("QLinear", "QConv2d"),
    modules=("optimum.quanto", "quanto."),
    read=_read,
    where="`.weight_qtype.bits`, `.activation_qtype.bits` (None is float)",
)
