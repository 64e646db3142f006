"""The report as text. Nothing here computes a cost."""

from __future__ import annotations

from typing import Any

from tabulate import tabulate

from bopscount.report import Report, Row
from bopscount.totals import Totals

_MIB = 1024**2
_NUMBERS = {
    "params": lambda row: row.params,
    "memory(MB)": None,
    "MAdd": lambda row: row.madd,
    "Flops": lambda row: row.flops,
    "Bops": lambda row: row.bops,
    "MemRead(B)": lambda row: row.mem_read,
    "MemWrite(B)": lambda row: row.mem_write,
    "duration[%]": None,
    "MemR+W(B)": lambda row: row.mem_read_write,
}
_MAX_NAMED_OPS = 8


def columns(report: Report) -> dict[str, list[Any]]:
    """The table's columns under its headers, with raw numbers."""
    rows = report.rows
    table: dict[str, list[Any]] = {
        "module name": [row.module_path for row in rows],
        "input shape": [" ".join(map(str, row.input_shape)) for row in rows],
        "output shape": [" ".join(map(str, row.output_shape)) for row in rows],
    }
    for header, value in _NUMBERS.items():
        if value is not None:
            table[header] = [value(row) for row in rows]
        elif header == "memory(MB)":
            table[header] = [_megabytes(row, report) for row in rows]
        elif report.timed:
            table[header] = [100 * share for share in _shares(rows)]
    return table


def _megabytes(item: Totals, report: Report) -> float:
    return item.memory_bytes / report.batch_size / _MIB


def _shares(rows: list[Row]) -> list[float]:
    """Each row's part of the timed total."""
    durations = [row.duration or 0.0 for row in rows]
    total = sum(durations)
    return [duration / total if total else 0.0 for duration in durations]


def _cells(item: Totals, report: Report, share: float) -> list[str]:
    cells = [
        f"{item.params}.0",
        f"{_megabytes(item, report):.2f}",
        f"{item.madd:,}.0",
        f"{item.flops:,}.0",
        f"{item.bops:,}.0",
        f"{item.mem_read}.0",
        f"{item.mem_write}.0",
        f"{item.mem_read_write}.0",
    ]
    if report.timed:
        cells.insert(-1, f"{share:.2%}")
    return cells


def _shape(shape: tuple[int, ...]) -> str:
    return " ".join(f"{size:>3d}" for size in shape)


def render(report: Report) -> str:
    """The layer table, a total row, rules, the six summary lines, and footnotes."""
    rows = report.rows
    lines = [
        [str(index), row.module_path, _shape(row.input_shape), _shape(row.output_shape),
         *_cells(row, report, share)]
        for index, (row, share) in enumerate(zip(rows, _shares(rows), strict=True))
    ]  # fmt: skip
    lines.append(["total", "", "", "", *_cells(report.totals, report, 1.0 if rows else 0.0)])
    headers = ["", "module name", "input shape", "output shape"]
    headers += [name for name in _NUMBERS if report.timed or name != "duration[%]"]
    table = tabulate(
        lines,
        headers,
        tablefmt="plain",
        stralign="right",
        disable_numparse=True,
        preserve_whitespace=True,
        colalign=["left", *["right"] * (len(headers) - 1)],
    )
    width = max(map(len, table.splitlines()))
    totals = report.totals
    summary = [
        "=" * width,
        f"Total params: {totals.params:,}",
        "-" * width,
        f"Total memory: {_megabytes(totals, report):.2f}MB",
        f"Total MAdd: {scaled(totals.madd)}MAdd",
        f"Total Flops: {scaled(totals.flops)}Flops",
        f"Total Bops: {scaled(totals.bops)}Bops",
        f"Total MemR+W: {scaled(totals.mem_read_write, 1024)}B",
    ]
    return "\n".join([table, *summary, *footnotes(report)]) + "\n"


def scaled(value: int, step: int = 1000) -> str:
    """Two decimals and a prefix: 248883190 is "248.88M"; steps of 1000 or 1024."""
    for power, prefix in ((4, "T"), (3, "G"), (2, "M"), (1, "K")):
        if value >= step**power:
            return f"{round(value / step**power, 2)}{prefix}"
    return str(value)


def footnotes(report: Report) -> list[str]:
    """What the numbers leave out, and what else the reader should know."""
    notes = []
    if report.left_out:
        notes.append(
            f"Counted as nothing under {report.rules} rules, being calls outside leaf modules: "
            f"{_named(report.left_out)}; rules='full' counts them."
        )
    if report.uncounted:
        ops: dict[str, int] = {}
        for item in report.uncounted:
            where = f"{item.op} in {item.module_path or 'the model'}"
            ops[where] = ops.get(where, 0) + item.calls
        notes.append(f"No rule, so the numbers are a lower bound: {_named(ops)}.")
    return [*notes, *report.notes]


def _named(ops: dict[str, int]) -> str:
    names = [f"{op} ({calls}x)" for op, calls in ops.items()]
    more = len(names) - _MAX_NAMED_OPS
    return ", ".join(names[:_MAX_NAMED_OPS]) + (f" and {more} more" if more > 0 else "")
