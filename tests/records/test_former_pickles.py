"""Tables and reports that version 0.1.0 pickled, before modules moved between folders."""

import json
import pickle
import subprocess
import sys
from pathlib import Path

import pytest
from support.paths import GOLDEN

import bopscount

PICKLES = GOLDEN / "pickles"
FIGURES = json.loads((PICKLES / "figures.json").read_text())


def load(name):
    return pickle.loads((PICKLES / f"{name}.pickle").read_bytes())


def test_a_pickled_layer_table_counts_as_it_did():
    table = load("layer_table")
    assert type(table) is bopscount.LayerTable
    assert list(table.totals("full").costs()) == FIGURES["totals"]
    report = bopscount.count(table, convention="reactnet")
    assert str(report) == FIGURES["text"]
    assert table.with_bits({"0": (8, 8)}).mac_layers == ("0", "3", "5")


def test_a_pickled_report_says_what_it_said():
    report = load("report")
    assert type(report) is bopscount.Report
    assert report.to_dict() == FIGURES["report"]
    assert str(report) == FIGURES["text"]
    assert report.convention("reactnet") == bopscount.count(report.table).convention("reactnet")


def test_a_pickled_choice_table_counts_as_it_did():
    assert load("choice_table").to_dict() == FIGURES["choices"]


@pytest.mark.parametrize("name", ["layer_table", "report", "choice_table"])
def test_pickles_load_without_torch_and_survive_another_round(name):
    program = (
        "import pickle, sys\n"
        f"value = pickle.load(open({str(PICKLES / name)!r} + '.pickle', 'rb'))\n"
        "again = pickle.loads(pickle.dumps(value))\n"
        "print(type(again).__name__, type(again) is type(value), 'torch' in sys.modules)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True, timeout=60,
        cwd=Path(sys.executable).anchor,
    )  # fmt: skip
    kind = "".join(part.title() for part in name.split("_"))
    assert done.stdout.split() == [kind, "True", "False"]
