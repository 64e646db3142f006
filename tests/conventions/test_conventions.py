"""Published conventions: worked numbers, a plain reference, what belongs to a table."""

import importlib.util
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from support.conventions_reference import REFERENCE
from support.paths import ROOT
from support.random_layers import layers, pack
from support.reference import DEFAULTS
from torch import nn

import bopscount
from bopscount import CONVENTIONS, _core, convention_value
from bopscount.conventions.example import LAYERS, example_table


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


def test_the_page_of_conventions_is_up_to_date():
    path = ROOT / "docs" / "conventions_page.py"
    spec = importlib.util.spec_from_file_location("conventions_page", path)
    generator = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(generator)
    text = (ROOT / "docs" / "conventions.md").read_text(encoding="utf-8")
    assert text == generator.page(), "run python docs/conventions_page.py"
    assert all(f"### `{name}`" in text for name in CONVENTIONS)
    assert all(layer in text for layer in LAYERS)
