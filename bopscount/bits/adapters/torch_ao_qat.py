"""torch.ao: quantisation-aware training, and MQBench, which builds on it."""

from bopscount.bits.adapters.family import Family, has, width_of_range
from bopscount.bits.layer_bits import LayerBits

_LAYERS = (
    *(f"Conv{rank}d" for rank in (1, 2, 3)),
    *(f"Conv{what}{rank}d" for rank in (1, 2, 3) for what in ("Bn", "BnReLU", "ReLU")),
    "_ConvBnNd",
    "Linear",
    "LinearReLU",
    "LinearBn1d",
)
_OUTPUT = "activation_post_process"


def _range(module: object, quantiser: str) -> int:
    return width_of_range(module, f"{quantiser}.quant_min", f"{quantiser}.quant_max")


def _layer(module: object) -> LayerBits:
    quantises = has(module, f"{_OUTPUT}.fake_quant_enabled")
    return LayerBits(
        weight_bits=_range(module, "weight_fake_quant"),
        output_bits=_range(module, _OUTPUT) if quantises else None,
    )


FAMILIES = (
    Family(
        name="torch.ao QAT, MQBench",
        tested="torch 2.13.0; re-implementation of MQBench",
        classes=_LAYERS,
        modules=("torch.ao.nn.qat", "torch.ao.nn.intrinsic.qat", "mqbench.nn"),
        read=_layer,
        where="`quant_min` and `quant_max` of `.weight_fake_quant`, and of the output of "
        "`.activation_post_process`",
    ),
    Family(
        name="torch.ao QAT: activations",
        tested="torch 2.13.0; re-implementation of MQBench",
        classes=("FakeQuantize", "FusedMovingAvgObsFakeQuantize", "QuantizeBase"),
        modules=("torch.ao.quantization", "mqbench."),
        read=lambda module: LayerBits(output_bits=width_of_range(module, "quant_min", "quant_max")),
        where="`quant_min` and `quant_max` (x86's default of 0 to 127 is 7 bits)",
    ),
)
