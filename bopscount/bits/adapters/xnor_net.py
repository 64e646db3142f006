"""XNOR-Net-PyTorch: BinConv2d around a plain layer, binarised in place during forward."""

from bopscount.bits.adapters.family import Family, has
from bopscount.bits.layer_bits import LayerBits

_BINARY = LayerBits(weight_bits=1, input_bits=1)


FAMILIES = (
    Family(
        name="XNOR-Net-PyTorch",
        classes=("BinConv2d", "BinLinear"),
        read=lambda module: _BINARY if has(module, "conv.weight") else None,
        inner="conv",
        where="one bit by name, for the plain layer inside `.conv`",
    ),
    Family(
        name="XNOR-Net-PyTorch, linear",
        classes=("BinConv2d", "BinLinear"),
        read=lambda module: _BINARY if has(module, "linear.weight") else None,
        inner="linear",
        where="one bit by name, for the plain layer inside `.linear`",
    ),
)
