"""Low-bit networks of research code: attribute layouts and forwards, written anew."""

import pytest
import torch
from support.low_bit import research_networks as code
from support.low_bit.libraries import (
    assert_unchanged,
    assert_widths,
    of_adapter,
    of_producer,
    state_of,
)
from support.low_bit.research import QuantizeLinear, named
from torch import nn

import bopscount

SIZE = (8, 6, 6)
FLOATS = (32, 32, "floating", "floating")


@pytest.mark.parametrize("base", [code.Flat, code.Shaped])
def test_hard_binary_convolutions_share_an_activation(base):
    model = code.Shared(named(base, "HardBinaryConv"))
    like = code.Shared(lambda *sizes: nn.Conv2d(*sizes, 3, padding=1, bias=False))
    expected = dict.fromkeys(("conv1", "conv2"), of_adapter(1, 1))
    report = assert_widths(model, like, expected, SIZE, logical_params=2 * 64 * 9)
    convs = [row for row in report.layers if row.kind == "conv"]
    assert [row.bops for row in convs] == [64 * 9 * 36] * 2
    assert report.bit_summary.params == {1: 2 * 64 * 9}
    # One Bop an element of the one activation.
    assert report.totals.bops == report.totals.macs + 8 * 36


@pytest.mark.parametrize("groups", [2, 4, 8])
def test_binary_convolutions_in_groups(groups):
    model = nn.Sequential(
        named(code.BinaryActivation, "HardSign")(),
        named(code.Shaped, "HardBinaryConv")(8, 16, groups=groups, stride=2),
    )
    like = nn.Conv2d(8, 16, 3, 2, 1, groups=groups, bias=False)
    assert_widths(model, like, {"1": of_adapter(1, 1)}, SIZE)


class Folded(nn.Module):
    """HAWQ's order: quantise, folded convolution, quantise, linear."""

    def __init__(self, weight_bit=4, activation_bit=5):
        super().__init__()
        self.act = code.QuantAct(activation_bit)
        self.conv = code.QuantBnConv2d(
            nn.Conv2d(8, 4, 3, bias=False), nn.BatchNorm2d(4), weight_bit
        )
        self.act_out = code.QuantAct(activation_bit + 1)
        self.fc = code.QuantLinear(nn.Linear(64, 3), weight_bit + 1)

    def forward(self, x):
        x = self.act_out(self.conv(self.act(x)))
        return self.fc((x[0].flatten(1), x[1]))


@pytest.mark.parametrize(("weights", "activations"), [(4, 5), (1, 1), (8, 7)])
def test_hawq_s_folded_convolutions_and_its_activations(weights, activations):
    like = nn.Sequential(nn.Conv2d(8, 4, 3), nn.Flatten(), nn.Linear(64, 3))
    expected = {
        "conv": of_producer(weights, activations),
        "fc": of_producer(weights + 1, activations + 1),
    }
    assert_widths(Folded(weights, activations), like, expected, SIZE)


def test_bitorch_pads_with_ones_outside_the_convolution():
    name = "_QConv2dComposed"
    model = nn.Sequential(
        named(code.Padded, name, "bitorch.layers.qconv2d")(
            8, 4, 3, stride=2, padding=1, bias=False, weights=1, inputs=2
        )
    )
    like = nn.Conv2d(8, 4, 3, 2, 1, bias=False)
    assert_widths(model, like, {"0": of_adapter(1, 2)}, SIZE, logical_params=8 * 4 * 9)


@pytest.mark.parametrize("bits", [1, 2, 8, 32])
def test_embeddings_of_binary_language_models(bits):
    model = nn.Sequential(
        code.QuantizeEmbedding(10, 16, weight_bits=bits),
        QuantizeLinear(16, 4, weight_bits=1, input_bits=2),
    )
    like = nn.Sequential(nn.Embedding(10, 16), nn.Linear(16, 4))
    ids = torch.tensor([[1, 2, 3]])
    report = assert_widths(model, like, {"1": of_adapter(1, 2)}, inputs=ids)
    expected = {1: 64, 32: 4}
    expected[bits] = expected.get(bits, 0) + 160
    assert report.bit_summary.params == expected


def attention(sign):
    def linear(*sizes):
        return QuantizeLinear(*sizes, bias=False, weight_bits=1, input_bits=1)

    return code.SelfAttention(linear, sign)


def test_attention_multiplies_what_was_binarised():
    sign = named(code.BinaryQuantiser, "BinaryActivation")()
    projections = dict.fromkeys(("query", "key", "value"), of_adapter(1, 1))
    expected = {**projections, "(matmul)": (1, 1, "producer", "producer")}
    like = code.SelfAttention(lambda *sizes: nn.Linear(*sizes, bias=False), nn.Identity())
    report = assert_widths(attention(sign), like, expected, (5, 16))
    assert report.bit_summary.binary_share == 1


def test_attention_that_binarises_by_a_function_is_told_by_the_user():
    model = attention(code.BinaryQuantizer.apply)
    floats = bopscount.trace(model, (5, 16))
    assert floats.totals("full").bops < floats.totals("full").macs
    told = bopscount.trace(model, (5, 16), bits={"(matmul)": (1, 1)})
    assert told.totals("full").bops == told.totals("full").macs


def test_micronet_s_transposed_convolution():
    model = nn.Sequential(code.QuantConvTranspose2d(8, 4, 3, stride=2, w_bits=3, a_bits=5))
    like = nn.ConvTranspose2d(8, 4, 3, stride=2)
    assert_widths(model, like, {"0": of_adapter(3, 5)}, SIZE)


@pytest.mark.parametrize(("weights", "activations"), [(1, 2), (4, 8), (32, 32)])
def test_dorefa_s_factories(weights, activations):
    conv = code.conv2d_Q_fn(weights)
    model = nn.Sequential(code.activation_quantize_fn(activations), conv(8, 4, 3, bias=False))
    inputs = (activations, "producer") if activations < 32 else (32, "floating")
    expected = {"1": (weights, inputs[0], "adapter", inputs[1])}
    assert_widths(model, nn.Conv2d(8, 4, 3, bias=False), expected, SIZE)


def test_brecq_quantises_what_comes_out():
    model = nn.Sequential(
        code.QuantModule(nn.Conv2d(8, 4, 3), 4, 7),
        nn.Flatten(),
        code.QuantModule(nn.Linear(64, 3), 8, 8),
    )
    like = nn.Sequential(nn.Conv2d(8, 4, 3), nn.Flatten(), nn.Linear(64, 3))
    expected = {"0": (4, 32, "adapter", "floating"), "2": of_producer(8, 7)}
    assert_widths(model, like, expected, SIZE)
    model[0].use_weight_quant = model[0].use_act_quant = False
    expected = {"0": (32, 32, "adapter", "floating"), "2": (8, 32, "adapter", "floating")}
    assert_widths(model, like, expected, SIZE)


def test_bayesian_bits_quantises_what_comes_out():
    model = nn.Sequential(
        code.QuantizedConv2d(8, 8, 3, n_bits=2, n_bits_act=4),
        code.QuantizedConv2d(8, 8, 3, n_bits=16, n_bits_act=8),
    )
    like = nn.Sequential(nn.Conv2d(8, 8, 3), nn.Conv2d(8, 8, 3))
    expected = {"0": (2, 32, "adapter", "floating"), "1": of_producer(16, 4)}
    assert_widths(model, like, expected, SIZE)


def test_nni_wraps_a_plain_layer():
    wrapped = code.QuantizerModuleWrapper(nn.Conv2d(8, 4, 3), weight=4, input=8)
    assert_widths(nn.Sequential(wrapped), nn.Conv2d(8, 4, 3), {"0": of_adapter(4, 8)}, SIZE)


@pytest.mark.parametrize(("low", "high", "bits"), [(-8, 7, 4), (0, 127, 7), (-128, 127, 8)])
def test_mqbench_s_fused_convolutions(low, high, bits):
    quantiser = named(code.QuantActivation, "LearnableFakeQuantize", "mqbench.fake_quantize.lsq")
    quantiser = named(quantiser, "QuantizeBase", "mqbench.fake_quantize.quantize_base")
    conv = named(code.FusedConv, "ConvBn2d", "mqbench.nn.intrinsic.qat.modules.deconv_fused")
    model = nn.Sequential(quantiser(low, high), conv(8, 4, 3, low=low, high=high))
    assert_widths(model, nn.Conv2d(8, 4, 3), {"1": of_producer(bits, bits)}, SIZE)


class ClipsItsWeight(nn.Module):
    """A quantiser that an adapter has to run, and that clips in place."""

    is_quant_enabled = True

    def __init__(self, weight):
        super().__init__()
        self.tracked = [weight]
        self.runs = 0

    def bit_width(self):
        self.runs += 1
        self.tracked[0].data.clamp_(0, 0.01)
        torch.rand(1)
        return 3

    def forward(self, x):
        return x.round()


def test_asking_an_adapter_leaves_the_module_as_it_was():
    layer = named(nn.Conv2d, "QuantConv2d", "brevitas.nn.quant_conv")(8, 4, 3)
    layer.weight_quant = ClipsItsWeight(layer.weight)
    before, seed = state_of(layer), torch.get_rng_state()
    table = bopscount.trace(layer, SIZE)
    assert table.records["weight_bits"].tolist() == [3]
    assert layer.weight_quant.runs == 0
    assert_unchanged(layer, before)
    assert torch.equal(torch.get_rng_state(), seed)
