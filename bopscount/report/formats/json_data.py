"""JSON format of a report, and its reader."""

from __future__ import annotations

import json
from dataclasses import asdict, fields
from typing import Any

from bopscount.conventions import ConventionTable, ConventionValue
from bopscount.errors import InputError
from bopscount.records.modules import Node
from bopscount.records.totals import METRIC_NAMES, Totals
from bopscount.records.uncounted import Uncounted
from bopscount.report.bit_summary import BitSummary
from bopscount.report.data import ReportData
from bopscount.report.formats.format import Format
from bopscount.report.rows import Row

SCHEMA_VERSION = 1
_NEW_IN_ROWS = {"param_bits": 0, "weight_bits_source": None, "input_bits_source": None}
"""Fields that rows of older data lack -> their default values."""


def write(report: ReportData) -> str:
    """Return `report` as JSON text."""
    return json.dumps(to_dict(report), indent=1) + "\n"


FORMAT = Format("json", "the report as JSON", write)


def to_dict(report: ReportData) -> dict[str, Any]:
    """Return plain data for JSON; `report_fields` reads it back."""
    return {
        "schema_version": SCHEMA_VERSION,
        "rules": report.rules,
        "query_granularity": report.query_granularity,
        "batch_size": report.batch_size,
        "status": report.status,
        "ran_model": report.ran_model,
        "totals": _plain(report.totals),
        "rows": [_plain(row) for row in report.rows],
        "layers": [_plain(row) for row in report.layers],
        "nodes": [asdict(node) for node in report.nodes],
        "kinds": {kind: _plain(total) for kind, total in report.kinds.items()},
        "uncounted": [asdict(op) for op in report.uncounted],
        "left_out": dict(report.left_out),
        "notes": list(report.notes),
        "assumptions": list(report.assumptions),
        "warnings": list(report.warnings),
        "columns": list(report.columns),
        "shown_convention": report.shown_convention,
        "discount_zeros": report.discount_zeros,
        **_bits_to_dict(report),
    }


def _bits_to_dict(report: ReportData) -> dict[str, Any]:
    if not report.knows_bits:
        return {}
    return {
        "shows_bits": report.shows_bits,
        "bit_summary": report.bit_summary.to_dict(),
        "conventions": [value.to_dict() for value in report.conventions()],
    }


def report_fields(data: Any) -> dict[str, Any]:
    """Return the fields of the report that `to_dict` wrote.

    Raises:
        InputError: If the schema version differs, or the data is malformed.
    """
    version = data.get("schema_version") if isinstance(data, dict) else None
    if version != SCHEMA_VERSION:
        raise InputError(
            f"schema_version must be {SCHEMA_VERSION}, got {version!r}; "
            "write the report again with this version of bopscount"
        )
    try:
        return dict(
            layers=[_row(row) for row in data["layers"]],
            totals=_totals(data["totals"]),
            nodes=[Node(**node) for node in data["nodes"]],
            rules=data["rules"],
            query_granularity=data["query_granularity"],
            batch_size=data["batch_size"],
            kinds={kind: _totals(total) for kind, total in data["kinds"].items()},
            uncounted=[Uncounted(**op) for op in data["uncounted"]],
            left_out=dict(data["left_out"]),
            ran_model=data["ran_model"],
            notes=list(data["notes"]),
            assumptions=list(data.get("assumptions", ())),
            warnings=list(data.get("warnings", ())),
            columns=tuple(data.get("columns", ("default",))),
            shown_convention=data.get("shown_convention"),
            discount_zeros=data.get("discount_zeros", False),
            **_bits_from_dict(data),
        )
    except KeyError as error:
        raise InputError(f"data is no report: {error} is missing") from error
    except (TypeError, ValueError, AttributeError) as error:
        raise InputError(f"data is no report: {error}") from error


def _bits_from_dict(data: dict[str, Any]) -> dict[str, Any]:
    """Return the fields on bit widths; none if an older version wrote the data."""
    if "bit_summary" not in data:
        return {}
    values = [ConventionValue.from_dict(value) for value in data["conventions"]]
    return {
        "_shows_bits": data["shows_bits"],
        "_bits": BitSummary.from_dict(data["bit_summary"]),
        "_conventions": ConventionTable(values),
    }


def _plain(totals: Totals) -> dict[str, Any]:
    values = {item.name: getattr(totals, item.name) for item in fields(totals)}
    for name, value in values.items():
        if isinstance(value, tuple):
            values[name] = list(value)
    return {**values, "ops": totals.ops}


def _totals(data: dict[str, Any]) -> Totals:
    return Totals(**{name: int(data[name]) for name in METRIC_NAMES})


def _row(data: dict[str, Any]) -> Row:
    known = {**_NEW_IN_ROWS, **data}
    values = {item.name: known[item.name] for item in fields(Row)}
    for name in ("input_shape", "output_shape"):
        values[name] = tuple(values[name])
    return Row(**values)
