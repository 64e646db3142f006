"""Published conventions: worked numbers, a plain reference, published figures, errors."""

import importlib.util
import json
import math
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from conventions_reference import MAC_KINDS, REFERENCE
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import DEFAULTS
from torch import nn

import bopscount
from bopscount import CONVENTIONS, InputError, Report, _core, convention_value
from bopscount.conventions.example import LAYERS, example_table
from bopscount.networks import NETWORKS

ROOT = Path(__file__).resolve().parent.parent
NOT_WEIGHTED = ("batch_norm", "quantize", "adaptive_avg_pool", "relu", "layer_norm", "move")


def worked_numbers(example):
    """{name: (left, right)} of "name: arithmetic = number; ..."; one without a name is ""."""
    numbers = {}
    for part in example.split("; "):
        name, _, equation = part.rpartition(": ")
        arithmetic, _, result = equation.rpartition(" = ")
        value = eval(arithmetic, {"__builtins__": {}, "log2": math.log2})
        numbers[name] = value, float(result)
    return numbers


@pytest.mark.parametrize("name", CONVENTIONS)
def test_the_worked_number_is_what_the_convention_gives(name):
    convention = CONVENTIONS[name]
    value = convention_value(example_table(), name)
    numbers = worked_numbers(convention.example)
    values = value if isinstance(value, dict) else {"": value}
    assert values.keys() == numbers.keys()
    for key, (arithmetic, result) in numbers.items():
        assert values[key] == pytest.approx(arithmetic, rel=1e-12)
        assert result == pytest.approx(arithmetic, rel=1e-5)


@pytest.mark.parametrize("name", CONVENTIONS)
def test_a_rule_of_integers_gives_integers_and_no_other_does(name):
    value = bopscount.count(example_table()).conventions()[name]
    if CONVENTIONS[name].integer:
        assert value.approximate is None
        numbers = value.exact.values() if isinstance(value.exact, dict) else [value.exact]
        assert all(type(number) is int for number in numbers)
    else:
        assert value.exact is None
        assert type(value.approximate) is float
    assert all(type(part) is int for part in value.parts.values())


def test_every_convention_has_a_reference():
    assert list(REFERENCE) == list(CONVENTIONS)


small = st.integers(1, 6)
width = st.sampled_from([1, 1, 2, 4, 8, 16, 17, 32])
source = st.sampled_from([0, 0, 1, 2, 5])


@st.composite
def layers(draw):
    kind = draw(st.sampled_from([*MAC_KINDS, *NOT_WEIGHTED]))
    groups = draw(st.sampled_from([1, 1, 2, 3]))
    kernel = draw(st.tuples(small, small, st.just(1)))
    fields = {
        "kind": kind,
        "calls": draw(st.integers(0, 3)),
        "batch": draw(small),
        "groups": groups,
        "in_channels": groups * draw(small),
        "out_channels": groups * draw(small),
        "in_positions": draw(small),
        "out_positions": draw(small),
        "kernel": kernel if kind in ("conv", "conv_transpose", "attention") else (1, 1, 1),
        "bias_elements": draw(st.sampled_from([0, 5])),
        "weight_elements": 0 if kind in NOT_WEIGHTED[1:] else draw(st.sampled_from([0, 24, 40])),
        "nonzero_weights": -1,
        **{f"{operand}_bits": draw(width) for operand in ("weight", "input", "output")},
        **{f"{operand}_bits_source": draw(source) for operand in ("weight", "input")},
    }
    if kind in ("conv", "conv_transpose", "linear"):
        inner = (fields["in_channels"] // groups) * math.prod(fields["kernel"])
        fields["weight_elements"] = fields["out_channels"] * inner
        fields["nonzero_weights"] = draw(st.integers(-1, fields["weight_elements"]))
    own = fields["weight_elements"] + fields["bias_elements"]
    fields["params"] = fields["logical_params"] = draw(st.sampled_from([0, own]))
    return DEFAULTS | fields


def pack(list_of_fields):
    records = _core.new_layers(len(list_of_fields))
    for index, fields in enumerate(list_of_fields):
        for name, value in fields.items():
            records[name][index] = _core.KINDS[value] if name == "kind" else value
        records["owner"][index] = index
    return records


@settings(max_examples=300, deadline=None)
@given(net=st.lists(layers(), max_size=7))
def test_random_networks_have_the_values_of_the_reference(net):
    values = bopscount.count(pack(net)).conventions()
    for name, reference in REFERENCE.items():
        if name == "sparse_product" and values[name].value is None:
            weighted = [f for f in net if f["kind"] in ("conv", "conv_transpose", "linear")]
            assert weighted
            assert all(f["nonzero_weights"] < 0 for f in weighted)
        elif name == "accumulator":
            assert values[name].value == pytest.approx(reference(net), rel=1e-12)
        else:
            assert values[name].value == reference(net), name


def test_sums_past_64_bits_are_exact():
    layer = DEFAULTS | {"kind": "linear", "batch": 2**24, "in_channels": 2**16}
    layer |= {"out_channels": 2**16 - 1, "nonzero_weights": -1}
    macs = 300 * 2**40 * (2**16 - 1)
    assert macs > 2**64
    assert convention_value(pack([layer] * 300), "macs") == macs
    assert convention_value(pack([layer] * 300), "product") == 1024 * macs


# --- published figures -------------------------------------------------------


class HardBinaryConv(nn.Conv2d):
    """By its bare name a 1x1-bit convolution."""


class BinaryActivation(nn.Module):
    """By its bare name a binary activation."""

    def forward(self, x):
        return torch.sign(x)


def binary_block(channels, out, stride):
    """Bi-Real-Net's block, of which only the shapes matter: no sums of shortcuts here."""
    shortcut = nn.Sequential()
    if stride > 1:
        shortcut = nn.Sequential(
            nn.AvgPool2d(2), nn.Conv2d(channels, out, 1, bias=False), nn.BatchNorm2d(out)
        )
    body = nn.Sequential(
        BinaryActivation(),
        HardBinaryConv(channels, out, 3, stride, 1, bias=False),
        nn.BatchNorm2d(out),
    )
    return nn.ModuleList([body, shortcut])


class BiRealNet18(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64), nn.MaxPool2d(3, 2, 1)
        )
        sizes = [(64, 64, 1)] * 4
        for out in (128, 256, 512):
            sizes += [(out // 2, out, 2), *[(out, out, 1)] * 3]
        self.blocks = nn.ModuleList([binary_block(*size) for size in sizes])
        self.head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, 1000))

    def forward(self, x):
        x = self.stem(x)
        for body, shortcut in self.blocks:
            x = body(x) + shortcut(x)
        return self.head(x)


@pytest.fixture(scope="module")
def bireal():
    with torch.device("meta"):
        model = BiRealNet18()
    return bopscount.count(bopscount.trace(model, (3, 224, 224)))


def test_bireal_net_18_has_its_published_figures(bireal):
    # liuzechun/ReActNet, README and code; larq/zoo; BMXNet-v2's ResNetE18, the same net.
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
    with torch.device("meta"):
        model = network.build()
    table = bopscount.trace(model, network.input_size)
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
    with torch.device("meta"):
        model = BiRealNet18()
    table = bopscount.trace(model, (3, 224, 224))
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


# --- what belongs to a table -------------------------------------------------


def test_the_network_input_of_bayesian_bits_is_found_behind_what_moves_it():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.side = nn.Linear(8, 4, bias=False), nn.Linear(8, 2, bias=False)
            self.last = nn.Linear(4, 2, bias=False)

        def forward(self, x):
            return self.last(self.first(x.reshape(-1, 8))) + self.side(x.reshape(-1, 8))

    table = bopscount.trace(Net(), (2, 4))
    bops = 32 * 8 * (32 + 16) + 32 * 32 * 8
    assert convention_value(table, "bayesian_bits") == 100 * bops / (1024 * 56)


def test_a_weight_that_is_used_twice_is_stored_once():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(4, 4, 3)

        def forward(self, x):
            return self.conv(self.conv(x))

    table = bopscount.trace(Net(), (4, 9, 9))
    assert len(table) == 2
    figure = bopscount.count(table).conventions()["weights_only"]
    assert figure.parts == {"bits": 32 * 144, "values": 144}


def test_a_batch_norm_without_parameters_still_has_its_statistics():
    model = nn.Sequential(nn.BatchNorm2d(5, affine=False), nn.BatchNorm2d(5))
    values = bopscount.count(bopscount.trace(model, (5, 2, 2))).conventions()
    assert values["mib_fused"].parts["values"] == 10 + 10
    assert values["mib_raw"].parts["values"] == 10 + 20


def test_computed_operands_are_no_stored_weights():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.table = nn.Parameter(torch.zeros(100))
            self.q = nn.Linear(4, 4, bias=False)

        def forward(self, x):
            q = self.q(x)
            return q @ q.transpose(-1, -2)

    table = bopscount.trace(Net(), (3, 4))
    assert bopscount.count(table).conventions()["weights_only"].parts["values"] == 16
    matmul = table.records["kind"] == _core.KINDS["matmul"]
    table.records["weight_bits_source"][matmul] = 1
    table.records["weight_bits"][matmul] = 1
    assert bopscount.count(table).conventions()["mib_fused"].parts["bits"] == 32 * 116


# --- the report --------------------------------------------------------------


def test_an_unknown_convention_is_an_error_that_lists_the_known_ones(bireal):
    model = nn.Linear(2, 2)
    for call in (
        lambda: bireal.convention("reaknet"),
        lambda: bireal.conventions()["reaknet"],
        lambda: convention_value(example_table(), "reaknet"),
        lambda: bopscount.count(example_table(), convention="reaknet"),
        lambda: bopscount.stat(model, (2,), convention="reaknet"),
    ):
        with pytest.raises(InputError, match="reaknet") as caught:
            call()
        assert all(name in str(caught.value) for name in CONVENTIONS)


def test_a_number_is_printed_with_its_convention():
    for asked in (None, "reactnet"):  # without a wish, a low-bit network's OPs
        report = bopscount.count(example_table(), convention=asked)
        assert "Total 22,632 OPs (convention: reactnet)" in str(report).splitlines()
    floats = bopscount.trace(nn.Linear(3, 2), (3,))
    assert "convention" not in str(bopscount.count(floats))
    both = bopscount.count(example_table()).conventions()["torchstat"]
    assert str(both) == "Bops 561,664, Flops 14,888 (convention: torchstat)"


def test_the_side_by_side_table_has_a_line_for_each_convention():
    values = bopscount.count(example_table()).conventions()
    lines = str(values).splitlines()
    assert [line.split()[0] for line in lines[1:]] == list(CONVENTIONS)
    assert len(values) == len(list(values)) == len(CONVENTIONS)
    assert lines[1].split() == ["reactnet", "22,632", "OPs"]


def test_a_convention_says_what_it_lacks():
    records = _core.new_layers(1)
    records["kind"], records["weight_elements"] = _core.KINDS["linear"], 4
    report = bopscount.count(records)
    with pytest.raises(InputError, match="discount_zeros=True"):
        report.convention("sparse_product")
    assert report.conventions()["sparse_product"].value is None
    assert "discount_zeros=True" in str(report.conventions())


def test_a_report_read_from_data_keeps_its_conventions():
    report = bopscount.count(example_table(), convention="split2", columns=("default", "bits"))
    copy = Report.from_dict(json.loads(json.dumps(report.to_dict())))
    assert copy == report
    assert str(copy) == str(report)
    assert copy.to_dict() == report.to_dict()
    assert list(copy.conventions()) == list(report.conventions())
    assert copy.bit_summary == report.bit_summary


def test_data_of_an_older_version_has_no_conventions_and_says_so():
    data = bopscount.count(example_table()).to_dict()
    for name in ("bit_summary", "conventions", "columns", "assumptions", "shows_bits"):
        del data[name]
    for row in data["layers"]:
        del row["weight_bits_source"]
    report = Report.from_dict(data)
    assert "layer 3" in str(report)
    with pytest.raises(InputError, match="count the model again"):
        report.convention("reactnet")


# --- the documentation -------------------------------------------------------


def test_the_page_of_conventions_is_up_to_date():
    path = ROOT / "docs" / "conventions_page.py"
    spec = importlib.util.spec_from_file_location("conventions_page", path)
    generator = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(generator)
    text = (ROOT / "docs" / "conventions.md").read_text(encoding="utf-8")
    assert text == generator.page(), "run python docs/conventions_page.py"
    assert all(f"### `{name}`" in text for name in CONVENTIONS)
    assert all(layer in text for layer in LAYERS)
