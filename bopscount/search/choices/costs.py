"""Choice tables from plain numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from bopscount.errors import InputError
from bopscount.search.choices.slots import ChoiceSlot

_LARGEST = np.iinfo(np.int64).max


def slots_from_costs(costs: Mapping[str, Any]) -> list[ChoiceSlot]:
    """Return slots of one state each; see `ChoiceTable.from_costs`."""
    if not isinstance(costs, Mapping) or not costs:
        raise InputError(
            "costs must be a dict of metric -> costs by slot and alternative, such as "
            f'{{"macs": [[1, 2], [3, 4, 5]]}}, got {costs!r}'
        )
    for metric in costs:
        if not isinstance(metric, str) or not metric.isidentifier() or metric == "ops":
            raise InputError(
                'metrics must be names such as "macs" ("ops" is computed from "ops_x64"), '
                f"got {metric!r}"
            )
    by_metric = {metric: _by_slot(metric, values) for metric, values in costs.items()}
    first, lengths = next((metric, list(map(len, rows))) for metric, rows in by_metric.items())
    for metric, rows in by_metric.items():
        if list(map(len, rows)) != lengths:
            raise InputError(
                f"costs[{metric!r}] must have as many slots and alternatives as costs[{first!r}], "
                f"{lengths}, got {list(map(len, rows))}"
            )
    return [
        ChoiceSlot(
            np.array(
                [list(zip(*(rows[slot] for rows in by_metric.values()), strict=True))], np.int64
            ),
            np.zeros((1, length), np.int32),
        )
        for slot, length in enumerate(lengths)
    ]


def _by_slot(metric: str, values: Any) -> list[list[int]]:
    if not isinstance(values, (Sequence, np.ndarray)) or isinstance(values, str) or not len(values):
        raise InputError(f"costs[{metric!r}] must be costs by slot and alternative, got {values!r}")
    rows = []
    for index, row in enumerate(values):
        if (
            not isinstance(row, (Sequence, np.ndarray))
            or isinstance(row, str)
            or not np.ndim(row) == 1
            or not len(row)
        ):
            raise InputError(
                f"costs[{metric!r}] of slot {index} must be one integer an alternative, got {row!r}"
            )
        rows.append([_cost(metric, index, choice, cost) for choice, cost in enumerate(row)])
    return rows


def _cost(metric: str, slot: int, choice: int, cost: Any) -> int:
    whole = isinstance(cost, (int, np.integer)) and not isinstance(cost, bool)
    if not whole or not 0 <= cost <= _LARGEST:
        raise InputError(
            f"costs[{metric!r}] must be integers from 0 to 2**63 - 1, got {cost!r} for slot "
            f"{slot}, alternative {choice}"
        )
    return int(cost)
