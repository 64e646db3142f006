"""What a choice table knows of each slot, and the best ways through the slots."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

NO_STATE = -1


@dataclass(frozen=True, slots=True)
class ChoiceSlot:
    """One place of a network, where one of several alternatives is chosen.

    What an alternative costs may depend on what reaches the slot: each input that can is a
    state. A choice in a state costs something and leads to a state of the next slot.

    Attributes:
        costs: int64, of shape (n_states, n_alternatives, n_metrics).
        next_states: int32, of shape (n_states, n_alternatives); -1 where the alternative
            cannot take that input.
        inputs: What each state is, in words.
        reasons: Why, by (state, alternative), an alternative cannot take an input.
    """

    costs: npt.NDArray[np.int64]
    next_states: npt.NDArray[np.int32]
    inputs: tuple[str, ...] = ("",)
    reasons: dict[tuple[int, int], str] = field(default_factory=dict)

    @property
    def n_alternatives(self) -> int:
        """How many there are to choose from."""
        return int(self.next_states.shape[1])


Slots = Sequence[ChoiceSlot]


def count_paths(slots: Slots) -> int:
    """How many ways lead through all slots."""
    ways = [1]
    for slot in reversed(slots):
        ways = [
            sum(ways[after] for after in row if after != NO_STATE)
            for row in slot.next_states.tolist()
        ]
    return ways[0]


def rests(slots: Slots, metric: int, sign: int = 1) -> list[list[int | None]]:
    """For each slot and state the least cost from there to the end, None if there is no way.

    Args:
        slots: The slots.
        metric: Which cost.
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
    """The choices that cost least (with sign -1: most), the first of equals, and their cost."""
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
    """As plain data."""
    return {
        "costs": slot.costs.tolist(),
        "next_states": slot.next_states.tolist(),
        "inputs": list(slot.inputs),
        "reasons": [[*pair, reason] for pair, reason in slot.reasons.items()],
    }


def slot_from_dict(data: dict[str, Any]) -> ChoiceSlot:
    """The reverse of `slot_to_dict`."""
    return ChoiceSlot(
        np.array(data["costs"], np.int64),
        np.array(data["next_states"], np.int32),
        tuple(data["inputs"]),
        {(state, choice): reason for state, choice, reason in data["reasons"]},
    )
