"""Uniform samples of the candidates within budgets.

What a choice costs above the cheapest way on from there is its slack; a candidate is within
a budget if its slacks add up to no more than the budget leaves. Slacks are rounded down to
steps of a grid, and the candidates within it counted backwards, slot by slot, as exact
integers. A number below that count, drawn uniformly, is a candidate drawn uniformly from all
that are within the grid: those within the budgets and some that are slightly over, which
are drawn again.

How often? With one budget, one state a slot and at least n_slots**2 steps, at least one of
1 + sum(n_alternatives - 1) draws is within the budget: who is over it by rounding alone gets
within by giving up its greatest slack, and a candidate can come from no more than so many others
that way (M. Dyer, Approximate counting by dynamic programming, STOC 2003). In practice, and
with several budgets and states, it is a matter of the grid, which is refined where many are
drawn in vain. Where even the finest grid finds too few, there are few to find, and they are listed.
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
"""int64, or Python's integers where those could overflow."""

_CELLS = 4096
"""Of a state's first grid, whatever the number of budgets."""
_ALL_CELLS = 1 << 21
"""Of the finest grids of all states together."""
_ACCEPTED = 0.25
"""With fewer draws than this within the budgets, a finer grid pays."""
_RARE = 1 / 512
"""With fewer than this, and no finer grid, there may be few enough to list them."""
_VAIN_DRAWS = 1 << 18
"""So many draws in vain are enough."""
_LISTING_STEPS = 1 << 20
_BATCH = 1 << 14
_FEW_DRAWS = 1 << 10
"""Fewer than these say little, and cost less than a finer grid."""


class NothingFoundError(Exception):
    """There is no candidate within all budgets, or none was found."""


@dataclass(frozen=True, slots=True)
class Budget:
    """What is left of a budget for slack.

    Attributes:
        left: The budget less the cheapest candidate's cost.
        slacks: For each slot, by (state, alternative); -1 where there is no way on.
    """

    left: int
    slacks: list[list[list[int]]]

    @property
    def most(self) -> int:
        """No candidate's slacks add up to more."""
        return sum(max(map(max, rows)) for rows in self.slacks)


def budget_of(slots: Slots, metric: int, limit: int) -> Budget | None:
    """The budget `limit`; None if no candidate can exceed it.

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
    """Draws candidates within budgets; what was worked out is kept for the next draw."""

    def __init__(self, slots: Slots, budgets: Sequence[Budget]) -> None:
        self._slots, self._budgets = slots, budgets
        self._size = int(_CELLS ** (1 / max(1, len(budgets))))
        self._grid = _Grid(slots, budgets, self._size)
        self._listed: npt.NDArray[np.int64] | None = None
        self._may_list = True
        self._drawn = self._accepted = 0

    def draw(self, n: int, rng: np.random.Generator) -> npt.NDArray[np.int64]:
        """`n` independent candidates, of shape (n, n_slots).

        Raises:
            NothingFoundError: If there are none, or many draws were in vain.
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
        """A finer grid or a list, if too many draws are in vain."""
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
    """How many ways to the end are within the budgets, slacks rounded down to steps.

    Attributes:
        total: All of them.
        is_exact: Whether the steps are single units, so that nothing is rounded.
    """

    def __init__(self, slots: Slots, budgets: Sequence[Budget], size: int) -> None:
        self._slots = slots
        steps = [-(-(budget.left + 1) // size) for budget in budgets]
        self._tops = [budget.left // step for budget, step in zip(budgets, steps, strict=True)]
        self.is_exact = all(step == 1 for step in steps)
        # Of each slot and budget, by (state, alternative): one more than fits where it cannot be.
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
        # [slot][state, what is left of each budget in steps] -> ways
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
        """`n` candidates within the grid, each as likely."""
        ranks = uniform_integers(self.total, n, rng).astype(self._ways[0].dtype, copy=False)
        choices = np.zeros((n, len(self._slots)), np.int64)
        state = np.zeros(n, np.intp)
        left = [np.full(n, top) for top in self._tops]
        for index, (slot, units) in enumerate(zip(self._slots, self._units, strict=True)):
            ways = self._ways[index + 1]
            open_ = np.arange(n)  # those that have not chosen yet
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
                # Whoever has chosen leaves the loop, so its state may change already.
                state[chosen] = after[taking]
                for of, part in zip(left, rest, strict=True):
                    of[chosen] = part[taking]
                open_ = np.delete(open_, taking)
        return choices


def list_within(slots: Slots, budgets: Sequence[Budget]) -> npt.NDArray[np.int64] | None:
    """All candidates within the budgets; None if that takes too long."""
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
    """int64 for numbers up to `largest` if it holds them, else Python's integers."""
    return np.int64 if largest <= np.iinfo(np.int64).max else object


def uniform_integers(below: int, n: int, rng: np.random.Generator) -> Integers:
    """`n` integers from 0 to `below` - 1, each as likely, however large."""
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
