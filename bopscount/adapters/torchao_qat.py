"""torchao's quantisation-aware training."""

from bopscount.adapters.dtypes import bits_of_dtype
from bopscount.adapters.family import FLOAT, Family, get
from bopscount.layer_bits import LayerBits


def _bits(module: object, quantiser: str) -> int:
    if get(module, quantiser) is None:
        return FLOAT
    return bits_of_dtype(get(module, f"{quantiser}.config.dtype"))


FAMILY = Family(
    name="torchao QAT",
    classes=("FakeQuantizedLinear",),
    modules=("torchao.quantization.qat",),
    read=lambda module: LayerBits(
        weight_bits=_bits(module, "weight_fake_quantizer"),
        input_bits=_bits(module, "activation_fake_quantizer"),
    ),
    where="`.weight_fake_quantizer.config.dtype`, `.activation_fake_quantizer.config.dtype`",
)
