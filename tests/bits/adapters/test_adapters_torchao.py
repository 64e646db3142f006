"""torchao: plain layers whose weight is a tensor subclass, and its fake-quantised layers."""

import pytest
import torch
from support.low_bit.libraries import (
    FEATURES,
    IDS,
    PERCEPTRON_PARAMS,
    TOKENS_PARAMS,
    Perceptron,
    Tokens,
    assert_widths,
    library,
    of_adapter,
)
from torch import nn

torchao = library("torchao.quantization")
qat = library("torchao.quantization.qat")
pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.libraries]

CONFIGS = {
    "Int8WeightOnlyConfig": ({}, 8, 32),
    "Int8DynamicActivationInt8WeightConfig": ({}, 8, 8),
    "Float8WeightOnlyConfig": ({}, 8, 32),
    "IntxWeightOnlyConfig": ({"weight_dtype": torch.int4}, 4, 32),
    "IntxWeightOnlyConfig, 2 bits": ({"weight_dtype": torch.int2}, 2, 32),
    "Int8DynamicActivationIntxWeightConfig": ({"weight_dtype": torch.int3}, 3, 8),
    "Int4WeightOnlyConfig": ({"group_size": 32}, 4, 32),
    "Float8DynamicActivationFloat8WeightConfig": ({}, 8, 8),
}
KERNELS = ("mslk", "CUDA", "compute capability", "cpu")
"""What it says where a scheme needs more than a CPU."""


def config(name):
    options, *_ = CONFIGS[name]
    return getattr(torchao, name.partition(",")[0])(**options)


@pytest.mark.parametrize("name", CONFIGS)
def test_tensor_subclasses_as_weights(name):
    model = Perceptron().eval()
    try:
        torchao.quantize_(model, config(name))
    except (ImportError, AssertionError, NotImplementedError) as error:
        if any(word in str(error) for word in KERNELS):
            pytest.skip(str(error))
        raise
    _, weight, inputs = CONFIGS[name]
    expected = dict.fromkeys(("first", "second"), of_adapter(weight, inputs))
    report = assert_widths(
        model, Perceptron(), expected, FEATURES, logical_params=PERCEPTRON_PARAMS
    )
    assert report.bit_summary.params == {weight: PERCEPTRON_PARAMS - 128, 32: 128}


def test_static_quantisation():
    model = Perceptron().eval()
    per_tensor = library("torchao.quantization.granularity").PerTensor()
    torchao.quantize_(
        model,
        torchao.Int8StaticActivationInt8WeightConfig(
            act_quant_scale=torch.tensor(0.1), granularity=per_tensor
        ),
    )
    expected = dict.fromkeys(("first", "second"), of_adapter(8, 8))
    assert_widths(model, Perceptron(), expected, FEATURES, logical_params=PERCEPTRON_PARAMS)


def test_weights_that_are_used_by_a_function():
    class Functional(nn.Module):
        def __init__(self):
            super().__init__()
            self.holder = nn.Linear(256, 128)

        def forward(self, x):
            return nn.functional.linear(x, self.holder.weight, self.holder.bias)

    model = Functional().eval()
    torchao.quantize_(model, config("Int8WeightOnlyConfig"))
    assert_widths(model, Functional(), {"(matmul)": (8, 32, "dtype", "dtype")}, FEATURES)


def test_convolutions_and_encoders():
    filters = {"filter_fn": lambda module, name: isinstance(module, nn.Conv2d)}
    conv = nn.Sequential(nn.Conv2d(16, 16, 3)).eval()
    torchao.quantize_(conv, config("Int8WeightOnlyConfig"), **filters)
    assert_widths(conv, nn.Conv2d(16, 16, 3), {"0": of_adapter(8, 32)}, (16, 8, 8))
    like = nn.TransformerEncoderLayer(64, 4, 128).eval()
    encoder = nn.TransformerEncoderLayer(64, 4, 128).eval()
    torchao.quantize_(encoder, config("Int8DynamicActivationInt8WeightConfig"))
    floats = (32, 32, "floating", "floating")
    expected = {
        "self_attn.(linear)": floats,
        "self_attn.(attention)": floats,
        "linear1": of_adapter(8, 8),
        "linear2": of_adapter(8, 8),
    }
    assert_widths(encoder, like, expected, (5, 64))


def test_embeddings():
    model = Tokens().eval()
    torchao.quantize_(
        model,
        config("IntxWeightOnlyConfig"),
        filter_fn=lambda module, name: isinstance(module, nn.Embedding),
    )
    report = assert_widths(
        model, Tokens(), {"head": (32, 32, "floating", "floating")}, inputs=IDS,
        logical_params=TOKENS_PARAMS,
    )  # fmt: skip
    assert report.bit_summary.params == {4: 16 * 64, 32: 64 * 32 + 32}


FAKE = {
    "Int8DynamicActivationIntxWeightConfig": (3, 8),
    "IntxWeightOnlyConfig, 2 bits": (2, 32),
    "Float8DynamicActivationFloat8WeightConfig": (8, 8),
    "Int4WeightOnlyConfig": (4, 32),
}


@pytest.mark.parametrize("name", FAKE)
def test_fake_quantised_linear_layers(name):
    model = Perceptron()
    torchao.quantize_(model, qat.QATConfig(config(name), step="prepare"))
    expected = dict.fromkeys(("first", "second"), of_adapter(*FAKE[name]))
    assert_widths(model, Perceptron(), expected, FEATURES, logical_params=PERCEPTRON_PARAMS)


def test_fake_quantised_embeddings():
    model = Tokens()
    weights = qat.IntxFakeQuantizeConfig(torch.int4, group_size=32)
    torchao.quantize_(
        model,
        qat.QATConfig(weight_config=weights, step="prepare"),
        filter_fn=lambda module, name: isinstance(module, nn.Embedding),
    )
    expected = {"head": (32, 32, "floating", "floating")}
    report = assert_widths(model, Tokens(), expected, inputs=IDS, logical_params=TOKENS_PARAMS)
    assert report.bit_summary.params == {4: 16 * 64, 32: 64 * 32 + 32}
