"""EWGS: widths as numbers of levels."""

from bopscount.bits.adapters.family import Family, width_of_levels
from bopscount.bits.layer_bits import LayerBits

FAMILY = Family(
    name="EWGS",
    classes=("QConv",),
    needs=("weight_levels", "act_levels"),
    read=lambda module: LayerBits(
        weight_bits=width_of_levels(module, "weight_levels"),
        input_bits=width_of_levels(module, "act_levels"),
    ),
    where="`.weight_levels`, `.act_levels` (2 levels are 1 bit)",
)
