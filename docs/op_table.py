"""Writes the tables of op kinds into docs/counting.md and README.md.

`python docs/op_table.py` writes; with `--check` it only says which file is out of date.
"""

from __future__ import annotations

import sys
from pathlib import Path

from bopscount._core import OP_TABLE

ROOT = Path(__file__).resolve().parent.parent
_RESERVED = "invalid"
_ALL_ZERO = "0"


def _table(headers: list[str], rows: list[list[str]]) -> str:
    lines = [headers, ["---"] * len(headers), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def op_table() -> str:
    """Every op kind under the complete rules."""
    rows = [
        [
            f"`{row['name']}`",
            row["doc"].replace("|", "\\|"),
            _formula(row["macs"]) if row["macs"] else "",
            _formula(row["full_flops"]),
            _formula(row["full_madd"]),
            row["source"],
        ]
        for row in OP_TABLE
        if row["name"] != _RESERVED
    ]
    return _table(["kind", "what it is", "MACs", "Flops", "MAdd", "source of Flops and MAdd"], rows)


def torchstat_table() -> str:
    """The kinds that the torchstat rules count otherwise than the complete ones."""
    columns = ("torchstat_flops", "torchstat_madd", "torchstat_read", "torchstat_write")
    rows = []
    for row in OP_TABLE:
        formulas = [row[column] for column in columns]
        if not any(formulas) or set(formulas) == {_ALL_ZERO}:
            continue
        complete = [row["full_flops"], row["full_madd"], "", ""]
        cells = [
            _formula(own or fallback) for own, fallback in zip(formulas, complete, strict=True)
        ]
        rows.append([f"`{row['name']}`", *(cell or "complete rule" for cell in cells)])
    zeros = [
        f"`{row['name']}`" for row in OP_TABLE if {row[column] for column in columns} == {_ALL_ZERO}
    ]
    table = _table(["kind", "Flops", "MAdd", "MemRead, elements", "MemWrite, elements"], rows)
    return f"{table}\n\nZero in all of these columns: {', '.join(zeros)}."


def _formula(text: str) -> str:
    """Typeset so that a `*` is no emphasis."""
    return f"`{text}`" if text else ""


TABLES = {
    ROOT / "docs" / "counting.md": ("op table", op_table),
    ROOT / "README.md": ("torchstat table", torchstat_table),
}


def updated(text: str, marker: str, table: str) -> str:
    """`text` with `table` between its two markers."""
    start, end = f"<!-- {marker} -->", f"<!-- /{marker} -->"
    head, found, rest = text.partition(start)
    _, closed, tail = rest.partition(end)
    if not (found and closed):
        raise ValueError(f"no {start} ... {end}")
    return f"{head}{start}\n{table}\n{end}{tail}"


def main(arguments: list[str]) -> int:
    """Exit code 1 if `--check` found a file that is out of date."""
    stale = []
    for path, (marker, make) in TABLES.items():
        text = path.read_text(encoding="utf-8")
        new = updated(text, marker, make())
        if new == text:
            continue
        stale.append(path.name)
        if "--check" not in arguments:
            path.write_text(new, encoding="utf-8")
    if "--check" in arguments and stale:
        sys.stderr.write(f"out of date: {', '.join(stale)}; run python docs/op_table.py\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
