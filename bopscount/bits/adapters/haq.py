"""HAQ: both widths on each layer."""

from bopscount.bits.adapters.family import Family, width
from bopscount.bits.layer_bits import LayerBits

FAMILY = Family(
    name="HAQ",
    classes=("QConv2d", "QLinear", "QModule"),
    needs=("w_bit", "a_bit"),
    read=lambda module: LayerBits(
        weight_bits=width(module, "w_bit"), input_bits=width(module, "a_bit")
    ),
    where="`.w_bit`, `.a_bit` (-1 is float)",
)
