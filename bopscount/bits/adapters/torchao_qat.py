"""torchao: quantisation-aware training."""

from bopscount.bits.adapters.dtypes import bits_of_dtype
from bopscount.bits.adapters.family import FLOAT, Family, get
from bopscount.bits.layer_bits import LayerBits

_WEIGHT, _INPUT = "weight_fake_quantizer", "activation_fake_quantizer"


def _bits(module: object, quantiser: str) -> int:
    if get(module, quantiser) is None:
        return FLOAT
    if type(get(module, f"{quantiser}.config")).__name__ == "Int4WeightFakeQuantizeConfig":
        return 4
    return bits_of_dtype(get(module, f"{quantiser}.config.dtype"))


FAMILIES = (
    Family(
        name="torchao QAT",
        tested="torchao 0.18.0",
        classes=("FakeQuantizedLinear",),
        modules=("torchao.quantization.qat",),
        read=lambda module: LayerBits(
            weight_bits=_bits(module, _WEIGHT), input_bits=_bits(module, _INPUT)
        ),
        where=f"`.{_WEIGHT}.config.dtype` (4 bits by name of an Int4 config), "
        f"`.{_INPUT}.config.dtype`",
    ),
    Family(
        name="torchao QAT: embeddings",
        tested="torchao 0.18.0",
        classes=("FakeQuantizedEmbedding",),
        modules=("torchao.quantization.qat",),
        read=lambda module: LayerBits(weight_bits=_bits(module, _WEIGHT), looks_up=True),
        where=f"`.{_WEIGHT}.config.dtype`",
    ),
)
