"""BiT, BiBERT, BinaryViT, and OFQ after them."""

from bopscount.bits.adapters.family import Family, width
from bopscount.bits.layer_bits import LayerBits


def _both(module: object) -> LayerBits:
    return LayerBits(
        weight_bits=width(module, "weight_bits"), input_bits=width(module, "input_bits")
    )


FAMILIES = (
    Family(
        name="BiT, BiBERT, BinaryViT",
        classes=("QuantizeLinear", "QuantizeConv2d"),
        needs=("weight_bits", "input_bits"),
        read=_both,
        where="`.weight_bits`, `.input_bits` (32 and more are float)",
    ),
    Family(
        name="BiT, BiBERT, BinaryViT: embeddings",
        classes=("QuantizeEmbedding",),
        needs=("weight_bits",),
        read=lambda module: LayerBits(weight_bits=width(module, "weight_bits"), looks_up=True),
        where="`.weight_bits`",
    ),
    Family(
        name="OFQ",
        classes=("QLinear", "QConv2d"),
        needs=("weight_bits", "input_bits"),
        read=_both,
        where="`.weight_bits`, `.input_bits`",
    ),
)
