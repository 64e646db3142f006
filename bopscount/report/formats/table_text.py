"""The report as text. Nothing here computes a cost."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from bopscount.errors import InputError
from bopscount.records.totals import Totals, named_costs
from bopscount.report.report import Report, Row

_MIB = 1024**2
_MAX_NAMED_OPS = 8
_OPS = "reactnet"
"""Whose OPs stand under the table of a low-bit network, if no convention was asked for."""


@dataclass(frozen=True, slots=True)
class _Column:
    """One column: its raw value, how it is printed, and what the total row says."""

    raw: Callable[[Row, Report], Any]
    text: Callable[[Any], str] = str
    total: bool = False


def _megabytes(item: Totals, report: Report) -> float:
    return item.memory_bytes / report.batch_size / _MIB


def _words(shape: tuple[int, ...]) -> str:
    return " ".join(map(str, shape))


def _shape(words: str) -> str:
    return " ".join(f"{size:>3s}" for size in words.split())


def _plain(value: int) -> str:
    return f"{value}.0"


def _grouped(value: int) -> str:
    return f"{value:,}.0"


def _blank_if_none(value: object) -> str:
    return "" if value is None else str(value)


_DURATION = "duration[%]"
_COLUMNS = {
    "module name": _Column(lambda row, _: row.module_path),
    "input shape": _Column(lambda row, _: _words(row.input_shape), _shape),
    "output shape": _Column(lambda row, _: _words(row.output_shape), _shape),
    "params": _Column(lambda row, _: row.params, _plain, True),
    "memory(MB)": _Column(_megabytes, "{:.2f}".format, True),
    "MAdd": _Column(lambda row, _: row.madd, _grouped, True),
    "Flops": _Column(lambda row, _: row.flops, _grouped, True),
    "Bops": _Column(lambda row, _: row.bops, _grouped, True),
    "MemRead(B)": _Column(lambda row, _: row.mem_read, _plain, True),
    "MemWrite(B)": _Column(lambda row, _: row.mem_write, _plain, True),
    _DURATION: _Column(lambda row, _: row.duration or 0.0),
    "MemR+W(B)": _Column(lambda row, _: row.mem_read_write, _plain, True),
    "MACs": _Column(lambda row, _: row.macs, _grouped, True),
    "ParamMem(B)": _Column(lambda row, _: row.param_bits / 8, "{:,.1f}".format, True),
    "W bits": _Column(lambda row, _: row.weight_bits, _blank_if_none),
    "A bits": _Column(lambda row, _: row.input_bits, _blank_if_none),
    "W bits source": _Column(lambda row, _: row.weight_bits_source, _blank_if_none),
    "A bits source": _Column(lambda row, _: row.input_bits_source, _blank_if_none),
}
_BITS = ("W bits", "A bits", "W bits source", "A bits source")
_DEFAULT = tuple(_COLUMNS)[: tuple(_COLUMNS).index("MemR+W(B)") + 1]
_SETS = {"default": _DEFAULT, "bits": _BITS}


def check_columns(columns: Any) -> tuple[str, ...]:
    """The names as a tuple, or InputError with the known ones."""
    names = (columns,) if isinstance(columns, str) else tuple(columns)
    for name in names:
        if name not in _COLUMNS and name not in _SETS:
            raise InputError(f"columns must be of {', '.join([*_SETS, *_COLUMNS])}, got {name!r}")
    if not names:
        raise InputError("columns must name at least one column, got none")
    return names


def _shown(report: Report) -> list[str]:
    """The headers of the table; no duration where there is none."""
    names = [header for name in report.columns for header in _SETS.get(name, (name,))]
    return [name for name in dict.fromkeys(names) if report.timed or name != _DURATION]


def columns(report: Report) -> dict[str, list[Any]]:
    """The table's columns under its headers, with raw numbers."""
    rows = report.rows
    table = {
        header: [_COLUMNS[header].raw(row, report) for row in rows] for header in _shown(report)
    }
    if _DURATION in table:
        table[_DURATION] = [100 * share for share in _shares(rows)]
    return table


def _shares(rows: list[Row]) -> list[float]:
    """Each row's part of the timed total."""
    durations = [row.duration or 0.0 for row in rows]
    total = sum(durations)
    return [duration / total if total else 0.0 for duration in durations]


def _cells(header: str, report: Report, rows: list[Row]) -> list[str]:
    """A column as text, the total row's cell last."""
    column = _COLUMNS[header]
    if header == _DURATION:
        return [f"{share:.2%}" for share in [*_shares(rows), 1.0 if rows else 0.0]]
    cells = [column.text(column.raw(row, report)) for row in rows]
    memory = sum(row.param_bits for row in rows)
    total = Row(**named_costs(report.totals.costs()), param_bits=memory)
    return [*cells, column.text(column.raw(total, report)) if column.total else ""]


def render(report: Report) -> str:
    """The layer table, a total row, rules, the six summary lines, and footnotes."""
    from tabulate import tabulate

    rows = report.rows
    shown = _shown(report)
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
        f"Total memory: {_megabytes(totals, report):.2f}MB",
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
    """Round to two decimals with a prefix; `step` is 1000 or 1024.

    Example: 248883190 is "248.88M", 999999 is "1.0M".
    """
    for power, prefix in ((4, "T"), (3, "G"), (2, "M"), (1, "K")):
        # Rounded first: what would be printed as a whole step of the prefix below has this one.
        if round(value / step ** (power - 1), 2) >= step:
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
