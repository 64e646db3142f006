"""Widths of low-bit code that nobody registered, on the layouts of its attributes."""

from types import SimpleNamespace as Space

import pytest
import torch
from support.low_bit import research
from support.low_bit.recorded import ADAPTER, FLOATING, PRODUCER, USER, widths
from support.low_bit.research import activation, conv
from torch import nn

import bopscount
from bopscount.bits.adapters import FAMILIES, ODD, may_apply

SIZE = (4, 8, 8)
MACS = 5 * 36 * 4 * 9
PARAMS = 5 * 36

LAYERS = {
    "AdaBin": (research.AdaBin_Conv2d(4, 5, 3, bias=False), 1, 1),
    "AdaBin of more bits": (research.AdaBin_Conv2d(4, 5, 3, bias=False, a_bit=2, w_bit=3), 3, 2),
    "BinaryNet": (research.BinarizeConv2d(4, 5, 3, bias=False), 1, 1),
    "IR-Net": (research.IRConv2d(4, 5, 3, bias=False), 1, 1),
    "EWGS": (research.QConv(4, 5, 3, bias=False, weight_levels=4, act_levels=2), 2, 1),
    "EWGS with tensors": (
        research.QConv(4, 5, 3, bias=False, weight_levels=torch.tensor(16.0), act_levels=3), 4, 2,
    ),
    "BinaryViT": (conv("QuantizeConv2d", weight_bits=1, input_bits=8), 1, 8),
    "BinaryViT, float inputs": (conv("QuantizeConv2d", weight_bits=2, input_bits=32), 2, 32),
    "OFQ": (conv("QConv2d", weight_bits=3, input_bits=4), 3, 4),
    "binary-networks-pytorch": (
        conv("Conv2d", "bnn.layers.conv", weight_pre_process=research.binarizer(),
             activation_pre_process=research.binarizer()), 1, 1,
    ),
    "binary-networks-pytorch, float inputs": (
        conv("Conv2d", "bnn.layers.conv", weight_pre_process=research.binarizer(),
             activation_pre_process=nn.Identity()), 1, 32,
    ),
    "bitorch": (research.bitorch_conv(1, 2), 1, 2),
    "HAQ": (conv("QConv2d", w_bit=4, a_bit=6), 4, 6),
    "HAQ, float": (conv("QConv2d", w_bit=4, a_bit=-1), 4, 32),
    "lsq-net": (
        conv("QuanConv2d", quan_w_fn=research.lsq(7, -8), quan_a_fn=research.lsq(255, 0)), 4, 8,
    ),
    "lsq-net, symmetric": (
        conv("QuanConv2d", quan_w_fn=research.lsq(3, -3), quan_a_fn=research.lsq(1, 0)), 3, 1,
    ),
    "lsq-net, float inputs": (
        conv("QuanConv2d", quan_w_fn=research.lsq(1, -2), quan_a_fn=research.IDENTITY_QUAN), 2, 32,
    ),
    "micronet": (
        conv("QuantConv2d", weight_quantizer=Space(w_bits=4),
             activation_quantizer=Space(a_bits=8)), 4, 8,
    ),
    "ModelOpt": (
        conv("QuantConv2d", weight_quantizer=Space(num_bits=8, is_enabled=True),
             input_quantizer=Space(num_bits=8, is_enabled=True)), 8, 8,
    ),
    "ModelOpt, 8-bit floats, inputs off": (
        conv("QuantConv2d", weight_quantizer=Space(num_bits=(4, 3), is_enabled=True),
             input_quantizer=Space(num_bits=8, is_enabled=False)), 8, 32,
    ),
    "APoT": (conv("QuantConv2d", bit=3, act_alq=nn.Parameter(torch.tensor(1.0))), 3, 3),
}  # fmt: skip


@pytest.mark.parametrize(("module", "weight", "inputs"), LAYERS.values(), ids=list(LAYERS))
def test_both_widths_of_a_layer(module, weight, inputs):
    report = bopscount.count(bopscount.trace(nn.Sequential(module), SIZE), rules="full")
    assert widths(report.table) == {"0": (weight, inputs, ADAPTER, ADAPTER)}
    assert report.totals.macs == MACS
    extra = sum(parameter.numel() for parameter in module.parameters()) - PARAMS
    assert report.totals.params == report.totals.logical_params == PARAMS + extra
    low = weight <= 16 and inputs <= 16
    assert report.totals.bops == (MACS * weight * inputs if low else 0)
    assert report.assumptions == []
    assert len(report.layers) == 1


WEIGHTS = {
    "HAWQ": conv("QuantConv2d", weight_bit=4),
    "LSQuantization": conv("Conv2dLSQ", nbits=4),
    "PACT": conv("Conv2d", bitwidth=4),
    "DoReFa": conv("Conv2d_Q", w_bit=4),
}
ACTIVATIONS = {
    "HAWQ": activation("QuantAct", activation_bit=3),
    "LSQuantization": activation("ActLSQ", nbits=3),
    "DoReFa": activation("activation_quantize_fn", a_bit=3),
}


@pytest.mark.parametrize("layer", WEIGHTS.values(), ids=list(WEIGHTS))
@pytest.mark.parametrize("quantiser", ACTIVATIONS.values(), ids=list(ACTIVATIONS))
def test_activations_of_a_module_of_their_own(layer, quantiser):
    model = nn.Sequential(quantiser, nn.MaxPool2d(1), layer)
    assert widths(bopscount.trace(model, SIZE)) == {"2": (4, 3, ADAPTER, PRODUCER)}
    assert widths(bopscount.trace(layer, SIZE)) == {"": (4, 32, ADAPTER, FLOATING)}


def test_reactnet_s_hard_sign():
    model = nn.Sequential(research.HardSign(), conv("Conv2d_Q", w_bit=1))
    assert widths(bopscount.trace(model, SIZE)) == {"1": (1, 1, ADAPTER, PRODUCER)}


@pytest.mark.parametrize(
    ("module", "size", "inputs"),
    [
        (research.BinarizeConv2d(3, 5, 3), (3, 8, 8), 32),
        (research.BinarizeLinear(784, 10), (784,), 32),
        (research.BinarizeLinear(783, 10), (783,), 1),
    ],
)
def test_binarynet_s_first_layer_reads_floats(module, size, inputs):
    assert widths(bopscount.trace(module, size))[""][:2] == (1, inputs)


@pytest.mark.parametrize(("linear", "size"), [(False, SIZE), (True, (8,))])
def test_xnor_net_s_inner_layer_is_binary_and_its_neighbours_stay(linear, size):
    model = nn.Sequential(research.BinConv2d(linear))
    table = bopscount.trace(model, size)
    inner = "0.linear" if linear else "0.conv"
    assert widths(table) == {inner: (1, 1, ADAPTER, ADAPTER)}
    paths = [row.module_path for row in bopscount.count(table).layers]
    assert {"0.bn", inner, "0.relu"} <= set(paths)


def test_bert_s_linear_layers():
    model = research.QuantizeLinear(8, 6, weight_bits=1, input_bits=4)
    table = bopscount.trace(model, (3, 8))
    assert widths(table) == {"": (1, 4, ADAPTER, ADAPTER)}
    assert table.totals("full").bops == 3 * 48 * 4


def test_torch_s_own_classes_are_nobody_s():
    for cls in (nn.Conv2d, nn.Linear, nn.Sequential, nn.Module, nn.LSTM):
        assert not may_apply(cls)
    plain = type("Block", (nn.Module,), {})
    assert not may_apply(plain)


def test_a_name_alone_is_not_enough():
    module = conv("Conv2d")  # of another package, without anybody's attributes
    table = bopscount.trace(module, SIZE)
    assert widths(table) == {"": (32, 32, FLOATING, FLOATING)}
    assert table.assumptions == []


def test_what_looks_quantised_and_is_not_where_it_should_be_is_said():
    model = nn.Sequential(conv("QuantConv2d"))
    report = bopscount.count(bopscount.trace(model, SIZE))
    assert widths(report.table) == {"0": (32, 32, FLOATING, FLOATING)}
    (assumption,) = report.assumptions
    for words in ("0: QuantConv2d", "`weight_bit` (HAWQ)", "full precision"):
        assert words in assumption
    assert assumption in str(report)


def test_a_width_that_is_no_number_is_said():
    model = nn.Sequential(conv("QConv2d", w_bit="four", a_bit=4))
    table = bopscount.trace(model, SIZE)
    assert widths(table) == {"0": (32, 32, FLOATING, FLOATING)}
    assert "`w_bit` (HAQ)" in table.assumptions[0]


def test_what_the_user_registers_goes_before():
    module = conv("QConv2d", w_bit=4, a_bit=4)
    bopscount.register_layer(type(module), weight_bits=2, input_bits=2)
    try:
        found = widths(bopscount.trace(module, SIZE))
    finally:
        bopscount.unregister_layer(type(module))
    assert found == {"": (2, 2, USER, USER)}
    assert widths(bopscount.trace(module, SIZE))[""][:2] == (4, 4)


def test_subclasses_of_a_family_s_class_are_of_the_family():
    module = research.named(research.AdaBin_Conv2d, "MyConv")(4, 5, 3, bias=False)
    assert widths(bopscount.trace(module, SIZE))[""] == (1, 1, ADAPTER, ADAPTER)


def test_every_family_says_where_it_looks():
    names = [family.name for family in (*FAMILIES, *ODD)]
    assert len(set(names)) == len(names)
    for family in (*FAMILIES, *ODD):
        assert family.classes
        assert family.where
