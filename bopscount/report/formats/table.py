"""Text format: the layer table, with totals and footnotes."""

from __future__ import annotations

from bopscount.records.totals import named_costs
from bopscount.report.columns import COLUMNS, DURATION, megabytes, shares, shown_headers
from bopscount.report.data import ReportData
from bopscount.report.formats.format import Format
from bopscount.report.rows import Row

_MAX_NAMED_OPS = 8
_OPS = "reactnet"
"""Default convention of the OPs below the table of a low-bit network."""


def _cells(header: str, report: ReportData, rows: list[Row]) -> list[str]:
    """Return a column as text, with the cell of the total row last."""
    column = COLUMNS[header]
    if header == DURATION:
        return [f"{share:.2%}" for share in [*shares(rows), 1.0 if rows else 0.0]]
    cells = [column.text(column.raw(row, report)) for row in rows]
    memory = sum(row.param_bits for row in rows)
    total = Row(**named_costs(report.totals.costs()), param_bits=memory)
    return [*cells, column.text(column.raw(total, report)) if column.total else ""]


def write(report: ReportData) -> str:
    """Return the layer table with a total row, ruled lines, the summary and footnotes."""
    from tabulate import tabulate

    rows = report.rows
    shown = shown_headers(report)
    numbers = [*map(str, range(len(rows))), "total"]
    cells = [numbers, *(_cells(header, report, rows) for header in shown)]
    table = tabulate(
        list(zip(*cells, strict=True)),
        ["", *shown],
        tablefmt="plain",
        stralign="right",
        disable_numparse=True,
        preserve_whitespace=True,
        colalign=["left", *["right"] * len(shown)],
    )
    width = max(map(len, table.splitlines()))
    totals = report.totals
    summary = [
        "=" * width,
        f"Total params: {totals.params:,}",
        "-" * width,
        f"Total memory: {megabytes(totals, report):.2f}MB",
        f"Total MAdd: {scaled(totals.madd)}MAdd",
        f"Total Flops: {scaled(totals.flops)}Flops",
        f"Total Bops: {scaled(totals.bops)}Bops",
        f"Total MemR+W: {scaled(totals.mem_read_write, 1024)}B",
    ]
    convention = report.shown_convention or (_OPS if report.shows_bits else None)
    if convention is not None:
        summary.append(f"Total {report.conventions()[convention]}")
    if report.shows_bits:
        summary += ["-" * width, str(report.bit_summary)]
    return "\n".join([table, *summary, *footnotes(report)]) + "\n"


def scaled(value: int, step: int = 1000) -> str:
    """Return a number with two decimals and a prefix; `step` is 1000 or 1024.

    Example: 248883190 is "248.88M", 999999 is "1.0M".
    """
    for power, prefix in ((4, "T"), (3, "G"), (2, "M"), (1, "K")):
        # Compare after rounding: 999,999 prints as 1.0M, not as 1000.0K.
        if round(value / step ** (power - 1), 2) >= step:
            return f"{round(value / step**power, 2)}{prefix}"
    return str(value)


def footnotes(report: ReportData) -> list[str]:
    """Return the footnotes: ops left out or uncounted, notes, assumptions and warnings."""
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
    if report.discount_zeros:
        notes.append(
            "MACs and memory of zero weights are left out (discount_zeros); "
            "a convention keeps its own rule."
        )
    notes += report.notes
    notes += [f"Assumed: {sentence}" for sentence in report.assumptions]
    return [*notes, *(f"Warning: {sentence}" for sentence in report.warnings)]


def _named(ops: dict[str, int]) -> str:
    names = [f"{op} ({calls}x)" for op, calls in ops.items()]
    more = len(names) - _MAX_NAMED_OPS
    return ", ".join(names[:_MAX_NAMED_OPS]) + (f" and {more} more" if more > 0 else "")


FORMAT = Format("table", "the layer table", write)
