"""binary-networks-pytorch: layers with the names of torch's."""

from bopscount.bits.adapters.family import FLOAT, Family, get
from bopscount.bits.layer_bits import LayerBits


def _bits(module: object, path: str) -> int:
    return FLOAT if type(get(module, path)).__name__ == "Identity" else 1


FAMILY = Family(
    name="binary-networks-pytorch",
    classes=("Conv1d", "Conv2d", "ConvTranspose2d", "Linear"),
    modules=("bnn.",),
    read=lambda module: LayerBits(
        weight_bits=_bits(module, "weight_pre_process"),
        input_bits=_bits(module, "activation_pre_process"),
    ),
    where="`.weight_pre_process`, `.activation_pre_process`: float if `Identity`, else one bit",
)
