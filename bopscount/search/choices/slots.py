"""Slots of a choice table, and the cheapest and most expensive paths through them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

NO_STATE = -1


@dataclass(frozen=True, slots=True)
class ChoiceSlot:
    """Place in a network where one of several alternatives is chosen.

    The cost of an alternative may depend on the slot's input: each possible input is a state.
    A choice in a state has a cost and leads to a state of the next slot.

    Attributes:
        costs: int64, of shape (n_states, n_alternatives, n_metrics).
        next_states: int32, of shape (n_states, n_alternatives); -1 if the alternative cannot
            take that input.
        inputs: Description of each state.
        reasons: Reason why an alternative cannot take an input, by (state, alternative).
    """

    costs: npt.NDArray[np.int64]
    next_states: npt.NDArray[np.int32]
    inputs: tuple[str, ...] = ("",)
    reasons: dict[tuple[int, int], str] = field(default_factory=dict)

    @property
    def n_alternatives(self) -> int:
        """Number of alternatives."""
        return int(self.next_states.shape[1])


Slots = Sequence[ChoiceSlot]


def count_paths(slots: Slots) -> int:
    """Return the number of paths through all slots."""
    ways = [1]
    for slot in reversed(slots):
        ways = [
            sum(ways[after] for after in row if after != NO_STATE)
            for row in slot.next_states.tolist()
        ]
    return ways[0]


def rests(slots: Slots, metric: int, sign: int = 1) -> list[list[int | None]]:
    """Return the least cost from each slot and state to the end, None if there is no path.

    Args:
        slots: The slots.
        metric: Index of the metric.
        sign: -1 for the greatest cost, as a negative number.
    """
    found: list[list[int | None]] = [[0]]
    for slot in reversed(slots):
        rest: list[int | None] = []
        for row, costs in zip(
            slot.next_states.tolist(), slot.costs[..., metric].tolist(), strict=True
        ):
            ways = [
                sign * cost + beyond
                for after, cost in zip(row, costs, strict=True)
                if after != NO_STATE and (beyond := found[-1][after]) is not None
            ]
            rest.append(min(ways, default=None))
        found.append(rest)
    return found[::-1]


def best_path(slots: Slots, metric: int, sign: int = 1) -> tuple[list[int], int]:
    """Return the cheapest choices, the first on ties, and their cost (sign -1: most expensive)."""
    to_end = rests(slots, metric, sign)
    state, choices = 0, []
    for index, slot in enumerate(slots):
        for choice, after in enumerate(slot.next_states[state].tolist()):
            beyond = None if after == NO_STATE else to_end[index + 1][after]
            if beyond is None:
                continue
            if sign * int(slot.costs[state, choice, metric]) + beyond == to_end[index][state]:
                choices.append(choice)
                state = after
                break
    total = to_end[0][0]
    assert total is not None  # a table has at least one way through
    return choices, sign * total


def slot_to_dict(slot: ChoiceSlot) -> dict[str, Any]:
    """Return a slot as plain data."""
    return {
        "costs": slot.costs.tolist(),
        "next_states": slot.next_states.tolist(),
        "inputs": list(slot.inputs),
        "reasons": [[*pair, reason] for pair, reason in slot.reasons.items()],
    }


def slot_from_dict(data: dict[str, Any]) -> ChoiceSlot:
    """Return the slot of a `slot_to_dict` result."""
    return ChoiceSlot(
        np.array(data["costs"], np.int64),
        np.array(data["next_states"], np.int32),
        tuple(data["inputs"]),
        {(state, choice): reason for state, choice, reason in data["reasons"]},
    )
