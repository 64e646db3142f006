"""Writes docs/figures.md: published figures beside ours, with convention and source.

`python docs/figures.py` writes; with `--check` it only says whether the page is out of
date. The records are tests/golden/published.json; ours are computed anew.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))
from support.published import FIGURES, NEEDS_WEIGHTS, ours  # noqa: E402 - found by the line above

PAGE = ROOT / "docs" / "figures.md"
NOT_CITED = "recalled-unverified"
"""`published_kind` of what was written down from memory: checked in tests, cited nowhere."""
_RECALLED = "recalled"
_TEXT = """\
# Published figures

<!-- Written by python docs/figures.py; the records are in tests/golden/published.json. -->

What papers and public code say of their networks, and what bopscount says of the same networks,
in own code: those of `bopscount --list`, and those of tests/support/networks.
`tests/conventions/test_published.py` checks every line. The conventions are in
docs/conventions.md; where none stands, the number is a count that needs none, or another tool's
own. "Published" has the digits that were printed: rounded,
unless the last column says truncated; "none" marks figures that nobody published, which were
computed independently. A figure is in the unit in which it was published, sizes in MiB.

{table}

Why figures differ, or need a word:

- HAWQ's ResNet50 at 8 bits: 24.5 was published, 0.7 % more than its convolution and linear weights
  take, which is what its other sizes are.
- HAWQ's ResNet18 at 4 bits: the digits published are reproduced; the independent computation that
  comes with the records, 34.714386432, lacks 512 x 64 BOPs, one class of the classifier.
- QONNX's figures for trained weights leave out zero weights (`sparse_product`). The weights are not
  here, so the network's dense figure stands in their place.
- thop and ptflops see layers by their class, so that they miss binary convolutions; each prices
  norms, activations and pools in its own way, ptflops' newer release some of them twice.
"""


def page() -> str:
    """The whole page."""
    headers = ["network", "input", "metric", "convention", "published", "ours", "source", "status"]
    rows = [
        _row(number)
        for number, figure in enumerate(FIGURES)
        if figure["published_kind"] != NOT_CITED
    ]
    lines = [headers, ["---"] * len(headers), *rows]
    table = "\n".join("| " + " | ".join(cells) + " |" for cells in lines)
    return _TEXT.format(table=table)


def _row(number: int) -> list[str]:
    figure, own = FIGURES[number], ours(number)
    needs_weights = figure["status"] == NEEDS_WEIGHTS
    convention = "sparse_product" if needs_weights else own.convention
    config = figure["config"].replace("|", "\\|")
    return [
        f"{figure['network']}: {config}",
        figure["input"],
        figure["metric"],
        f"`{convention}`" if convention else "",
        _published(figure),
        _in_unit(own.value, figure),
        _source(figure),
        "needs the trained weights; ours is dense" if needs_weights else figure["status"],
    ]


def _published(figure: dict[str, Any]) -> str:
    value = figure.get("published_value", "none")
    return str(figure.get("published_text", f"{value:,}" if isinstance(value, int) else value))


def _in_unit(value: Any, figure: dict[str, Any]) -> str:
    """As exact as it is: integers in full, or over the scale of the publication."""
    if isinstance(value, dict):
        return "; ".join(f"{name}: {part:,}" for name, part in value.items())
    if isinstance(value, list):
        return "; ".join(f"{part:,}" for part in value)
    scale = figure.get("scale", 1)
    if scale != 1:
        return f"{value / scale:,.{len(str(scale)) - 1}f}"
    return f"{value:,}" if isinstance(value, int) else f"{value:,.9f}".rstrip("0")


def _source(figure: dict[str, Any]) -> str:
    """Without what was recalled and not read."""
    parts = figure["source"].split("; ")
    return "; ".join(part for part in parts if _RECALLED not in part)


def main(arguments: list[str]) -> int:
    """Exit code 1 if `--check` found the page out of date."""
    if PAGE.exists() and PAGE.read_text(encoding="utf-8") == page():
        return 0
    if "--check" in arguments:
        sys.stderr.write("out of date: figures.md; run python docs/figures.py\n")
        return 1
    PAGE.write_text(page(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
