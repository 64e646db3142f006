"""NNI: a wrapper around each layer, in version 3 inside it."""

from typing import Any

from bopscount.bits.adapters.family import FLOAT, Family, MissingError, get, has, width
from bopscount.bits.layer_bits import LayerBits

_SPACES = "_nni_wrapper.quantization_target_spaces"


def _read(module: object) -> LayerBits | None:
    if not has(module, "_nni_wrapper"):
        return None
    spaces = get(module, _SPACES)
    if not isinstance(spaces, dict):
        raise MissingError(_SPACES)
    return LayerBits(
        weight_bits=_bits(spaces.get("weight")) or FLOAT,
        input_bits=_bits(spaces.get("_input_0")),
        output_bits=_bits(spaces.get("_output_0")),
    )


def _bits(space: Any) -> int | None:
    return None if space is None else width(space, "quant_bits")


FAMILIES = (
    Family(
        name="NNI 2",
        classes=("QuantizerModuleWrapper", "QuantizationModuleWrapper"),
        needs=("module", "quant_bits"),
        read=lambda module: LayerBits(
            weight_bits=get(module, "quant_bits").get("weight"),
            input_bits=get(module, "quant_bits").get("input"),
            output_bits=get(module, "quant_bits").get("output"),
        ),
        where="`.quant_bits` by operand",
    ),
)
ODD = Family(
    name="NNI 3",
    tested="nni 3.0",
    classes=("Conv1d", "Conv2d", "Conv3d", "ConvTranspose2d", "Linear"),
    modules=("torch.nn.modules",),
    read=_read,
    where="`._nni_wrapper.quantization_target_spaces`: `.quant_bits` of `weight`, `_input_0` and "
    "`_output_0`",
)
