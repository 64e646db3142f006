"""HAWQ: activations are quantised by a separate module."""

from bopscount.bits.adapters.family import Family, width
from bopscount.bits.layer_bits import LayerBits

FAMILIES = (
    Family(
        name="HAWQ",
        classes=("QuantConv2d", "QuantBnConv2d", "QuantLinear"),
        needs=("weight_bit",),
        read=lambda module: LayerBits(weight_bits=width(module, "weight_bit")),
        where="`.weight_bit`",
    ),
    Family(
        name="HAWQ: activations",
        classes=("QuantAct",),
        needs=("activation_bit",),
        read=lambda module: LayerBits(output_bits=width(module, "activation_bit")),
        where="`.activation_bit`",
    ),
)
