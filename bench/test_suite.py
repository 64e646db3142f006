"""The suite's own parts: verdicts, and the page that is written from stored results."""

from __future__ import annotations

import json
from importlib import import_module

import page
import pytest
from rows import Row, table_text
from suite import BENCHMARKS


@pytest.mark.parametrize(
    ("value", "more_is_better", "verdicts"),
    [
        (3, True, ("FAIL", "FAIL")),
        (10, True, ("pass", "FAIL")),
        (20, True, ("pass", "pass")),
        (3, False, ("pass", "pass")),
        (10, False, ("pass", "pass")),
        (11, False, ("FAIL", "pass")),
    ],
)
def test_goals_and_aims_are_limits_in_the_direction_of_the_row(value, more_is_better, verdicts):
    row = Row("a", value, goal=10, aim=20, more_is_better=more_is_better)
    assert (row.verdict(row.goal), row.verdict(row.aim)) == verdicts
    assert row.failed == (verdicts[0] == "FAIL")
    assert Row("a", value).verdict(None) == ""


def test_the_table_shows_every_section_and_row():
    text = table_text({"One": [Row("first", 1234.5, "x", 10)], "Two": [Row("second", 0.5)]})
    assert [line.split() for line in text.splitlines()[1:]] == [
        ["One"],
        ["first", "1,234x", ">=", "10x", "pass"],
        ["Two"],
        ["second", "0.500"],
    ]


@pytest.mark.parametrize("name", BENCHMARKS)
def test_every_benchmark_can_be_measured_and_has_a_title(name):
    module = import_module(name)
    assert callable(module.measure)
    assert module.__doc__.splitlines()[0]


def test_results_that_were_not_measured_again_are_kept(tmp_path):
    file = tmp_path / "results.json"
    page.write_results(file, {"b": 1, "gone": 2}, order=("b", "gone"))
    page.write_results(file, {"a": 3}, order=("a", "b"))
    assert list(json.loads(file.read_text()).items()) == [("a", 3), ("b", 1)]


def test_the_page_is_what_the_stored_results_say():
    results = json.loads(page.RESULTS.read_text())
    assert page.text(results) == page.PAGE.read_text(), "python bench/page.py"
    plots = {f"{name}.svg" for name, _ in page.curves(results)}
    assert plots == {file.name for file in page.FOLDER.glob("*.svg")}
    assert set(results) <= set(BENCHMARKS)
