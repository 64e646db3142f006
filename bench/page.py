"""Writes docs/benchmarks.md and its plots from docs/benchmarks/results.json.

`python bench/page.py` does it again without measuring. Plots need matplotlib.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import machine
from rows import HEADINGS, Curve, Row

DOCS = Path(__file__).resolve().parent.parent / "docs"
PAGE = DOCS / "benchmarks.md"
FOLDER = DOCS / "benchmarks"
RESULTS = FOLDER / "results.json"
INCHES = (6.0, 3.6)
OURS, OTHERS = "#00798c", ("#d1495b", "#7d7d7d", "#edae49", "#66a182")
INTRODUCTION = """# Benchmarks

<!-- Written by `python bench`, from benchmarks/results.json. -->

`python bench` measures all of this; every answer is checked before it is timed. What is compared
takes turns in one run, and the best time of each counts, for the machine is shared: ratios mean
more than times. Goals are what must be reached, aims what should.
"""


def about(text: str) -> str:
    """A benchmark's docstring after the title, as one paragraph a paragraph."""
    paragraphs = [" ".join(part.split()) for part in text.partition("\n")[2].split("\n\n")]
    return "\n\n".join(part for part in paragraphs if part and not part.startswith("`python"))


def write_results(file: Path, measured: dict[str, Any], order: Iterable[str]) -> None:
    """As JSON; what the file has of `order` and was not measured stays."""
    known = json.loads(file.read_text()) if file.exists() else {}
    known |= measured
    ordered = {name: known[name] for name in order if name in known}
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(ordered, indent=1, ensure_ascii=False) + "\n")


def write() -> None:
    """The page and its plots."""
    results = json.loads(RESULTS.read_text())
    PAGE.write_text(text(results))
    for old in FOLDER.glob("*.svg"):
        old.unlink()
    for name, curve in curves(results):
        plot(curve, FOLDER / f"{name}.svg")


def text(results: dict[str, Any]) -> str:
    """The whole page."""
    sections = []
    plots = dict(curves(results))
    for name, found in results.items():
        rows = [Row(**row) for row in found["rows"]]
        parts = [f"## {found['title']}", found["about"], _table(rows) if rows else ""]
        parts += [
            f"![{curve.title}](benchmarks/{plot}.svg)"
            for plot, curve in plots.items()
            if plot.startswith(f"{name}-")
        ]
        parts += [f"{note[0].upper()}{note[1:]}." for note in found["notes"]]
        parts.append(f"Measured {machine.text(found)}.")
        sections.append("\n\n".join(part for part in parts if part))
    return "\n\n".join([INTRODUCTION.rstrip(), *sections]) + "\n"


def curves(results: dict[str, Any]) -> Iterator[tuple[str, Curve]]:
    """Every curve under the name of its file."""
    for name, found in results.items():
        for fields in found["curves"]:
            curve = Curve(**fields)
            yield f"{name}-{re.sub('[^a-z0-9]+', '-', curve.title.lower())}", curve


def _table(rows: list[Row]) -> str:
    lines = [HEADINGS, ("---", *["---:"] * (len(HEADINGS) - 1))]
    for row in rows:
        name, *cells = row.cells()
        indent = len(name) - len(name.lstrip())
        lines.append(("&nbsp;" * indent + name.lstrip(), *cells))
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def plot(curve: Curve, file: Path) -> None:
    import matplotlib as mpl

    mpl.use("agg")
    # The same small file from the same numbers.
    mpl.rcParams.update({"svg.hashsalt": "bopscount", "svg.fonttype": "none"})
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=INCHES, layout="constrained")
    style, others = "o-" if curve.joined else "o", iter(OTHERS)
    for name, points in curve.lines.items():
        colour = OURS if name.startswith("bopscount") else next(others)
        axes.plot(*zip(*points, strict=True), style, color=colour, markersize=3.5, label=name)
    axes.set(xlabel=curve.x, ylabel=curve.y, title=curve.title)
    if curve.logarithmic:
        axes.set(xscale="log", yscale="log")
    else:
        axes.set_ylim(bottom=0)
    axes.grid(visible=True, which="major", alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    figure.savefig(file, metadata={"Date": None})
    plt.close(figure)


if __name__ == "__main__":
    write()
