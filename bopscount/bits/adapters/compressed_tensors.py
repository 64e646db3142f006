"""compressed-tensors: a scheme on plain layers."""

from bopscount.bits.adapters.family import FLOAT, Family, get, has, linear_params, width
from bopscount.bits.layer_bits import LayerBits


def _bits(module: object, arguments: str) -> int | None:
    if get(module, f"quantization_scheme.{arguments}") is None:
        return FLOAT
    return width(module, f"quantization_scheme.{arguments}.num_bits")


def _read(module: object) -> LayerBits | None:
    if not has(module, "quantization_scheme"):
        return None
    bits = LayerBits(
        weight_bits=_bits(module, "weights"), input_bits=_bits(module, "input_activations")
    )
    if not has(module, "weight_packed"):
        return bits
    out_features, in_features = get(module, "out_features"), get(module, "in_features")
    return LayerBits(
        weight_bits=bits.weight_bits,
        input_bits=bits.input_bits,
        weight_shape=(out_features, in_features),
        logical_params=linear_params(out_features, in_features, get(module, "bias")),
        by_shape=True,
    )


FAMILY = Family(
    name="compressed-tensors",
    tested="compressed-tensors 0.20.0",
    classes=("Linear", "Conv2d", "CompressedLinear"),
    modules=("torch.nn.modules", "compressed_tensors."),
    read=_read,
    where="`.quantization_scheme.weights.num_bits`, `.input_activations.num_bits`",
)
