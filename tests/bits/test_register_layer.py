"""Own layer classes get a rule, and nothing else changes."""

import inspect
import json

import pytest
import torch
from support.paths import GOLDEN
from torch import nn

import bopscount
from bopscount import InputError
from bopscount.networks import NETWORKS

INPUT = (3, 6, 6)
MACS = 5 * 16 * 27
"""Of a 3x3 convolution, 3 -> 5 channels, on 6x6 without padding."""


class SignConv(nn.Module):
    """A binary convolution with its weight as one flat parameter."""

    def __init__(self):
        super().__init__()
        self.flat = nn.Parameter(torch.ones(5 * 3 * 9))

    def forward(self, x):
        return nn.functional.conv2d(torch.sign(x), torch.sign(self.flat).view(5, 3, 3, 3))


class QuantLinear(nn.Linear):
    """A linear layer of bits that it carries itself, with modules inside."""

    def __init__(self, bits):
        super().__init__(6, 4, bias=False)
        self.bits = bits
        self.weight_quantiser = nn.Sequential(nn.Identity(), nn.Hardtanh())

    def forward(self, x):
        return nn.functional.linear(x, self.weight_quantiser(self.weight))


class Quantiser(nn.Module):
    def forward(self, x):
        return torch.round(x.clamp(-1, 1) * 7) / 7


class PackedLinear(nn.Module):
    """Its product is nowhere to be seen, its weight neither."""

    def __init__(self, bits=4):
        super().__init__()
        self.bits = bits
        self.shape = (4, 6)

    def forward(self, x):
        return x[..., :4].clone()


class PackedConv(nn.Module):
    def forward(self, x):
        return x.new_zeros(x.shape[0], 5, 4, 4)


@pytest.fixture
def register():
    """register_layer, taken back after the test."""
    done = []

    def register(name, **rule):
        bopscount.register_layer(name, **rule)
        done.append(name)

    yield register
    for name in done:
        bopscount.unregister_layer(name)


def row_of(layer, size=INPUT, rules="torchstat"):
    (row,) = bopscount.count(bopscount.trace(nn.Sequential(layer), size), rules=rules).rows
    return row


def test_the_signature_is_the_designed_one():
    signature = inspect.signature(bopscount.register_layer)
    names = list(signature.parameters)
    assert names == [
        "class_or_qualified_name",
        "weight_bits",
        "input_bits",
        "output_bits",
        "weight_shape",
    ]
    for name in names[1:]:
        parameter = signature.parameters[name]
        assert parameter.kind is parameter.KEYWORD_ONLY
        assert parameter.default is None


def test_an_own_binary_convolution_has_bops_for_its_macs(register):
    before = row_of(SignConv())
    assert (before.macs, before.bops, before.flops) == (MACS, 0, before.flops)
    assert before.flops >= MACS
    register(SignConv, weight_bits=1, input_bits=1)
    row = row_of(SignConv())
    assert (row.macs, row.bops, row.flops, row.madd) == (MACS, MACS, 0, 0)
    assert (row.mem_read, row.mem_write) == (0, 0)
    assert (row.weight_bits, row.input_bits) == (1, 1)
    assert row.kind == "conv"
    assert row.params == 5 * 3 * 9
    assert row.ops == MACS / 64


def test_full_rules_count_the_bits_that_a_binary_convolution_moves(register):
    register(SignConv, weight_bits=1, input_bits=1)
    row = row_of(SignConv(), rules="full")
    assert row.bops == MACS
    # One bit an element, in whole bytes: 108 inputs and 135 weights.
    assert row.mem_read == -(-(3 * 36 + 135) // 8)
    assert row.mem_write == 4 * 5 * 16


def test_a_layer_of_several_bits_has_macs_times_both_widths(register):
    register(SignConv, weight_bits=2, input_bits=3)
    row = row_of(SignConv())
    assert (row.macs, row.bops, row.flops) == (MACS, 6 * MACS, 0)
    assert row.ops_x64 == 6 * MACS


@pytest.mark.parametrize("bits", [{"weight_bits": 4}, {"input_bits": 4}])
def test_one_quantised_operand_alone_is_full_precision(register, bits):
    register(SignConv, **bits)
    row = row_of(SignConv())
    assert (row.macs, row.bops) == (MACS, 0)
    assert row.flops >= MACS
    assert row.ops == MACS


@pytest.mark.parametrize(("bits", "bops"), [(16, 256 * MACS), (17, 0), (32, 0)])
def test_low_bit_ends_at_16_bits(register, bits, bops):
    register(SignConv, weight_bits=bits, input_bits=bits)
    assert row_of(SignConv()).bops == bops


def test_bits_may_be_callables_of_the_module(register):
    register(QuantLinear, weight_bits=lambda m: m.bits, input_bits=lambda m: 2 * m.bits)
    model = nn.Sequential(QuantLinear(1), nn.Flatten(), nn.Linear(4, 6), QuantLinear(3))
    rows = bopscount.count(bopscount.trace(model, (6,))).rows
    # One row each, whatever is inside.
    assert [row.module_path for row in rows] == ["0", "1", "2", "3"]
    assert [row.bops for row in rows] == [24 * 2, 0, 0, 24 * 18]
    assert [row.params for row in rows] == [24, 0, 4 * 6 + 6, 24]


def test_a_callable_may_say_full_precision(register):
    register(QuantLinear, weight_bits=lambda m: None, input_bits=lambda m: None)
    row = row_of(QuantLinear(1), (6,))
    assert (row.macs, row.flops, row.bops) == (24, 24, 0)


def test_a_binary_quantiser_has_a_bop_an_element(register):
    register(Quantiser, output_bits=1)
    row = row_of(Quantiser())
    assert (row.kind, row.bops, row.flops, row.madd) == ("quantize", 3 * 36, 0, 0)
    assert (row.mem_read, row.mem_write) == (0, 0)


def test_a_quantiser_of_more_bits_scales_rounds_and_clamps(register):
    register(Quantiser, output_bits=lambda m: 4)
    row = row_of(Quantiser())
    assert (row.kind, row.bops, row.flops) == ("quantize", 0, 3 * 3 * 36)


def test_the_weight_shape_counts_a_product_that_nobody_sees(register):
    register(
        PackedLinear,
        weight_bits=lambda m: m.bits,
        input_bits=8,
        weight_shape=lambda m: m.shape,
    )
    row = row_of(PackedLinear(), (7, 6))
    assert row.kind == "linear"
    assert row.macs == 7 * 6 * 4
    assert row.bops == 32 * row.macs


def test_the_weight_shape_of_a_convolution_has_its_kernel(register):
    register(PackedConv, weight_bits=1, input_bits=1, weight_shape=(5, 3, 3, 3))
    row = row_of(PackedConv())
    assert (row.kind, row.macs, row.bops) == ("conv", MACS, MACS)


def test_bits_without_any_product_or_shape_are_an_error_with_the_fix(register):
    register(PackedLinear, weight_bits=1, input_bits=1)
    with pytest.raises(bopscount.BopscountError, match=r"weight_shape=\(out, in, \.\.\.\)"):
        row_of(PackedLinear(), (7, 6))


@pytest.mark.parametrize("shape", [(4,), (4, 0), (1,) * 6, "46", 5])
def test_a_weight_shape_from_a_callable_is_checked_too(register, shape):
    register(PackedLinear, weight_bits=1, input_bits=1, weight_shape=lambda m: shape)
    with pytest.raises(bopscount.BopscountError, match="weight_shape must be"):
        row_of(PackedLinear(), (7, 6))


def test_bits_from_a_callable_are_checked_too(register):
    register(SignConv, weight_bits=lambda m: 0, input_bits=1)
    with pytest.raises(bopscount.BopscountError, match="weight_bits must be an integer from 1"):
        row_of(SignConv())


def test_a_qualified_name_registers_a_class_that_is_not_at_hand(register):
    register(f"{__name__}.SignConv", weight_bits=1, input_bits=1)
    assert row_of(SignConv()).bops == MACS


def test_a_bare_class_name_matches_the_two_of_old_and_no_other():
    class BinaryActivation(nn.Module):
        def forward(self, x):
            return torch.sign(x)

    class BinaryConv(SignConv):
        pass

    class HardBinaryConv(SignConv):
        pass

    assert row_of(BinaryActivation()).bops == 3 * 36
    assert row_of(HardBinaryConv()).bops == MACS
    assert row_of(BinaryConv()).bops == 0


def test_a_rule_is_for_the_exact_class(register):
    class Descendant(SignConv):
        pass

    register(SignConv, weight_bits=1, input_bits=1)
    assert row_of(Descendant()).bops == 0


def test_a_registered_rule_goes_before_the_two_of_old(register):
    class HardBinaryConv(SignConv):
        pass

    register(HardBinaryConv, weight_bits=2, input_bits=2)
    assert row_of(HardBinaryConv()).bops == 4 * MACS


def test_a_class_without_bits_becomes_one_row_with_its_products(register):
    class Block(nn.Sequential):
        pass

    block = Block(nn.Conv2d(3, 5, 3), nn.ReLU())
    model = nn.Sequential(block)
    assert len(bopscount.count(bopscount.trace(model, INPUT)).rows) == 2
    register(Block)
    row = row_of(block)
    assert row.module_path == "0"
    assert row.macs == MACS
    assert row.params == 5 * 27 + 5


@pytest.mark.parametrize("bits", [0, -1, 65, 1.5, "1", True])
@pytest.mark.parametrize("name", ["weight_bits", "input_bits", "output_bits"])
def test_bits_that_are_none_are_refused(name, bits):
    with pytest.raises(InputError) as error:
        bopscount.register_layer(SignConv, **{name: bits})
    assert str(error.value) == f"{name} must be an integer from 1 to 64, got {bits!r}"
    assert row_of(SignConv()).bops == 0


@pytest.mark.parametrize("shape", [(), (4,), (4, 0), (4, -1), (4, 2.5), (1,) * 6, 24, "46"])
def test_a_weight_shape_that_is_none_is_refused(shape):
    with pytest.raises(InputError, match="weight_shape must be") as error:
        bopscount.register_layer(PackedLinear, weight_shape=shape)
    assert repr(shape) in str(error.value)


@pytest.mark.parametrize("value", [3, int, dict, nn.Linear(1, 1), lambda: None])
def test_what_is_no_module_class_is_refused(value):
    with pytest.raises(InputError, match="class_or_qualified_name") as error:
        bopscount.register_layer(value, weight_bits=1)
    assert repr(value) in str(error.value)


def test_a_name_without_its_module_is_refused():
    with pytest.raises(InputError, match=r"'package\.module\.SignConv', got 'SignConv'"):
        bopscount.register_layer("SignConv", weight_bits=1)


def test_registering_twice_is_refused(register):
    name = f"{__name__}.SignConv"
    register(SignConv, weight_bits=1, input_bits=1)
    for again in (SignConv, name):
        with pytest.raises(InputError, match="registered already"):
            bopscount.register_layer(again, weight_bits=2, input_bits=2)
    assert row_of(SignConv()).bops == MACS


def test_registering_a_class_by_name_and_then_itself_is_refused(register):
    register(f"{__name__}.SignConv", weight_bits=1, input_bits=1)
    with pytest.raises(InputError, match="registered already"):
        bopscount.register_layer(SignConv, weight_bits=2)


def test_unregistering_takes_the_rule_back():
    bopscount.register_layer(SignConv, weight_bits=1, input_bits=1)
    assert row_of(SignConv()).bops == MACS
    bopscount.unregister_layer(SignConv)
    assert row_of(SignConv()).bops == 0
    for name in (SignConv, f"{__name__}.SignConv", "no.such.Class"):
        with pytest.raises(InputError, match="is not registered"):
            bopscount.unregister_layer(name)


def test_the_golden_figures_stand_whatever_else_is_registered(register):
    register(SignConv, weight_bits=3, input_bits=3)
    register(Quantiser, output_bits=4)
    register("some.where.HardBinaryConv", weight_bits=5, input_bits=5)
    network = NETWORKS["binary_resnet18"]
    with torch.device("meta"):
        model = network.build()
    rows = bopscount.count(bopscount.trace(model, network.input_size)).rows
    golden = json.loads((GOLDEN / "seed_readme_table.json").read_text())["rows"]
    for name in ("params", "madd", "flops", "bops", "mem_read", "mem_write"):
        assert [getattr(row, name) for row in rows] == [row[name] for row in golden]
