"""Ops without a rule, which make totals lower bounds."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np

import bopscount._core as _core
from bopscount.records.table import Records

_UNCOUNTED = _core.KINDS["uncounted"]


@dataclass(frozen=True, slots=True)
class Uncounted:
    """Op without a rule.

    Attributes:
        op: Torch name of the op.
        module_path: Path of the calling module.
        calls: Number of calls.
    """

    op: str
    module_path: str
    calls: int


def uncounted_ops(table: Records) -> list[Uncounted]:
    """Return the ops without a rule, by op and module."""
    kinds = table.records["kind"]
    found: Counter[tuple[str, str]] = Counter()
    for index in np.flatnonzero(kinds == _UNCOUNTED):
        owner = table.owners[table.records["owner"][index]]
        found[table.ops[index], table.nodes[owner.node].path] += int(table.records["calls"][index])
    return [Uncounted(op, path, calls) for (op, path), calls in found.items()]
