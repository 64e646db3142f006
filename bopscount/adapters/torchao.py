"""torchao: plain layers whose weight is a tensor subclass."""

from math import prod

from bopscount.adapters.dtypes import bits_of_dtype
from bopscount.adapters.family import FLOAT, Family, get, has
from bopscount.layer_bits import LayerBits

_STORES = ("target_dtype", "qdata.dtype", "int_data.dtype", "layout.dtype")
_ACTIVATIONS = ("act_quant_kwargs", "activation_quantization", "input_quant_func")
_WRAPPED = "original_weight_tensor"
_PACKED_IN_BYTES = ("Int4", "UInt4")


def _read(module: object) -> LayerBits | None:
    weight = get(module, "weight")
    cls = type(weight)
    if not cls.__module__.startswith("torchao"):
        return None
    dynamic = any(has(weight, path) and get(weight, path) is not None for path in _ACTIVATIONS)
    inner = get(weight, _WRAPPED) if has(weight, _WRAPPED) else weight
    bias = get(module, "bias")
    return LayerBits(
        weight_bits=_weight_bits(inner),
        input_bits=8 if dynamic else FLOAT,
        weight_shape=tuple(weight.shape),
        logical_params=prod(weight.shape) + (0 if bias is None else bias.numel()),
        by_shape=True,
    )


def _weight_bits(weight: object) -> int:
    if type(weight).__name__.startswith(_PACKED_IN_BYTES):
        return 4
    for path in _STORES:
        if has(weight, path):
            return bits_of_dtype(get(weight, path))
    if has(weight, "tensor_impl") and has(weight, "quant_min"):
        return _range(weight)
    return bits_of_dtype(get(weight, _STORES[1]))


def _range(weight: object) -> int:
    low, high = get(weight, "quant_min"), get(weight, "quant_max")
    if low is None or high is None:
        return 8
    return int(high - low).bit_length()


FAMILY = Family(
    name="torchao",
    classes=("Linear", "Conv2d", "Conv3d"),
    modules=("torch.nn.modules",),
    read=_read,
    where="of the weight's subclass `.target_dtype` or `.qdata.dtype`; 8-bit inputs where "
    "`.act_quant_kwargs` is there, else float",
)
