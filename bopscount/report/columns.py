"""Columns of the layer table: headers, raw values and text formats."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bopscount.errors import InputError
from bopscount.records.totals import Totals
from bopscount.report.rows import Row

if TYPE_CHECKING:
    from bopscount.report.data import ReportData

_MIB = 1024**2


@dataclass(frozen=True, slots=True)
class Column:
    """Column of the layer table.

    Attributes:
        raw: Function from a row to its raw value.
        text: Function from a raw value to its text.
        total: Whether the total row has a value.
    """

    raw: Callable[[Row, ReportData], Any]
    text: Callable[[Any], str] = str
    total: bool = False


def megabytes(item: Totals, report: ReportData) -> float:
    """Return the memory(MB) column: MiB of outputs for one sample."""
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


DURATION = "duration[%]"
COLUMNS = {
    "module name": Column(lambda row, _: row.module_path),
    "input shape": Column(lambda row, _: _words(row.input_shape), _shape),
    "output shape": Column(lambda row, _: _words(row.output_shape), _shape),
    "params": Column(lambda row, _: row.params, _plain, True),
    "memory(MB)": Column(megabytes, "{:.2f}".format, True),
    "MAdd": Column(lambda row, _: row.madd, _grouped, True),
    "Flops": Column(lambda row, _: row.flops, _grouped, True),
    "Bops": Column(lambda row, _: row.bops, _grouped, True),
    "MemRead(B)": Column(lambda row, _: row.mem_read, _plain, True),
    "MemWrite(B)": Column(lambda row, _: row.mem_write, _plain, True),
    DURATION: Column(lambda row, _: row.duration or 0.0),
    "MemR+W(B)": Column(lambda row, _: row.mem_read_write, _plain, True),
    "MACs": Column(lambda row, _: row.macs, _grouped, True),
    "ParamMem(B)": Column(lambda row, _: row.param_bits / 8, "{:,.1f}".format, True),
    "W bits": Column(lambda row, _: row.weight_bits, _blank_if_none),
    "A bits": Column(lambda row, _: row.input_bits, _blank_if_none),
    "W bits source": Column(lambda row, _: row.weight_bits_source, _blank_if_none),
    "A bits source": Column(lambda row, _: row.input_bits_source, _blank_if_none),
}
_BITS = ("W bits", "A bits", "W bits source", "A bits source")
_DEFAULT = tuple(COLUMNS)[: tuple(COLUMNS).index("MemR+W(B)") + 1]
_SETS = {"default": _DEFAULT, "bits": _BITS}


def check_columns(columns: Any) -> tuple[str, ...]:
    """Return the names as a tuple; raise InputError unless all of them are known."""
    names = (columns,) if isinstance(columns, str) else tuple(columns)
    for name in names:
        if name not in COLUMNS and name not in _SETS:
            raise InputError(f"columns must be of {', '.join([*_SETS, *COLUMNS])}, got {name!r}")
    if not names:
        raise InputError("columns must name at least one column, got none")
    return names


def shown_headers(report: ReportData) -> list[str]:
    """Return the headers of the table, without duration[%] if the model was not timed."""
    names = [header for name in report.columns for header in _SETS.get(name, (name,))]
    return [name for name in dict.fromkeys(names) if report.timed or name != DURATION]


def raw_columns(report: ReportData) -> dict[str, list[Any]]:
    """Return header -> raw values for the columns of the table."""
    rows = report.rows
    table = {
        header: [COLUMNS[header].raw(row, report) for row in rows]
        for header in shown_headers(report)
    }
    if DURATION in table:
        table[DURATION] = [100 * share for share in shares(rows)]
    return table


def shares(rows: list[Row]) -> list[float]:
    """Return the share of each row in the total duration."""
    durations = [row.duration or 0.0 for row in rows]
    total = sum(durations)
    return [duration / total if total else 0.0 for duration in durations]
