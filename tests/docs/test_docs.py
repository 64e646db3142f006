"""What the documentation says is so."""

import importlib.util
import re

import pytest
import torch
from support.paths import ROOT

import bopscount
from bopscount import _core
from bopscount.networks import NETWORKS

README = (ROOT / "README.md").read_text(encoding="utf-8")
COUNTING = (ROOT / "docs" / "counting.md").read_text(encoding="utf-8")


def load_generator():
    spec = importlib.util.spec_from_file_location("op_table", ROOT / "docs" / "op_table.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


generator = load_generator()


def blocks(text, language):
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def section(heading):
    return README.split(f"\n## {heading}\n")[1].split("\n## ")[0]


@pytest.mark.parametrize("path", generator.TABLES, ids=lambda path: path.name)
def test_the_tables_of_op_kinds_are_up_to_date(path):
    marker, make = generator.TABLES[path]
    text = path.read_text(encoding="utf-8")
    assert generator.updated(text, marker, make()) == text, "run python docs/op_table.py"


def test_every_op_kind_has_a_line_in_the_table():
    lines = [line for line in COUNTING.splitlines() if line.startswith("| `")]
    for row in _core.OP_TABLE[1:]:
        assert sum(line.startswith(f"| `{row['name']}` |") for line in lines) == 1


def test_every_term_of_a_formula_is_explained():
    columns = [name for name in _core.OP_TABLE[0] if name.startswith(("full_", "torchstat_"))]
    formulas = " ".join(
        row[name] for row in _core.OP_TABLE for name in ("macs", "backward", *columns)
    )
    terms = set(re.findall(r"[a-z_]+", formulas)) - {"macs", "in_channels", "out_channels"}
    explained = COUNTING.split("| term |")[1].split("<!-- op table -->")[0]
    # weight_elements is a field of the record, in the MACs of recurrent layers.
    for term in terms - {"groups", "weight_elements"}:
        assert f"`{term}`" in explained, term


def test_a_file_without_markers_is_an_error():
    with pytest.raises(ValueError, match="op table"):
        generator.updated("no markers here", "op table", "")


@pytest.mark.parametrize(
    ("heading", "command"),
    [
        ("Install and run", "pip install . && bopscount binary_resnet18\n"),
        ("Test", 'pip install ".[test]" && pytest\n'),
    ],
)
def test_the_commands_that_ci_runs_stand_alone_in_their_section(heading, command):
    assert blocks(section(heading), "bash") == [command]


def test_every_line_of_the_sample_table_is_printed():
    network = NETWORKS["binary_resnet18"]
    with torch.device("meta"):
        model = network.build()
    printed = str(bopscount.count(bopscount.trace(model, network.input_size))).splitlines()
    sample = blocks(README, "text")[0].splitlines()
    assert len(sample) > 5
    for line in sample:
        assert line == "..." or line in printed


def test_the_python_of_the_readme_runs(capsys):
    examples = blocks(README, "python")
    assert len(examples) > 5
    names = {"__name__": "readme"}
    try:
        for example in examples:
            exec(compile(example, "README.md", "exec"), names)
    finally:
        bopscount.unregister_layer(names["SignConv"])
    assert "Total params: 3,106" in capsys.readouterr().out


def test_the_python_of_the_search_page_runs():
    page = (ROOT / "docs" / "search.md").read_text(encoding="utf-8")
    names = {"__name__": "search"}
    for example in blocks(page, "python"):
        exec(compile(example, "search.md", "exec"), names)


def test_the_shell_examples_use_flags_that_exist(capsys):
    with pytest.raises(SystemExit):
        importlib.import_module("bopscount.cli.main").main(["--help"])
    known = capsys.readouterr().out
    for flag in re.findall(r" (--?[a-z][a-z-]*)", section("Use").split("From a shell")[1]):
        assert flag in known


def test_the_links_of_the_readme_lead_somewhere():
    targets = re.findall(r"\]\(([^)#:]+)\)", README)
    assert "docs/counting.md" in targets
    for target in targets:
        assert (ROOT / target).is_file(), target


def test_the_changelog_has_this_version():
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert "## [Unreleased]" in changelog
    assert f"## [{bopscount.__version__}]" in changelog
