"""transformers' BitNet: ternary weights, four to a byte, and 8-bit activations."""

from bopscount.bits.adapters.family import Family, get, linear_params
from bopscount.bits.layer_bits import LayerBits

_TERNARY = 2


def _read(module: object) -> LayerBits:
    out_features, in_features = get(module, "out_features"), get(module, "in_features")
    return LayerBits(
        weight_bits=_TERNARY,
        input_bits=8,
        weight_shape=(out_features, in_features),
        logical_params=linear_params(out_features, in_features, get(module, "bias")),
        by_shape=True,
    )


FAMILY = Family(
    name="transformers BitNet",
    tested="transformers 5.24.0",
    classes=("BitLinear", "AutoBitLinear"),
    modules=("transformers.integrations.bitnet",),
    read=_read,
    where="ternary (2 bits) and 8 bits by name; shape by `.in_features`, `.out_features`",
)
