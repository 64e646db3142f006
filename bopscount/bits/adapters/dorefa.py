"""DoReFa (zzzxxxttt): classes made in a factory."""

from bopscount.bits.adapters.family import Family, width
from bopscount.bits.layer_bits import LayerBits

FAMILIES = (
    Family(
        name="DoReFa",
        classes=("Conv2d_Q", "Linear_Q"),
        needs=("w_bit",),
        read=lambda module: LayerBits(weight_bits=width(module, "w_bit")),
        where="`.w_bit`",
    ),
    Family(
        name="DoReFa: activations",
        classes=("activation_quantize_fn",),
        needs=("a_bit",),
        read=lambda module: LayerBits(output_bits=width(module, "a_bit")),
        where="`.a_bit`",
    ),
)
