"""torch.ao: converted modules with packed parameters."""

from math import prod

from torch import Tensor, nn

from bopscount.bits.adapters.family import FLOAT, Family, get
from bopscount.bits.layer_bits import LayerBits

_INTEGERS = {"torch.qint8": 8, "torch.quint8": 8, "torch.quint4x2": 4}
_BITS = {**_INTEGERS, "torch.float16": 16}
_CONVS = tuple(f"Conv{what}{rank}d" for rank in (1, 2, 3) for what in ("", "Transpose", "ReLU"))


def _read(module: object, output_bits: int | None) -> LayerBits:
    weight, bias = get(module, "weight()"), get(module, "bias()")
    return LayerBits(
        weight_bits=_BITS.get(str(weight.dtype), FLOAT),
        input_bits=_input_bits(weight),
        output_bits=output_bits,
        weight_shape=tuple(weight.shape),
        logical_params=prod(weight.shape) + (0 if bias is None else bias.numel()),
        by_shape=True,
    )


def _input_bits(weight: Tensor) -> int:
    """Return the width of the inputs: integers multiply integers, halves multiply floats."""
    return 8 if str(weight.dtype) in _INTEGERS else FLOAT


def _embedding(module: object) -> LayerBits:
    weight = get(module, "weight()")
    return LayerBits(
        weight_bits=_BITS.get(str(weight.dtype), FLOAT),
        weight_shape=(get(module, "num_embeddings"), get(module, "embedding_dim")),
        logical_params=get(module, "num_embeddings") * get(module, "embedding_dim"),
        looks_up=True,
        by_shape=True,
    )


def _recurrent(module: object) -> LayerBits:
    weight = next(iter(get(module, "get_weight()").values()))
    sizes = {name: get(module, name) for name in _RECURRENT_SIZES}
    kind = nn.GRU if any(base.__name__ == "GRU" for base in type(module).__mro__) else nn.LSTM
    stand_in = kind(**sizes, device="meta")
    return LayerBits(
        weight_bits=_BITS.get(str(weight.dtype), FLOAT),
        input_bits=_input_bits(weight),
        logical_params=sum(parameter.numel() for parameter in stand_in.parameters()),
        by_shape=True,
        stand_in=stand_in,
    )


_RECURRENT_SIZES = (
    "input_size", "hidden_size", "num_layers", "bias", "batch_first", "bidirectional",
)  # fmt: skip

FAMILIES = (
    Family(
        name="torch.ao converted, dynamic recurrent",
        tested="torch 2.13.0",
        classes=("LSTM", "GRU"),
        modules=("torch.ao.nn.quantized.dynamic",),
        read=_recurrent,
        where="dtype of `.get_weight()`; 8-bit inputs; parameters by its sizes",
    ),
    Family(
        name="torch.ao converted, embeddings",
        tested="torch 2.13.0",
        classes=("Embedding",),
        modules=("torch.ao.nn.quantized.modules",),
        read=_embedding,
        where="dtype of `.weight()`; parameters by `.num_embeddings`, `.embedding_dim`",
    ),
    Family(
        name="torch.ao converted, dynamic",
        tested="torch 2.13.0",
        classes=("Linear", "LinearReLU"),
        modules=("torch.ao.nn.quantized.dynamic", "torch.ao.nn.intrinsic.quantized.dynamic"),
        read=lambda module: _read(module, None),
        where="dtype of `.weight()`; 8-bit inputs; parameters by the shapes of weight and bias",
    ),
    Family(
        name="torch.ao converted",
        tested="torch 2.13.0",
        classes=(*_CONVS, "Linear", "LinearReLU"),
        modules=("torch.ao.nn.quantized.modules", "torch.ao.nn.intrinsic.quantized.modules"),
        read=lambda module: _read(module, 8),
        where="dtype of `.weight()`; 8-bit inputs and outputs; parameters by the shapes of "
        "weight and bias",
    ),
    Family(
        name="torch.ao converted: quantisers",
        tested="torch 2.13.0",
        classes=("Quantize",),
        modules=("torch.ao.nn.quantized.modules",),
        read=lambda module: LayerBits(output_bits=8, by_shape=True),
        where="8 bits",
    ),
    Family(
        name="torch.ao converted: back to float",
        tested="torch 2.13.0",
        classes=("DeQuantize",),
        modules=("torch.ao.nn.quantized.modules",),
        read=lambda module: LayerBits(output_bits=FLOAT, by_shape=True),
        where="float",
    ),
)
