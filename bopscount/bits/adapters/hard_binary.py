"""Bi-Real Net, ReActNet, BNext: classes that are binary by name."""

from bopscount.bits.adapters.family import Family
from bopscount.bits.layer_bits import LayerBits

FAMILY = Family(
    name="ReActNet, BNext: activations",
    classes=("HardSign",),
    read=lambda module: LayerBits(output_bits=1) if not any(module.children()) else None,
    where="one bit by name, as are `HardBinaryConv` and `BinaryActivation`",
)
