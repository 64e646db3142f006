"""Published counting conventions, as named presets.

Each is a `Convention` with its rule, its source and a worked number; a test evaluates the
number, and docs/conventions.md is generated from these objects.

Imports the compiled core, `records` and `errors`; no torch.
"""

from __future__ import annotations

from typing import Any

from bopscount.conventions.convention import (
    Convention,
    ConventionValue,
    Value,
    unknown_convention,
)
from bopscount.conventions.facts import Facts
from bopscount.conventions.low_bit import LOW_BIT
from bopscount.conventions.operations import OPERATIONS
from bopscount.conventions.side_by_side import ConventionTable
from bopscount.conventions.sizes import SIZES
from bopscount.errors import InputError
from bopscount.records.table import Records

__all__ = [
    "CONVENTIONS",
    "Convention",
    "ConventionTable",
    "ConventionValue",
    "all_conventions",
    "check_convention",
    "convention_value",
]

CONVENTIONS: dict[str, Convention] = {
    convention.name: convention for convention in (*LOW_BIT, *OPERATIONS, *SIZES)
}
"""Name -> convention, for `convention=` and the command line."""


def check_convention(name: str) -> str:
    """Return `name`; raise InputError unless it is a known convention."""
    if not isinstance(name, str) or name not in CONVENTIONS:
        raise unknown_convention(name, CONVENTIONS)
    return name


def convention_value(layers: Records | Any, name: str) -> Value:
    """Return the value of a network in one convention.

    Args:
        layers: Layer table from `trace`, or a record array of `LAYER_DTYPE`.
        name: One of `CONVENTIONS`.

    Returns:
        An int if the rule is exact, else a float; a dict of ints for conventions that never
        merge their numbers.

    Raises:
        InputError: If the name is unknown, or the table lacks data that the rule needs.

    Example: ReActNet-A has 87,126,016 OPs in "reactnet".
    """
    from bopscount.records.table import as_records

    check_convention(name)
    return CONVENTIONS[name].evaluate(Facts(as_records(layers))).value  # type: ignore[return-value]


def all_conventions(table: Records) -> ConventionTable:
    """Return the values of a network in all conventions."""
    facts = Facts(table)
    values = []
    for convention in CONVENTIONS.values():
        try:
            values.append(convention.evaluate(facts))
        except InputError as error:
            missing = ConventionValue(convention.name, convention.unit, None, missing=str(error))
            values.append(missing)
    return ConventionTable(values)
