"""AutoGPTQ, GPTQModel, AutoAWQ, HQQ: packed integer weights, float inputs."""

from bopscount.bits.adapters.family import (
    FLOAT,
    Family,
    MissingError,
    get,
    has,
    linear_params,
    width,
)
from bopscount.bits.layer_bits import LayerBits


def _size(module: object, *names: str) -> int:
    for name in names:
        if has(module, name):
            return int(get(module, name))
    raise MissingError(names[0])


def _packed(module: object, bits: int | None, shape: tuple[int, int]) -> LayerBits:
    bias = get(module, "bias") if has(module, "bias") else None
    return LayerBits(
        weight_bits=bits,
        input_bits=FLOAT,
        weight_shape=shape,
        logical_params=linear_params(*shape, bias),
        by_shape=True,
    )


def _by_features(module: object, bits: str) -> LayerBits:
    shape = (
        _size(module, "out_features", "outfeatures"),
        _size(module, "in_features", "infeatures"),
    )
    return _packed(module, width(module, bits), shape)


def _hqq(module: object) -> LayerBits:
    meta = get(module, "meta")
    if not isinstance(meta, dict) or not {"nbits", "shape"} <= meta.keys():
        raise MissingError("meta['nbits']")
    return _packed(module, int(meta["nbits"]), tuple(meta["shape"]))


FAMILIES = (
    Family(
        name="AutoGPTQ, GPTQModel",
        tested="gptqmodel 7.7.0",
        classes=(
            "QuantLinear",
            "TorchLinear",
            "TorchQuantLinear",
            "BaseQuantLinear",
            "TritonV2Linear",
            "ExllamaV2Linear",
            "MarlinLinear",
            "TorchFusedLinear",
        ),
        needs=("bits", "qweight"),
        read=lambda module: _by_features(module, "bits"),
        where="`.bits`, float inputs; shape by `.in_features`, `.out_features`",
    ),
    Family(
        name="AutoAWQ",
        tested="autoawq 0.2.9",
        classes=(
            "WQLinear_GEMM",
            "WQLinear_GEMV",
            "WQLinear_GEMVFast",
            "WQLinear_Marlin",
            "WQLinear_Exllama",
            "WQLinear_ExllamaV2",
            "WQLinear_IPEX",
        ),
        needs=("w_bit", "qweight"),
        read=lambda module: _by_features(module, "w_bit"),
        where="`.w_bit`, float inputs; shape by `.in_features`, `.out_features`",
    ),
    Family(
        name="HQQ",
        tested="hqq 0.2.8.post1",
        classes=("HQQLinear",),
        read=_hqq,
        where="`.meta['nbits']`, float inputs; shape by `.meta['shape']`",
    ),
)
