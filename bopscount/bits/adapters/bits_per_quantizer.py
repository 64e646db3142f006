"""ModelOpt, Bayesian Bits and similar: a number of bits per operand's quantiser."""

from bopscount.bits.adapters.family import FLOAT, Family, get, has, width
from bopscount.bits.layer_bits import LayerBits

_CONVS = ("QuantConv1d", "QuantConv2d", "QuantConv3d", "QuantConvTranspose2d")


def _unless_disabled(module: object, quantiser: str) -> int | None:
    if has(module, f"{quantiser}.0.num_bits"):
        # Quantisers in sequence, as int4 within fp8: the narrowest determines the values.
        parts = range(len(get(module, quantiser)))
        return min(_unless_disabled(module, f"{quantiser}.{part}") or FLOAT for part in parts)
    if has(module, f"{quantiser}.is_enabled") and not get(module, f"{quantiser}.is_enabled"):
        return FLOAT
    return _number(module, f"{quantiser}.num_bits")


def _number(module: object, path: str) -> int | None:
    bits = get(module, path)
    # A pair is a small float: exponent and mantissa bits, to which the sign adds one.
    return 1 + sum(bits) if isinstance(bits, tuple) else width(module, path)


FAMILIES = (
    Family(
        name="NVIDIA ModelOpt, pytorch-quantization",
        tested="nvidia-modelopt 0.47.0",
        classes=(*_CONVS, "QuantLinear", "_QuantConv2d", "_QuantLinear"),
        needs=("weight_quantizer", "input_quantizer"),
        read=lambda module: LayerBits(
            weight_bits=_unless_disabled(module, "weight_quantizer"),
            input_bits=_unless_disabled(module, "input_quantizer"),
        ),
        where="`.weight_quantizer.num_bits`, `.input_quantizer.num_bits`; float where not enabled",
    ),
    Family(
        name="NVIDIA ModelOpt: activations",
        tested="nvidia-modelopt 0.47.0",
        classes=("TensorQuantizer",),
        modules=("modelopt.",),
        read=lambda module: LayerBits(
            output_bits=_number(module, "num_bits") if get(module, "is_enabled") else None
        ),
        where="`.num_bits` where enabled; of quantisers that no layer owns",
    ),
    Family(
        name="BRECQ, QDrop",
        classes=("QuantModule",),
        others=("torch.", "modelopt."),
        needs=("weight_quantizer.n_bits", "act_quantizer.n_bits"),
        read=lambda module: LayerBits(
            weight_bits=width(module, "weight_quantizer.n_bits")
            if getattr(module, "use_weight_quant", True)
            else FLOAT,
            output_bits=width(module, "act_quantizer.n_bits")
            if getattr(module, "use_act_quant", True)
            else None,
        ),
        where="`.weight_quantizer.n_bits`, and of the output `.act_quantizer.n_bits`, "
        "where `.use_weight_quant` and `.use_act_quant`",
    ),
    Family(
        name="Bayesian Bits",
        classes=("QuantizedConv2d", "QuantizedLinear", "BayesianBitsConv2d", "QConv2d", "QLinear"),
        needs=("n_bits", "n_bits_act"),
        read=lambda module: LayerBits(
            weight_bits=width(module, "n_bits"), output_bits=width(module, "n_bits_act")
        ),
        where="`.n_bits`, and of the output `.n_bits_act`",
    ),
    Family(
        name="APoT",
        classes=("QuantConv2d", "QuantLinear"),
        needs=("bit", "act_alq"),
        read=lambda module: LayerBits(
            weight_bits=width(module, "bit"), input_bits=width(module, "bit")
        ),
        where="`.bit`, of weight and activation both",
    ),
)
