"""Transfer of measured bit widths to the records of a table."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import TypeVar

import bopscount._core as _core
from bopscount.bits.findings import Finding, Measured, ValueBits
from bopscount.records.table import Records
from bopscount.records.widths import MAX_LOW_BITS

T = TypeVar("T", bound=Records)
_OPERANDS = (("weight", "weights"), ("input", "inputs"))
_MAX_LISTED = 8


def apply_measured(table: T, measured: dict[int, Measured], wanted: Iterable[int]) -> T:
    """Return a copy of the table with measured widths in place of unknown ones.

    Widths that could not be measured are listed in its assumptions, and stated widths that
    the values contradict in its warnings.

    Args:
        table: Traced table; its records are modified in place.
        measured: Measured widths, by record index.
        wanted: Indices of the records whose unknown widths are filled in; the others are only
            checked for values that need more bits than stated.
    """
    taken = set(wanted)
    records, sources = table.records, _core.BIT_SOURCES
    reasons: dict[str, dict[str, None]] = {}
    warnings: list[str] = []
    for index, found in sorted(measured.items()):
        path = table.owner_path(int(records["owner"][index])) or "the model"
        for operand, plural in _OPERANDS:
            seen: ValueBits = getattr(found, operand)
            source = records[f"{operand}_bits_source"]
            if source[index] != sources["floating"]:
                said = int(records[f"{operand}_bits"][index])
                warning = _contradiction(seen, said, _NAMES[int(source[index])])
                if warning:
                    warnings.append(f"{path}: {warning.format(plural)}")
            elif index not in taken:
                continue
            elif seen.finding is Finding.WIDTH:
                records[f"{operand}_bits"][index] = seen.bits
                source[index] = sources["measured"]
            elif _undetermined(seen):
                reasons.setdefault(_undetermined(seen), {})[f"{path} ({plural})"] = None
    unknown = [
        f"No width could be measured of {_listed(list(places))}, whose values {reason}; "
        "counted as full precision."
        for reason, places in reasons.items()
    ]
    return replace(
        table,
        notes=[*table.notes, _RAN_TO_MEASURE],
        assumptions=[*table.assumptions, *unknown],
        warnings=[*table.warnings, *dict.fromkeys(warnings)],
        ran_model=True,
    )


_RAN_TO_MEASURE = (
    "The model was run once for its bit widths; what was measured holds for these weights and "
    "inputs."
)
_NAMES = {number: name for name, number in _core.BIT_SOURCES.items()}
_WHO = {
    "user": "bits= says", "adapter": "its class says", "producer": "what made them says",
    "dtype": "their dtype says",
}  # fmt: skip


def _contradiction(seen: ValueBits, said: int, source: str) -> str:
    """Return a sentence if the values need more bits than stated, else ""."""
    if said > MAX_LOW_BITS:
        return ""
    if seen.finding is Finding.WIDTH and seen.bits > said:
        needs = f"span {seen.levels:,} levels, {seen.bits} bits"
    elif seen.finding is Finding.FLOAT:
        needs = f"have {seen.distinct:,} distinct values or more, on no common step"
    else:
        return ""
    return (
        f"{_WHO[source]} {said} bit{'s' * (said != 1)}, but the {{}} that were "
        f"multiplied {needs}; counted as {said}"
    )


def _undetermined(seen: ValueBits) -> str:
    """Return why a width is unknown; "" if the values are clearly full precision."""
    if seen.finding is Finding.SILENT:
        return "are all the same"
    if seen.finding is Finding.FEW and seen.levels:
        return "are too few for their levels"
    if seen.finding is Finding.FEW:
        return "were not seen"
    if seen.is_code_book:
        return "are a few distinct ones on no common step"
    return ""


def _listed(places: list[str]) -> str:
    more = len(places) - _MAX_LISTED
    return ", ".join(places[:_MAX_LISTED]) + (f" and {more} more" if more > 0 else "")
