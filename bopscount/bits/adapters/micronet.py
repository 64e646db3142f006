"""micronet: one quantiser per operand."""

from bopscount.bits.adapters.family import Family, width
from bopscount.bits.layer_bits import LayerBits

FAMILY = Family(
    name="micronet",
    classes=("QuantConv2d", "QuantConvTranspose2d", "QuantLinear"),
    needs=("weight_quantizer.w_bits", "activation_quantizer.a_bits"),
    read=lambda module: LayerBits(
        weight_bits=width(module, "weight_quantizer.w_bits"),
        input_bits=width(module, "activation_quantizer.a_bits"),
    ),
    where="`.weight_quantizer.w_bits`, `.activation_quantizer.a_bits`",
)
