"""Conventions give the figures that papers and public tools state."""

from functools import partial
from itertools import pairwise

import numpy as np
import pytest
from support.networks.plain_birealnet18 import BiRealNet18
from support.random_layers import pack
from support.reference import DEFAULTS
from torch import nn

import bopscount
from bopscount import _core, convention_value
from bopscount.networks import NETWORKS


def test_bireal_net_18_has_its_published_figures():
    # liuzechun/ReActNet, README and code; larq/zoo; BMXNet-v2's ResNetE18, the same net.
    bireal = bopscount.count(bopscount.trace(partial(BiRealNet18), (3, 224, 224)))
    values = bireal.conventions()
    assert bireal.convention("reactnet") == 163_985_408
    assert values["reactnet"].parts == {"FLOPs": 137_793_536, "BOPs": 1_676_279_808}
    assert bireal.convention("bmxnet") == 163_473_408
    assert bireal.convention("max_bits") == {"1-bit": 1_676_279_808, "32-bit": 137_793_536}
    assert bireal.convention("mib_fused") == pytest.approx(3.99527, abs=5e-6)
    assert values["mib_fused"].parts == {"bits": 33_514_752, "values": 11_689_512}
    assert bireal.convention("mib_raw") == pytest.approx(4.031891, abs=5e-7)
    assert values["mib_raw"].parts["values"] == 11_699_112
    assert bireal.convention("macs") == 1_814_073_344


def test_the_predecessors_network_has_its_published_bops():
    network = NETWORKS["binary_resnet18"]
    table = bopscount.trace(network.build, network.input_size)
    assert convention_value(table, "torchstat")["Bops"] == 2_198_185_472


def quantised(kind, weight_bits, input_bits, **fields):
    widths = {"weight_bits": weight_bits, "input_bits": input_bits}
    sources = {"weight_bits_source": 1, "input_bits_source": 1}
    return DEFAULTS | {"kind": kind, "nonzero_weights": -1} | widths | sources | fields


def test_sony_mcts_own_test_networks():
    # sony/model_optimization, base_ru_integration_test.py: per node and in total.
    net = [
        quantised("conv", 2, 8, in_channels=3, in_positions=324, out_channels=8,
                  out_positions=196, kernel=(5, 5, 1)),
        quantised("conv", 2, 16, in_channels=8, in_positions=196, out_channels=16,
                  out_positions=144, kernel=(3, 3, 1), groups=8),
        quantised("conv_transpose", 2, 4, in_channels=16, in_positions=144, out_channels=12,
                  out_positions=256, kernel=(5, 5, 1)),
    ]  # fmt: skip
    records = pack(net)
    assert [convention_value(own(records, index), "mct") for index in range(3)] == [
        1_881_600, 663_552, 9_830_400,
    ]  # fmt: skip
    assert convention_value(own(records, 2), "product") == 5_529_600
    assert convention_value(records, "mct") == 12_867_072 - 491_520  # without its linear layer
    facade = quantised("conv", 4, 8, in_channels=8, out_channels=16, out_positions=60,
                       kernel=(3, 3, 1))  # fmt: skip
    assert convention_value(pack([facade]), "mct") == 2_211_840


def own(records, index):
    """One record as a network."""
    one = records[index : index + 1].copy()
    one["owner"] = 0
    return one


@pytest.mark.parametrize(
    ("bits", "bops"),
    [(32, 4_652_832), (16, 1_526_560), (12, 1_003_552), (8, 583_968), (6, 412_960), (4, 267_808)],
)
def test_the_jet_classifier_has_the_bops_of_the_accumulator_rule(bits, bops):
    # ben-hawks/pytorch-jet-classify, calc_BOPS: an MLP 16-64-32-32-5, its input at 32 bits.
    sizes = [16, 64, 32, 32, 5]
    net = [
        quantised("linear", bits, bits if index else 32, in_channels=inner, out_channels=outer)
        for index, (inner, outer) in enumerate(pairwise(sizes))
    ]
    assert convention_value(pack(net), "accumulator") == bops


def test_resnet18_has_hawqs_gbops_and_sizes():
    # Zhen-Dong/HAWQ, model_zoo.md: 116 and 34 GBOPS, 11.1 and 5.8 MB; first and last layer 8 bit.
    # ResNet-18 has the products of Bi-Real-Net-18, whose widths are overwritten here.
    table = bopscount.trace(partial(BiRealNet18), (3, 224, 224))
    products = np.isin(table.records["kind"], [_core.KINDS["conv"], _core.KINDS["linear"]])
    for name in ("weight", "input"):
        table.records[f"{name}_bits_source"][products] = _core.BIT_SOURCES["user"]
        table.records[f"{name}_bits"][products] = 8
    assert convention_value(table, "product") == 116_100_694_016
    assert convention_value(table, "weights_only") == pytest.approx(11.138, abs=5e-4)
    inner = np.flatnonzero(products)[1:-1]
    table.records["weight_bits"][inner] = table.records["input_bits"][inner] = 4
    ends, total = 118_013_952 + 512_000, 1_814_073_344
    assert convention_value(table, "product") == 16 * total + 48 * ends
    assert convention_value(table, "product") // 10**9 == 34
    assert convention_value(table, "weights_only") == pytest.approx(5.818, abs=5e-4)


@pytest.mark.parametrize(
    ("layer", "size", "name", "count"),
    [
        (nn.Conv2d(3, 2, 3), (3, 224, 224), "all_bias", 2_759_904),
        (nn.ConvTranspose2d(3, 2, 3, 2), (3, 224, 224), "all_bias", 3_112_706),
        (nn.Linear(3, 2), (3,), "all_bias", 8),
        (nn.Linear(3, 2), (3,), "fc_bias", 8),
        (nn.Conv2d(3, 12, 5, padding=1), (3, 32, 32), "macs", 810_000),
        (nn.ConvTranspose2d(8, 4, 3, padding=1, groups=2), (8, 4, 4), "macs", 2_304),
        (nn.Conv2d(3, 2, 3), (3, 224, 224), "fc_bias", 2_661_336),
        (nn.LSTM(4, 3), (5, 4), "all_bias", 5 * 4 * 3 * (4 + 3) + 5 * 4 * 3 * 2),
    ],
)
def test_single_layers_have_the_counts_of_public_tools_tests(layer, size, name, count):
    # ptflops' and thop's own tests; the LSTM in closed form.
    assert convention_value(bopscount.trace(layer, size), name) == count
