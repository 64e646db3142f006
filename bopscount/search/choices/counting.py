"""Counts of a choice table's candidates by the core."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

import bopscount._core as _core
from bopscount.errors import InputError
from bopscount.search.choices.slots import Slots

_BLOCK = 1 << 16
"""Candidates per block of work in Python."""
_HALF = 32


class Counter:
    """Core tables of some slots, built on first use."""

    def __init__(self, metrics: Sequence[str], slots: Slots) -> None:
        self._metrics, self._slots = metrics, slots
        self._tables: dict[tuple[str, ...], _core.ChoiceTable] = {}

    def count(
        self,
        rows: npt.NDArray[Any],
        names: tuple[str, ...],
        n_threads: int,
        arrays: list[npt.NDArray[np.int64]],
    ) -> None:
        """Fill `arrays`, one per metric."""
        table = self._tables.get(names)
        if table is None:
            costs = np.stack([self._column(name) for name in names], axis=-1)
            table = self._tables[names] = self.make_table(costs)
        try:
            table.count(rows, arrays, n_threads)
        except OverflowError as error:
            name, candidate = names[error.metric], error.candidate  # type: ignore[attr-defined]
            raise OverflowError(
                f"{name} of candidate {candidate} is over 2**63 - 1; python_ints=True has room "
                "for it"
            ) from None
        except (TypeError, ValueError) as error:
            raise InputError(self._explain(error)) from None

    def count_python_ints(
        self, rows: npt.NDArray[Any], name: str, n_threads: int
    ) -> npt.NDArray[np.object_]:
        """Return the sums of one metric, from those of the costs' upper and lower 32 bits."""
        column = self._column(name)
        table = self.make_table(
            np.stack([column >> _HALF, column & ((1 << _HALF) - 1)], axis=-1),
        )
        found = np.empty(len(rows), object)
        for start in range(0, len(rows), _BLOCK):
            block = rows[start : start + _BLOCK]
            high, low = (np.empty(len(block), np.int64) for _ in range(2))
            try:
                table.count(block, [high, low], n_threads)
            except ValueError as error:
                raise InputError(self._explain(error, start)) from None
            found[start : start + _BLOCK] = (high.astype(object) << _HALF) + low
        return found

    def make_table(self, costs: npt.NDArray[np.int64]) -> _core.ChoiceTable:
        """Return the core's table for costs of shape (n_rows, n_metrics), slot after slot."""
        return _core.ChoiceTable(
            np.array([len(slot.next_states) for slot in self._slots], np.int64),
            np.array([slot.n_alternatives for slot in self._slots], np.int64),
            np.concatenate([slot.next_states.ravel() for slot in self._slots]),
            np.ascontiguousarray(costs).ravel(),
        )

    def _column(self, metric: str) -> npt.NDArray[np.int64]:
        index = self._metrics.index(metric)
        return np.concatenate([slot.costs[..., index].ravel() for slot in self._slots])

    def _explain(self, error: Exception, first_candidate: int = 0) -> str:
        """Return the text of an error of the core, in terms of the slots."""
        where = vars(error)
        if "slot" not in where:
            return str(error)
        slot, choice = self._slots[where["slot"]], where["choice"]
        begin = (
            f"choices has {choice} for candidate {where['candidate'] + first_candidate}, slot "
            f"{where['slot']}"
        )
        if where["state"] < 0:
            return f"{begin}, which has alternatives 0 to {slot.n_alternatives - 1}"
        reason = slot.reasons.get((where["state"], choice), "it leads nowhere")
        return f"{begin}, which cannot take {slot.inputs[where['state']]}: {reason}"


def check_rows(choices: Any, n_slots: int) -> npt.NDArray[Any]:
    """Return `choices` with two dimensions; raise InputError for anything else."""
    rows: npt.NDArray[Any] = choices
    if type(rows) is not np.ndarray:
        try:
            rows = np.asarray(choices)
        except (TypeError, ValueError) as error:
            raise InputError(
                f"choices must be an integer array of shape (n_candidates, {n_slots}), "
                f"got {type(choices).__name__}: {error}"
            ) from None
    if rows.ndim == 1:
        rows = rows[None]
    if rows.ndim != 2 or rows.shape[1] != n_slots:  # noqa: PLR2004
        raise InputError(
            f"choices must have shape (n_candidates, {n_slots}), a column a slot, "
            f"got {np.shape(choices)}"
        )
    if rows.dtype.kind not in "iu":
        raise InputError(f"choices must be integers, got dtype {rows.dtype}")
    return rows
