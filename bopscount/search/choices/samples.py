"""Uniform samples of the candidates within budgets.

The slack of a choice is its extra cost over the cheapest way to continue; a candidate is within
a budget if its slacks add up to at most the budget less the cheapest candidate's cost. Slacks
are rounded down to steps of a grid, and the candidates within the grid are counted backwards,
slot by slot, as exact integers. A uniform random number below that count is a uniform sample of
the candidates within the grid: those within the budgets, and some slightly over, which are
rejected and drawn again.

Acceptance rate: with one budget, one state per slot and at least n_slots**2 steps, at least one
of 1 + sum(n_alternatives - 1) draws is within the budget. A candidate that is over only by
rounding gets within if it gives up its greatest slack, and at most sum(n_alternatives - 1)
candidates lead to the same one that way (M. Dyer, Approximate counting by dynamic programming,
STOC 2003). In practice, and with several budgets and states, the rate depends on the grid, which
is refined if many draws are rejected. If even the finest grid accepts too few, the candidates
are few and are listed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

from bopscount.search.choices.slots import NO_STATE, Slots, count_paths, rests

Integers = npt.NDArray[Any]
"""int64, or Python integers where int64 could overflow."""

_CELLS = 4096
"""Cells of a state's first grid, for any number of budgets."""
_ALL_CELLS = 1 << 21
"""Most cells of all states' grids together."""
_ACCEPTED = 0.25
"""Acceptance rate below which a finer grid pays."""
_RARE = 1 / 512
"""Acceptance rate below which, without a finer grid, candidates may be few enough to list."""
_VAIN_DRAWS = 1 << 18
"""Number of draws after which sampling gives up if all were rejected."""
_LISTING_STEPS = 1 << 20
_BATCH = 1 << 14
_FEW_DRAWS = 1 << 10
"""Number of draws below which the rate is uncertain, and drawing cheaper than a finer grid."""


class NothingFoundError(Exception):
    """No candidate is within all budgets, or none was found."""


@dataclass(frozen=True, slots=True)
class Budget:
    """Part of a budget that is left for slack.

    Attributes:
        left: The budget less the cheapest candidate's cost.
        slacks: Slacks of each slot by (state, alternative); -1 if no candidate continues there.
    """

    left: int
    slacks: list[list[list[int]]]

    @property
    def most(self) -> int:
        """Upper bound of the sum of a candidate's slacks."""
        return sum(max(map(max, rows)) for rows in self.slacks)


def budget_of(slots: Slots, metric: int, limit: int) -> Budget | None:
    """Return the budget `limit`, or None if no candidate can exceed it.

    Raises:
        NothingFoundError: If no candidate is within it.
    """
    cheapest = rests(slots, metric)
    least, most = cheapest[0][0], rests(slots, metric, -1)[0][0]
    assert least is not None
    assert most is not None
    if limit < least:
        raise NothingFoundError
    if limit >= -most:
        return None
    slacks = []
    for index, slot in enumerate(slots):
        costs, after = slot.costs[..., metric].tolist(), slot.next_states.tolist()
        rows = []
        for state, here in enumerate(cheapest[index]):
            row = []
            for cost, following in zip(costs[state], after[state], strict=True):
                beyond = None if following == NO_STATE else cheapest[index + 1][following]
                row.append(-1 if beyond is None or here is None else cost + beyond - here)
            rows.append(row)
        slacks.append(rows)
    return Budget(limit - least, slacks)


class Sampler:
    """Sampler of the candidates within budgets; keeps its grid or list for the next draw."""

    def __init__(self, slots: Slots, budgets: Sequence[Budget]) -> None:
        self._slots, self._budgets = slots, budgets
        self._size = int(_CELLS ** (1 / max(1, len(budgets))))
        self._grid = _Grid(slots, budgets, self._size)
        self._listed: npt.NDArray[np.int64] | None = None
        self._may_list = True
        self._drawn = self._accepted = 0

    def draw(self, n: int, rng: np.random.Generator) -> npt.NDArray[np.int64]:
        """Draw `n` independent candidates, of shape (n, n_slots).

        Raises:
            NothingFoundError: If there are none, or many draws were all rejected.
        """
        found = [np.zeros((0, len(self._slots)), np.int64)]
        missing = n
        while missing and self._listed is None:
            if self._grid.total == 0:
                raise NothingFoundError
            batch = self._grid.draw(min(_BATCH, 64 + 2 * missing), rng)
            within = batch[self._are_within(batch)]
            found.append(within[:missing])
            missing -= len(found[-1])
            self._drawn += len(batch)
            self._accepted += len(within)
            if missing:
                self._improve()
        if missing and self._listed is not None:
            found.append(self._listed[rng.integers(0, len(self._listed), missing)])
        return np.concatenate(found)

    def _improve(self) -> None:
        """Refine the grid or list the candidates, if too many draws are rejected."""
        if self._drawn < _FEW_DRAWS:
            return
        if self._accepted < _ACCEPTED * self._drawn and self._can_refine():
            self._size *= 2
            self._grid = _Grid(self._slots, self._budgets, self._size)
            self._drawn = self._accepted = 0
            return
        if self._drawn < _BATCH or self._accepted >= _RARE * self._drawn:
            return
        if self._may_list:
            self._may_list = False
            listed = list_within(self._slots, self._budgets)
            if listed is not None and len(listed) == 0:
                raise NothingFoundError
            self._listed = listed
        elif not self._accepted and self._drawn >= _VAIN_DRAWS:
            raise NothingFoundError

    def _can_refine(self) -> bool:
        states = sum(len(slot.next_states) for slot in self._slots)
        cells = prod(min(2 * self._size, budget.left + 1) for budget in self._budgets)
        return not self._grid.is_exact and states * cells <= _ALL_CELLS

    def _are_within(self, batch: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
        within = np.ones(len(batch), bool)
        if self._grid.is_exact:
            return within
        state = np.zeros(len(batch), np.intp)
        used: list[Integers] = [
            np.zeros(len(batch), exact_dtype(budget.most)) for budget in self._budgets
        ]
        for index, slot in enumerate(self._slots):
            choice = batch[:, index]
            for budget, total in zip(self._budgets, used, strict=True):
                slacks = np.array(budget.slacks[index], total.dtype)
                np.add(total, slacks[state, choice], out=total)
            state = slot.next_states[state, choice].astype(np.intp)
        for total, budget in zip(used, self._budgets, strict=True):
            within &= total <= budget.left
        return within


class _Grid:
    """Numbers of paths to the end within the budgets, slacks rounded down to steps.

    Attributes:
        total: Number of candidates within the grid.
        is_exact: Whether the steps are single units, so that nothing is rounded.
    """

    def __init__(self, slots: Slots, budgets: Sequence[Budget], size: int) -> None:
        self._slots = slots
        steps = [-(-(budget.left + 1) // size) for budget in budgets]
        self._tops = [budget.left // step for budget, step in zip(budgets, steps, strict=True)]
        self.is_exact = all(step == 1 for step in steps)
        # Steps of each slot and budget by (state, alternative); top + 1 if it never fits.
        self._units = [
            [
                np.array(
                    [
                        [top + 1 if slack < 0 else min(slack // step, top + 1) for slack in row]
                        for row in budget.slacks[index]
                    ],
                    np.int64,
                )
                for budget, step, top in zip(budgets, steps, self._tops, strict=True)
            ]
            for index in range(len(slots))
        ]
        # [slot][state, steps left of each budget] -> number of paths
        self._ways = self._count(exact_dtype(count_paths(slots)))
        start = [0, *self._tops]
        self.total = int(self._ways[0][tuple(start)])

    def _count(self, dtype: type) -> list[Integers]:
        sizes = [top + 1 for top in self._tops]
        found: list[Integers] = [np.ones((1, *sizes), dtype)]
        for slot, units in zip(reversed(self._slots), reversed(self._units), strict=True):
            ways: Integers = np.zeros((len(slot.next_states), *sizes), dtype)
            for (state, choice), after in np.ndenumerate(slot.next_states):
                used = [int(unit[state, choice]) for unit in units]
                if after == NO_STATE:
                    continue
                to = [state, *(slice(unit, None) for unit in used)]
                rest = [after, *(slice(max(0, s - u)) for s, u in zip(sizes, used, strict=True))]
                ways[tuple(to)] += found[-1][tuple(rest)]
            found.append(ways)
        return found[::-1]

    def draw(self, n: int, rng: np.random.Generator) -> npt.NDArray[np.int64]:
        """Draw `n` candidates uniformly from those within the grid."""
        ranks = uniform_integers(self.total, n, rng).astype(self._ways[0].dtype, copy=False)
        choices = np.zeros((n, len(self._slots)), np.int64)
        state = np.zeros(n, np.intp)
        left = [np.full(n, top) for top in self._tops]
        for index, (slot, units) in enumerate(zip(self._slots, self._units, strict=True)):
            ways = self._ways[index + 1]
            open_ = np.arange(n)  # candidates that have not chosen yet
            for choice in range(slot.n_alternatives):
                from_state = state[open_]
                after = slot.next_states[from_state, choice]
                rest = [
                    of[open_] - unit[from_state, choice]
                    for of, unit in zip(left, units, strict=True)
                ]
                can = (after != NO_STATE) & np.all([part >= 0 for part in rest], axis=0)
                among = open_[can]
                at = [after[can], *(part[can] for part in rest)]
                weights = ways[tuple(at)]
                takes = ranks[among] < weights
                ranks[among[~takes]] -= weights[~takes]
                taking = np.flatnonzero(can)[takes]
                chosen = open_[taking]
                choices[chosen, index] = choice
                # A candidate that has chosen leaves the loop, so its state may change already.
                state[chosen] = after[taking]
                for of, part in zip(left, rest, strict=True):
                    of[chosen] = part[taking]
                open_ = np.delete(open_, taking)
        return choices


def list_within(slots: Slots, budgets: Sequence[Budget]) -> npt.NDArray[np.int64] | None:
    """Return all candidates within the budgets, or None if that takes too long."""
    found: list[tuple[int, ...]] = []
    stack: list[tuple[tuple[int, ...], int, tuple[int, ...]]] = [
        ((), 0, tuple(budget.left for budget in budgets))
    ]
    after = [slot.next_states.tolist() for slot in slots]
    for _ in range(_LISTING_STEPS):
        if not stack:
            return np.array(found, np.int64).reshape(-1, len(slots))
        choices, state, left = stack.pop()
        index = len(choices)
        if index == len(slots):
            found.append(choices)
            continue
        for choice, following in enumerate(after[index][state]):
            slacks = [budget.slacks[index][state][choice] for budget in budgets]
            rest = tuple(map(int.__sub__, left, slacks))
            if following != NO_STATE and min(slacks) >= 0 and min(rest) >= 0:
                stack.append(((*choices, choice), following, rest))
    return None


def exact_dtype(largest: int) -> type:
    """Return int64 if it holds numbers up to `largest`, else object (Python integers)."""
    return np.int64 if largest <= np.iinfo(np.int64).max else object


def uniform_integers(below: int, n: int, rng: np.random.Generator) -> Integers:
    """Draw `n` integers uniformly from 0 to `below` - 1, of any size."""
    if exact_dtype(below) is np.int64:
        return rng.integers(0, below, n)
    n_bits = (below - 1).bit_length()
    drawn = np.zeros(0, object)
    while len(drawn) < n:
        numbers = np.zeros(n, object)
        for at in range(0, n_bits, 32):
            words = rng.integers(0, 1 << min(32, n_bits - at), n)
            numbers += words.astype(object) << at
        drawn = np.concatenate([drawn, numbers[numbers < below]])
    return drawn[:n]
