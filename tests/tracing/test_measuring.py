"""bits="measured" beside what others say, what it leaves behind, and where it cannot be."""

import copy
import random

import numpy as np
import pytest
import torch
from support.low_bit import quantisers as q
from support.low_bit.recorded import ADAPTER, FLOATING, FULL, MEASURED, USER, measured, widths
from torch import nn
from torch.nn import functional as F  # noqa: N812 - torch's own custom

import bopscount
from bopscount import InputError
from bopscount.cli.main import main

IMAGE = (3, 16, 16)


def layered():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 16, 3), nn.Conv2d(16, 16, 3), nn.Conv2d(16, 16, 3))
    model[1].weight.data.sign_()
    model[2].weight.data.sign_()
    return model


def test_a_width_that_the_user_gives_goes_first():
    table = bopscount.trace(layered(), IMAGE, bits={"*": "measured", "2": (1, 8)})
    assert widths(table) == {
        "0": FULL, "1": (1, 32, MEASURED, FLOATING), "2": (1, 8, USER, USER),
    }  # fmt: skip


def test_the_last_pattern_that_matches_counts():
    table = bopscount.trace(layered(), IMAGE, bits={"2": (4, 4), "[12]": "measured"})
    assert widths(table) == {
        "0": FULL, "1": (1, 32, MEASURED, FLOATING), "2": (1, 32, MEASURED, FLOATING),
    }  # fmt: skip


def test_layers_that_no_pattern_names_are_not_measured():
    table = bopscount.trace(layered(), IMAGE, bits={"2": "measured"})
    assert widths(table)["1"] == FULL


def test_a_callable_may_ask_for_measuring():
    table = bopscount.trace(
        layered(), IMAGE, bits=lambda path, module: "measured" if path == "1" else None
    )
    assert widths(table)["1"] == (1, 32, MEASURED, FLOATING)
    assert widths(table)["2"] == FULL


class Claims(nn.Conv2d):
    w_bit = a_bit = 4

    def forward(self, x):
        return F.conv2d(x, (self.weight / 0.001).round() * 0.001)


Claims.__name__ = "QConv2d"  # HAQ's


def test_an_adapter_that_the_values_contradict_is_kept_and_warned_about():
    torch.manual_seed(0)
    model = nn.Sequential(Claims(64, 64, 3, bias=False))
    report = bopscount.count(measured(model, inputs=torch.randn(1, 64, 8, 8)))
    assert widths(report.table) == {"0": (4, 4, ADAPTER, ADAPTER)}
    weights, inputs = report.warnings
    assert weights.startswith("0: its class says 4 bits, but the weights that were multiplied span")
    assert "levels, 7 bits; counted as 4" in weights
    assert "0: its class says 4 bits, but the inputs that were multiplied have" in inputs
    assert "distinct values or more, on no common step; counted as 4" in inputs
    assert f"Warning: {weights}" in str(report)
    assert bopscount.Report.from_dict(report.to_dict()).warnings == report.warnings


def test_values_that_need_fewer_bits_than_was_said_contradict_nothing():
    model = layered()
    table = bopscount.trace(model, IMAGE, bits={"*": "measured", "1": (8, 32)})
    assert table.warnings == []


class Random(nn.Module):
    """Draws numbers and writes on itself."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3)
        self.register_buffer("seen", torch.zeros(()))

    def forward(self, x):
        self.seen += 1
        self.last = torch.rand(3), random.random(), np.random.rand()
        return self.conv(x + torch.randn_like(x))


def test_model_and_random_numbers_are_left_as_they_were():
    model = Random()
    before = copy.deepcopy(model.state_dict())
    attributes, version = set(vars(model)), model.conv.weight._version
    states = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].copy()
    measured(model, IMAGE)
    assert torch.equal(torch.get_rng_state(), states[0])
    assert random.getstate() == states[1]
    assert np.array_equal(np.random.get_state()[1], states[2])
    after = model.state_dict()
    assert all(torch.equal(after[name], value) for name, value in before.items())
    assert set(vars(model)) == attributes
    assert model.conv.weight._version == version
    assert model.training


def test_two_measurements_see_the_same_random_input():
    model = q.built(lambda: q.Net(weights=q.lsq_weights, inputs=q.lsq_inputs, w=4, a=8))
    first, second = measured(model, IMAGE), measured(model, IMAGE)
    assert np.array_equal(first.records, second.records)


def test_the_report_says_that_the_model_was_run():
    report = bopscount.count(measured(layered(), IMAGE))
    assert report.ran_model
    assert "The model was run once for its bit widths" in str(report)


def test_scan_and_stat_measure_too(capsys):
    model = layered()
    totals = bopscount.scan(model, IMAGE, bits="measured")
    report = bopscount.stat(model, IMAGE, bits="measured", timing=False)
    capsys.readouterr()
    assert totals == report.totals
    assert "measured" in {row.weight_bits_source for row in report.rows}


def test_the_command_line_measures(capsys):
    assert main(["tfc_1w1a", "--bits", "measured", "--no-timing"]) == 0
    assert "was run once for its bit widths" in capsys.readouterr().out
    assert main(["tfc_1w1a", "--bits", "*=measured", "--bits", "*=4,4", "--no-timing"]) == 0
    assert "was run once" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"model": lambda: nn.Conv2d(3, 8, 3)}, "needs weights with values"),
        ({"run": "never"}, "run='never' forbids"),
        ({"bits": "measure"}, "bits must be 'measured', .* got 'measure'"),
        ({"bits": {"*": "guess"}}, "or 'measured', got 'guess'"),
    ],
)
def test_what_cannot_be_measured_is_one_clear_sentence(arguments, words):
    options = {"model": nn.Conv2d(3, 8, 3), "input_size": IMAGE, "bits": "measured", **arguments}
    with pytest.raises(InputError, match=words):
        bopscount.trace(**options)


def test_inputs_without_values_are_refused():
    with pytest.raises(InputError, match="needs inputs with values"):
        measured(nn.Conv2d(3, 8, 3), inputs=torch.empty(1, 3, 8, 8, device="meta"))


def test_a_table_alone_cannot_be_measured():
    table = bopscount.trace(nn.Conv2d(3, 8, 3), IMAGE)
    with pytest.raises(InputError, match="give it to trace"):
        table.with_bits("measured")
