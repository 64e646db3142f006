"""Conventions in reports: as text, side by side, in data, and by names that are none."""

import json

import pytest
from torch import nn

import bopscount
from bopscount import CONVENTIONS, InputError, Report, _core, convention_value
from bopscount.conventions.example import example_table


def test_an_unknown_convention_is_an_error_that_lists_the_known_ones():
    model, report = nn.Linear(2, 2), bopscount.count(example_table())
    for call in (
        lambda: report.convention("reaknet"),
        lambda: report.conventions()["reaknet"],
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
