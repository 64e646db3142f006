"""brevitas: quantisers inside each layer; quantised tensors have widths too."""

from bopscount.bits.adapters.family import FLOAT, Family, get, has, width
from bopscount.bits.layer_bits import LayerBits

_LAYERS = (
    "QuantConv1d", "QuantConv2d", "QuantConv3d", "QuantConvTranspose1d", "QuantConvTranspose2d",
    "QuantConvTranspose3d", "QuantLinear", "QuantScaleBias",
)  # fmt: skip
_ACTIVATIONS = (
    "QuantReLU", "QuantIdentity", "QuantHardTanh", "QuantTanh", "QuantSigmoid", "QuantNLAL",
    "QuantNonLinearActLayer",
)  # fmt: skip


_QUANTISERS = (
    "WeightQuantProxyFromInjectorBase", "WeightQuantProxyFromInjector",
    "ActQuantProxyFromInjectorBase", "ActQuantProxyFromInjector",
)  # fmt: skip


def _enabled(module: object, quantiser: str) -> int | None:
    """Return the width of a quantiser; None if disabled: the input tensor or float decides."""
    if not (has(module, quantiser) and get(module, f"{quantiser}.is_quant_enabled")):
        return None
    return width(module, f"{quantiser}.bit_width()")


def _layer(module: object) -> LayerBits:
    return LayerBits(
        weight_bits=_enabled(module, "weight_quant") or FLOAT,
        input_bits=_enabled(module, "input_quant"),
        output_bits=_enabled(module, "output_quant"),
    )


FAMILIES = (
    Family(
        name="brevitas",
        tested="brevitas 0.13.4",
        classes=_LAYERS,
        modules=("brevitas.",),
        read=_layer,
        where="`.weight_quant.bit_width()`, `.input_quant.bit_width()` and "
        "`.output_quant.bit_width()` where enabled; else the tensor that comes in",
    ),
    Family(
        name="brevitas: activations",
        tested="brevitas 0.13.4",
        classes=_ACTIVATIONS,
        modules=("brevitas.",),
        read=lambda module: LayerBits(output_bits=_enabled(module, "act_quant")),
        where="`.act_quant.bit_width()` where enabled",
    ),
    Family(
        name="brevitas: embeddings",
        tested="brevitas 0.13.4",
        classes=("QuantEmbedding",),
        modules=("brevitas.",),
        read=lambda module: LayerBits(
            weight_bits=_enabled(module, "weight_quant") or FLOAT, looks_up=True
        ),
        where="`.weight_quant.bit_width()` where enabled",
    ),
    Family(
        name="brevitas: quantisers",
        tested="brevitas 0.13.4",
        classes=_QUANTISERS,
        modules=("brevitas.proxy",),
        read=lambda module: LayerBits(
            output_bits=width(module, "bit_width()") if get(module, "is_quant_enabled") else None
        ),
        where="`.bit_width()` where enabled; of recurrent cells and other composed layers",
    ),
)
