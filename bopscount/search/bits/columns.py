"""Assignment of a table's layers to the columns of candidate arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import EllipsisType
from typing import Any

import numpy as np
import numpy.typing as npt

from bopscount.errors import InputError
from bopscount.records.layers import has_macs, mac_layer_paths, mac_owners, matching, why_no_match
from bopscount.records.table import Records

KEPT = -1
"""Column number of a record that keeps its bit widths."""
Groups = Mapping[str, str | Sequence[str] | EllipsisType] | Sequence[str]
"""Name -> glob patterns of paths; a name with `...`, or in a list, is its own pattern."""


@dataclass(frozen=True, slots=True)
class Columns:
    """Columns of candidate arrays.

    Attributes:
        names: Paths of layers, or names of groups.
        of_record: Column of each record of the table, or `KEPT`.
    """

    names: tuple[str, ...]
    of_record: npt.NDArray[np.int32]


def find_columns(table: Records, groups: Groups | None) -> Columns:
    """Return one column per layer with MACs, or per group in the given order.

    Raises:
        InputError: If groups overlap, or a pattern matches no layer.
    """
    owners = dict(mac_owners(table))
    if groups is None:
        column_of = {owner: column for column, owner in enumerate(owners)}
        names = mac_layer_paths(table)
    else:
        patterns = _patterns(groups)
        names = tuple(patterns)
        column_of = {}
        for column, (name, of_group) in enumerate(patterns.items()):
            for pattern in of_group:
                matched = matching(pattern, owners)
                if not matched:
                    why = why_no_match(pattern, owners, table)
                    raise InputError(f"groups[{name!r}]: {pattern!r} {why}")
                for owner in matched:
                    other = column_of.setdefault(owner, column)
                    if other != column:
                        raise InputError(
                            f"groups must not overlap: {owners[owner][1]!r} is in "
                            f"{names[other]!r} and in {name!r}"
                        )
    columns = np.full(len(table.owners), KEPT, np.int32)
    columns[list(column_of)] = list(column_of.values())
    of_record = np.where(has_macs(table), columns[table.records["owner"]], KEPT)
    return Columns(names, of_record.astype(np.int32))


def _patterns(groups: Any) -> dict[str, list[str]]:
    if isinstance(groups, str) or not isinstance(groups, (Mapping, Sequence)):
        raise InputError(
            "groups must be a dict of names to path patterns, or a list of patterns, "
            f"got {groups!r}"
        )
    if not isinstance(groups, Mapping):
        repeated = [name for index, name in enumerate(groups) if name in groups[:index]]
        if repeated:
            raise InputError(f"groups must not overlap: {repeated[0]!r} is there twice")
        groups = dict.fromkeys(groups, ...)
    patterns: dict[str, list[str]] = {}
    for name, given in groups.items():
        if given is ...:
            given = [name]  # noqa: PLW2901
        of_group = [given] if isinstance(given, str) else list(given) if _is_list(given) else []
        if not isinstance(name, str) or not all(isinstance(one, str) for one in of_group):
            raise InputError(f"groups must have names and patterns that are text, got {name!r}")
        if not of_group:
            raise InputError(
                f"groups[{name!r}] must be a path pattern, a list of them, or ..., got {given!r}"
            )
        patterns[name] = of_group
    return patterns


def _is_list(value: Any) -> bool:
    return isinstance(value, Sequence)
