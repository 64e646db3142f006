"""torchao: plain layers whose weight is a tensor subclass."""

from math import prod

from bopscount.bits.adapters.dtypes import bits_of_dtype
from bopscount.bits.adapters.family import FLOAT, Family, MissingError, get, has
from bopscount.bits.layer_bits import LayerBits

_STORES = ("target_dtype", "qdata.dtype", "int_data.dtype", "layout.dtype")
_ACTIVATIONS = ("act_quant_kwargs", "activation_quantization", "input_quant_func")
_WRAPPED = "original_weight_tensor"
_PACKED_IN_BYTES = ("Int4", "UInt4")


def _read(module: object) -> LayerBits | None:
    weight = get(module, "weight") if has(module, "weight") else None
    if weight is None or not is_torchao(weight):
        return None
    bias = get(module, "bias") if has(module, "bias") else None
    return LayerBits(
        weight_bits=weight_bits(weight),
        input_bits=input_bits(weight),
        weight_shape=tuple(weight.shape),
        logical_params=prod(weight.shape) + (0 if bias is None else bias.numel()),
        looks_up=has(module, "embedding_dim"),
        by_shape=True,
    )


def is_torchao(tensor: object) -> bool:
    """Return whether a tensor is of one of torchao's classes."""
    return type(tensor).__module__.startswith("torchao")


def input_bits(weight: object) -> int | None:
    """Return the bits that the weight's class quantises inputs to, `FLOAT` if it does not.

    None for tensors of other libraries.
    """
    if not is_torchao(weight):
        return None
    given = (get(weight, path) for path in _ACTIVATIONS if has(weight, path))
    return FLOAT if all(value is None for value in given) else 8


def weight_bits(weight: object) -> int:
    """Return the bits per logical element of the weight.

    Raises:
        MissingError: If none of the attributes that state them exists.
    """
    if has(weight, _WRAPPED):
        return weight_bits(get(weight, _WRAPPED))
    if type(weight).__name__.startswith(_PACKED_IN_BYTES):
        return 4
    for path in _STORES:
        if has(weight, path):
            return bits_of_dtype(get(weight, path))
    if has(weight, "tensor_impl") and has(weight, "quant_min"):
        return _range(weight)
    raise MissingError(_STORES[1])


def _range(weight: object) -> int:
    low, high = get(weight, "quant_min"), get(weight, "quant_max")
    if low is None or high is None:
        return 8
    return int(high - low).bit_length()


FAMILY = Family(
    name="torchao",
    tested="torchao 0.18.0",
    classes=("Linear", "Conv1d", "Conv2d", "Conv3d", "Embedding"),
    modules=("torch.nn.modules",),
    read=_read,
    where="of the weight's subclass `.target_dtype` or `.qdata.dtype`; 8-bit inputs where "
    "`.act_quant_kwargs` is there, else float",
)
