"""The folders of the package import only from those below them, and in no circle."""

import subprocess
import sys

import pytest
from support.paths import ROOT

grimp = pytest.importorskip("grimp")
importlinter = pytest.importorskip("importlinter.api")

EXTENSION_IMPORT = "import bopscount._core as _core"


@pytest.fixture(scope="module")
def contracts():
    config = importlinter.read_configuration(str(ROOT / "pyproject.toml"))
    return {contract["type"]: contract for contract in config["contracts_options"]}


@pytest.fixture(scope="module")
def graph():
    return grimp.build_graph("bopscount", cache_dir=None)


def inner_imports(graph):
    """Pairs of modules of which the first imports the second, the package itself apart."""
    return [
        (importer, imported)
        for importer in sorted(graph.modules - {"bopscount"})
        for imported in sorted(graph.find_modules_directly_imported_by(importer) - {"bopscount"})
    ]


def test_every_contract_of_pyproject_is_kept():
    done = subprocess.run(
        [sys.executable, "-c", "from importlinter.cli import lint_imports_command as c; c()",
         "--no-cache"],
        check=False, capture_output=True, text=True, cwd=ROOT, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


def test_no_import_runs_up_and_none_in_a_circle(graph, contracts, capsys):
    layers = contracts["layers"]["layers"]
    floor = {}
    for height, layer in enumerate(reversed(layers)):
        for name in layer.replace("|", ":").split(":"):
            floor[name.strip()] = height
    imports = inner_imports(graph)
    between = [
        (importer, imported)
        for importer, imported in imports
        if importer.split(".")[1] != imported.split(".")[1]
    ]
    upward = [
        (importer, imported)
        for importer, imported in between
        if floor[importer.split(".")[1]] < floor[imported.split(".")[1]]
    ]
    ancestors = contracts["acyclic_siblings"]["ancestors"]
    circles = [pair for package in ancestors for pair in graph.nominate_cycle_breakers(package)]
    with capsys.disabled():
        print(
            f"\nbopscount: {len(layers)} floors, {len(imports)} imports, {len(between)} of them "
            f"between folders; {len(upward)} run up, {len(circles)} close a circle"
        )
    assert upward == []
    assert circles == []


def test_every_folder_is_looked_at(graph, contracts):
    folders = {
        module for module in graph.modules
        if any(other.startswith(f"{module}.") for other in graph.modules)
    }  # fmt: skip
    assert folders - {"bopscount"} == set(contracts["acyclic_siblings"]["ancestors"])


def test_the_package_itself_is_imported_for_its_extension_only(graph):
    """What a module gets from `bopscount` could come from any folder, which no linter sees."""
    lines = {
        detail["line_contents"]
        for importer in graph.find_modules_that_directly_import("bopscount")
        for detail in graph.get_import_details(importer=importer, imported="bopscount")
    }
    assert lines == {EXTENSION_IMPORT}


def test_every_folder_says_what_it_knows_and_what_it_imports():
    for init in sorted((ROOT / "bopscount").rglob("__init__.py")):
        if init.parent.name == "bopscount":
            continue
        text = init.read_text(encoding="utf-8")
        assert text.startswith('"""'), init
