"""PACT (KwangHoonAn): layers with the names of torch's in another package."""

from bopscount.bits.adapters.family import Family, width
from bopscount.bits.layer_bits import LayerBits

FAMILY = Family(
    name="PACT",
    classes=("Conv2d", "Linear"),
    needs=("bitwidth",),
    read=lambda module: LayerBits(weight_bits=width(module, "bitwidth")),
    where="`.bitwidth`; the activation's width is an argument of a function and unknown",
)
