"""bitsandbytes: custom kernels on packed weights."""

from math import prod

from bopscount.bits.adapters.family import FLOAT, Family, get, linear_params
from bopscount.bits.layer_bits import LayerBits


def _read(module: object, weight_bits: int, input_bits: int) -> LayerBits:
    out_features, in_features = get(module, "out_features"), get(module, "in_features")
    return LayerBits(
        weight_bits=weight_bits,
        input_bits=input_bits,
        weight_shape=(out_features, in_features),
        logical_params=linear_params(out_features, in_features, get(module, "bias")),
        by_shape=True,
    )


def _embedding(module: object, weight_bits: int) -> LayerBits:
    shape = get(module, "num_embeddings"), get(module, "embedding_dim")
    return LayerBits(
        weight_bits=weight_bits,
        weight_shape=shape,
        logical_params=prod(shape),
        looks_up=True,
        by_shape=True,
    )


FAMILIES = (
    Family(
        name="bitsandbytes, 8-bit embeddings",
        tested="bitsandbytes 0.50.2",
        classes=("Embedding8bit",),
        modules=("bitsandbytes.nn",),
        read=lambda module: _embedding(module, 8),
        where="8 bits by name; shape by `.num_embeddings`, `.embedding_dim`",
    ),
    Family(
        name="bitsandbytes, 4-bit embeddings",
        tested="bitsandbytes 0.50.2",
        classes=("Embedding4bit", "EmbeddingNF4", "EmbeddingFP4"),
        modules=("bitsandbytes.nn",),
        read=lambda module: _embedding(module, 4),
        where="4 bits by name; shape by `.num_embeddings`, `.embedding_dim`",
    ),
    Family(
        name="bitsandbytes, 8 bit",
        tested="bitsandbytes 0.50.2",
        classes=("Linear8bitLt",),
        modules=("bitsandbytes.nn",),
        read=lambda module: _read(module, 8, 8),
        where="8 bits by name; shape by `.in_features`, `.out_features`",
    ),
    Family(
        name="bitsandbytes, 4 bit",
        tested="bitsandbytes 0.50.2",
        classes=("Linear4bit", "LinearNF4", "LinearFP4"),
        modules=("bitsandbytes.nn",),
        read=lambda module: _read(module, 4, FLOAT),
        where="4 bits by name, float inputs; shape by `.in_features`, `.out_features`",
    ),
)
