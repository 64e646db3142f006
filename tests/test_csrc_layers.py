"""The layers of csrc, from its #include lines."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

CSRC = Path(__file__).parent.parent / "csrc"
LAYERS = ("core", "recording", "search", "tracer", "bindings")
"""A layer may include itself and those before it."""
BESIDE = {frozenset(("search", "tracer"))}
"""Layers that do not include each other in either direction."""
PLAIN = ("core", "recording", "search")
"""Layers that know nothing of Python."""
PYTHON = re.compile(r"#include <(Python\.h|pybind11/.*)>")

pytestmark = pytest.mark.skipif(not CSRC.is_dir(), reason="csrc is not here")


def sources() -> dict[str, str]:
    """The text of each file by its path from csrc."""
    files = sorted(CSRC.rglob("*.[ch]pp"))
    return {file.relative_to(CSRC).as_posix(): file.read_text() for file in files}


def includes() -> dict[str, list[str]]:
    """The files of csrc that each file includes."""
    return {
        path: re.findall(r'^\s*#include "([^"]+)"', text, re.MULTILINE)
        for path, text in sources().items()
    }


def layer_of(path: str) -> str:
    return path.split("/", maxsplit=1)[0]


def is_upward(path: str, included: str) -> bool:
    """Whether a file includes one of a layer above, or beside."""
    here, there = layer_of(path), layer_of(included)
    return LAYERS.index(here) < LAYERS.index(there) or frozenset((here, there)) in BESIDE


def circles(graph: dict[str, list[str]]) -> list[list[str]]:
    """The include circles, each as a path that ends where it starts."""
    found: list[list[str]] = []
    done: set[str] = set()

    def visit(path: str, above: list[str]) -> None:
        if path in above:
            found.append([*above[above.index(path) :], path])
            return
        if path in done:
            return
        for included in graph[path]:
            visit(included, [*above, path])
        done.add(path)

    for path in graph:
        visit(path, [])
    return found


def test_every_file_is_in_a_layer():
    strays = [path for path in sources() if layer_of(path) not in LAYERS]
    assert not strays, strays


def test_every_include_is_written_from_csrc():
    known = sources()
    wrong = [
        f"{path} includes {included}"
        for path, parts in includes().items()
        for included in parts
        if included not in known
    ]
    assert not wrong, wrong


def test_includes_point_down(capsys):
    graph = includes()
    upward = [
        f"{path} includes {included}"
        for path, parts in graph.items()
        for included in parts
        if is_upward(path, included)
    ]
    rings = [" -> ".join(ring) for ring in circles(graph)]
    with capsys.disabled():
        print(f"\ncsrc: {len(rings)} include circles, {len(upward)} upward includes")
    assert not upward, upward
    assert not rings, rings


def test_circles_are_found():
    graph = {"a": ["b"], "b": ["c"], "c": ["a"], "d": ["a"]}
    assert circles(graph) == [["a", "b", "c", "a"]]


def test_core_recording_and_search_know_nothing_of_python():
    knowing = [
        path for path, text in sources().items() if layer_of(path) in PLAIN and PYTHON.search(text)
    ]
    assert not knowing, knowing
