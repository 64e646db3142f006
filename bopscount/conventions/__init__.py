"""Published ways of counting, as named presets.

Each is one `Convention` with its rule, its source and a worked number; a test evaluates
the number, and docs/conventions.md is generated from the same place.
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
"""Name -> convention, as `convention=` and the command line know them."""


def check_convention(name: str) -> str:
    """`name`, or InputError with the known ones."""
    if not isinstance(name, str) or name not in CONVENTIONS:
        raise unknown_convention(name, CONVENTIONS)
    return name


def convention_value(layers: Records | Any, name: str) -> Value:
    """A network's number in one convention.

    Args:
        layers: What `trace` returned, or a record array of `LAYER_DTYPE`.
        name: One of `CONVENTIONS`.

    Returns:
        An int where the rule is one of integers, else a float; a dict of ints for the
        conventions that never merge their numbers.

    Raises:
        InputError: For a name that is none, or a table that lacks what the rule needs.

    Example: of ReActNet-A, "reactnet" is 87,126,016 OPs.
    """
    from bopscount.records.table import as_records

    check_convention(name)
    return CONVENTIONS[name].evaluate(Facts(as_records(layers))).value  # type: ignore[return-value]


def all_conventions(table: Records) -> ConventionTable:
    """The network under every convention."""
    facts = Facts(table)
    values = []
    for convention in CONVENTIONS.values():
        try:
            values.append(convention.evaluate(facts))
        except InputError as error:
            missing = ConventionValue(convention.name, convention.unit, None, missing=str(error))
            values.append(missing)
    return ConventionTable(values)
