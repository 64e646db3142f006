"""IR-Net and AdaBin: binary layers."""

from bopscount.bits.adapters.family import Family, has, width
from bopscount.bits.layer_bits import LayerBits

FAMILIES = (
    Family(
        name="IR-Net",
        classes=("IRConv2d", "IRLinear"),
        read=lambda module: LayerBits(weight_bits=1, input_bits=1),
        where="one bit by name",
    ),
    Family(
        name="AdaBin",
        classes=("AdaBin_Conv2d",),
        read=lambda module: LayerBits(
            weight_bits=width(module, "w_bit") if has(module, "w_bit") else 1,
            input_bits=width(module, "a_bit") if has(module, "a_bit") else 1,
        ),
        where="`.w_bit`, `.a_bit`; without them one bit by name",
    ),
)
