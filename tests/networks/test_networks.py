"""The built-in networks: costs in closed form, widths that their values have, the shell."""

from functools import cache

import pytest
import torch
from support.networks.same_padding import with_same_padding
from torch import nn
from torch.overrides import TorchFunctionMode

import bopscount
from bopscount import cli
from bopscount.networks import NETWORKS
from bopscount.networks.binary_densenet import BinaryDenseNet
from bopscount.networks.birealnet import BiRealNet
from bopscount.networks.bitnet import BitLinear, BitNet
from bopscount.networks.cnv import CNV
from bopscount.networks.layers import QuantConv2d, QuantLinear, SamePadding
from bopscount.networks.meliusnet import ImprovementBlock
from bopscount.networks.reactnet import ReActBlock, ReActResNetBlock
from bopscount.networks.stems import grouped_stem
from bopscount.networks.tfc import TFC

STEM, GROUPED_STEM = 49 * 3 * 64 * 112**2, (27 * 32 + 9 * 32 * 8 + 9 * 64 * 4) * 112**2


@cache
def report(name):
    network = NETWORKS[name]
    dtype = getattr(torch, network.dtype) if network.dtype else None
    return bopscount.count(bopscount.trace(network.build, network.input_size, dtype=dtype))


def macs_by_bits(name):
    return report(name).bit_summary.macs


@pytest.mark.parametrize("name", NETWORKS)
def test_every_network_is_counted_completely_without_being_run(name):
    result = report(name)
    assert result.status == "complete"
    assert not result.ran_model
    low_bit = [row for row in result.layers if row.bops and row.macs]
    assert low_bit
    assert {row.weight_bits_source for row in low_bit} == {"adapter"}
    assert {row.input_bits_source for row in low_bit} == {"adapter"}


@pytest.mark.parametrize("name", NETWORKS)
def test_the_command_line_knows_what_every_network_takes(name, capsys):
    assert cli.main([name, "--no-timing"]) == 0
    assert f"{report(name).totals.params:,}" in capsys.readouterr().out


def bireal(blocks):
    binary = stem = 0
    for stage, repeats in enumerate(blocks):
        width, positions = 64 * 2**stage, (56 // 2**stage) ** 2
        narrower = width if stage == 0 else width // 2
        binary += positions * 9 * width * (narrower + (repeats - 1) * width)
        stem += positions * width * narrower if stage else STEM
    return {(1, 1): binary, (32, 32): stem + 512_000}


@pytest.mark.parametrize(
    ("name", "blocks"),
    [
        ("birealnet18", (4, 4, 4, 4)),
        ("birealnet34", (6, 8, 12, 6)),
        ("react_resnet18", (4, 4, 4, 4)),
        ("resnet_e18", (4, 4, 4, 4)),
    ],
)
def test_a_bireal_net_in_closed_form(name, blocks):
    assert macs_by_bits(name) == bireal(blocks)


def test_bireal_net_34_has_its_own_numbers():
    assert bireal((6, 8, 12, 6)) == {(1, 1): 3_525_967_872, (32, 32): 137_793_536}
    assert report("birealnet34").convention("reactnet") == 192_886_784
    assert report("birealnet34").totals.params == 21_797_672


def dense(blocks, reduced, convolutions, stem):
    """`convolutions` of the new channels in each block: 1 dense, 2 with improvement."""
    channels, binary, full = 64, 0, stem
    for stage, repeats in enumerate(blocks):
        positions = (56 // 2**stage) ** 2
        for _ in range(repeats):
            binary += positions * 9 * 64 * channels
            channels += 64
            binary += positions * 9 * 64 * channels * (convolutions - 1)
        if stage < len(reduced):
            full += positions // 4 * channels * reduced[stage]
            channels = reduced[stage]
    return {(1, 1): binary, (32, 32): full + 1000 * channels}


def test_binary_densenet_28_in_closed_form():
    expected = dense((6, 6, 6, 5), (160, 192, 256), 1, STEM)
    assert macs_by_bits("binary_densenet28") == expected
    assert expected[1, 1] == 3_587_383_296


def test_meliusnet_22_in_closed_form():
    expected = dense((4, 5, 4, 4), (160, 224, 256), 2, GROUPED_STEM)
    assert macs_by_bits("meliusnet22") == expected
    assert expected == {(1, 1): 4_624_220_160, (32, 32): 136_388_608}
    assert report("meliusnet22").convention("bmxnet") == 208_130_048
    assert report("meliusnet22").convention("mib_fused") == pytest.approx(3.877228)


def test_a_bitnet_in_closed_form():
    tokens, width, hidden, vocabulary, blocks = 128, 768, 2048, 32000, 12
    ternary = blocks * (4 * width**2 + 3 * width * hidden)
    attention = blocks * 2 * tokens**2 * width
    summary = report("bitnet").bit_summary
    assert summary.macs == {
        (2, 8): tokens * ternary,
        (32, 32): tokens * width * vocabulary + attention,
    }
    norms = width * (2 * blocks + 1)
    assert summary.params == {2: ternary, 32: 2 * vocabulary * width + norms}


def test_a_binary_cnv_reads_the_image_at_8_bits():
    assert macs_by_bits("cnv_1w1a") == {(1, 8): 27 * 64 * 30**2, (1, 1): 57_906_176}


class Operands(TorchFunctionMode):
    """Keeps the (input, weight) that convolutions and linear layers really compute with."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def __torch_function__(self, function, types, args=(), kwargs=None):
        if function in (nn.functional.conv2d, nn.functional.linear):
            self.seen.append((args[0].detach(), args[1].detach()))
        return function(*args, **(kwargs or {}))


def levels_of_a_channel(weight):
    return max(len(channel.unique()) for channel in weight.flatten(1))


BINARY_NETWORKS = {
    "birealnet": lambda: BiRealNet((1, 2, 1, 1), num_classes=3),
    "reactnet": lambda: BiRealNet((1, 1, 1, 1), ReActResNetBlock, num_classes=3),
    "reactnet_a": lambda: nn.Sequential(ReActBlock(3, 3, 1), ReActBlock(3, 6, 2)),
    "densenet": lambda: BinaryDenseNet((1, 1), (64,), grouped_stem(), num_classes=3),
    "meliusnet": lambda: nn.Sequential(
        nn.Conv2d(3, 96, 1), ImprovementBlock(96), nn.AdaptiveAvgPool2d(1)
    ),
}


@pytest.mark.parametrize("name", BINARY_NETWORKS)
def test_binary_layers_compute_with_signs(name):
    torch.manual_seed(0)
    model = BINARY_NETWORKS[name]().train()  # batch norms centre what they see
    image = torch.randn(2, 3, 64, 64)
    with Operands() as operands, torch.no_grad():
        model(image)
    rows = bopscount.count(bopscount.trace(model, (3, 64, 64))).layers
    bits = [row.weight_bits for row in rows if row.macs]
    assert 1 in bits
    assert len(bits) == len(operands.seen)
    # Of each network, some convolutions are binary, and those that are have two levels.
    binary = [seen for seen in operands.seen if levels_of_a_channel(seen[1]) <= 2]
    assert len(binary) == bits.count(1)
    assert all(set(x.unique().tolist()) == {-1.0, 1.0} for x, _ in binary)


@pytest.mark.parametrize(
    ("model", "size"),
    [
        (CNV(1, 1), (3, 32, 32)),
        (CNV(2, 2), (3, 32, 32)),
        (TFC(1, 2), (1, 28, 28)),
        (TFC(3, 4), (1, 28, 28)),
    ],
)
def test_quantised_layers_compute_with_no_more_levels_than_their_bits_have(model, size):
    torch.manual_seed(0)
    with Operands() as operands, torch.no_grad():
        model.train()(torch.randn(4, *size))  # batch norms scale what they see
    rows = [row for row in bopscount.count(bopscount.trace(model, size)).layers if row.macs]
    assert len(operands.seen) == len(rows)
    for (x, weight), row in zip(operands.seen, rows, strict=True):
        assert 2 <= len(weight.unique()) <= 2**row.weight_bits
        assert 2 <= len(x.unique()) <= 2**row.input_bits


def test_a_bit_linear_computes_with_ternary_weights_and_8_bit_inputs():
    torch.manual_seed(0)
    model = BitNet(vocabulary=50, width=32, heads=2, hidden=64, blocks=1)
    with Operands() as operands, torch.no_grad():
        assert model(torch.randint(50, (1, 9))).shape == (1, 9, 50)
    low_bit = operands.seen[:-1]
    assert len(low_bit) == 7
    for x, weight in low_bit:
        assert len(weight.unique()) == 3
        steps = x[0] / (x[0].abs().amax(-1, keepdim=True) / 127)
        assert torch.allclose(steps, steps.round(), atol=1e-3)


def test_gradients_pass_the_quantisers():
    torch.manual_seed(0)
    for model, x in (
        (TFC(2, 2), torch.randn(4, 1, 28, 28)),
        (BiRealNet((1, 1, 1, 1), num_classes=2), torch.randn(2, 3, 32, 32)),
    ):
        model(x).square().sum().backward()
        assert all(parameter.grad is not None for parameter in model.parameters())
        assert all(parameter.grad.isfinite().all() for parameter in model.parameters())


def test_a_user_has_the_last_word_on_a_class_of_ours():
    model = nn.Sequential(QuantLinear(4, 3, weight_bits=2, input_bits=3))
    assert bopscount.scan(model, (4,)).bops == 12 * 2 * 3
    bopscount.register_layer(QuantLinear, weight_bits=1, input_bits=1)
    try:
        assert bopscount.scan(model, (4,)).bops == 12
    finally:
        bopscount.unregister_layer(QuantLinear)
    assert bopscount.scan(model, (4,)).bops == 12 * 2 * 3


def test_a_class_of_the_same_name_elsewhere_is_not_ours():
    other = type("BitLinear", (nn.Linear,), {})
    assert bopscount.scan(nn.Sequential(other(4, 3)), (4,)).bops == 0
    assert bopscount.scan(nn.Sequential(BitLinear(4, 3)), (4,)).bops == 12 * 2 * 8
    assert bopscount.scan(nn.Sequential(type("Mine", (QuantConv2d,), {})(
        1, 1, 1, weight_bits=1, input_bits=1)), (1, 2, 2)).bops == 0  # fmt: skip


@pytest.mark.parametrize("kernel", [1, 2, 3, 5, 7])
@pytest.mark.parametrize("stride", [1, 2, 3])
def test_same_padding_gives_as_many_positions_as_strides_fit(kernel, stride):
    for size in range(1, 12):
        x = torch.zeros(1, 1, size, size + 1)
        padded = SamePadding(kernel, stride)(x)
        output = nn.functional.max_pool2d(padded, kernel, stride)
        assert output.shape[2:] == (-(-size // stride), -(-(size + 1) // stride))


def test_same_padding_puts_the_odd_one_behind():
    padded = SamePadding(3, 2, value=1.0)(torch.zeros(1, 1, 4, 4))
    assert padded[0, 0, 0].tolist() == [0, 0, 0, 0, 1]
    assert padded[0, 0, -1].tolist() == [1] * 5


def test_same_padding_replaces_all_of_torchs():
    model = with_same_padding(NETWORKS["birealnet18"].build())
    paddings = [m.padding for m in model.modules() if not isinstance(m, nn.AvgPool2d)
                and hasattr(m, "padding")]  # fmt: skip
    assert paddings
    assert all(padding in (0, (0, 0)) for padding in paddings)
