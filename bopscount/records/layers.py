"""Layers with MACs, and their selection by path patterns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase

import numpy as np
import numpy.typing as npt

from bopscount.records.kinds import MAC_KINDS
from bopscount.records.table import Records


def has_macs(records: Records) -> npt.NDArray[np.bool_]:
    """Return a mask of the records whose kinds have MACs."""
    mask: npt.NDArray[np.bool_] = MAC_KINDS[records.records["kind"]]
    return mask


def mac_owners(table: Records) -> Iterator[tuple[int, tuple[str, str]]]:
    """Yield every owner of MAC ops, with its module path and its row path."""
    for owner in np.unique(table.records["owner"][has_macs(table)]).tolist():
        yield owner, (table.nodes[table.owners[owner].node].path, table.owner_path(owner))


def mac_layer_paths(table: Records) -> tuple[str, ...]:
    """Return the path of every row that has MACs, in row order."""
    return tuple(row for _, (_, row) in mac_owners(table))


def matching(pattern: str, owners: Mapping[int, tuple[str, str]]) -> list[int]:
    """Return the owners (of `mac_owners`) with a path that matches the pattern."""
    return [
        owner
        for owner, names in owners.items()
        if any(fnmatchcase(name, pattern) for name in names)
    ]


def why_no_match(pattern: str, owners: Mapping[int, tuple[str, str]], table: Records) -> str:
    """Return the error text for a pattern that matches no owner."""
    examples = ", ".join(repr(row) for _, row in list(owners.values())[:3]) or "none at all"
    if any(fnmatchcase(node.path, pattern) for node in table.nodes):
        return (
            "matches only modules that run no convolution or matrix product themselves; "
            f"a pattern such as {pattern + '.*'!r} matches those inside"
        )
    return f"matches no layer; layers with MACs are {examples} and so on"
