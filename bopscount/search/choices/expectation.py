"""Expected costs for gradient-based search, differentiable by torch."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from bopscount.errors import InputError
from bopscount.search.choices.slots import NO_STATE, Slots

_TOLERANCES = {torch.float16: 1e-2, torch.bfloat16: 4e-2, torch.float32: 1e-5}
_TOLERANCE = 1e-9
"""Largest distance from 1 of a sum of probabilities in double precision."""


def expected_cost(slots: Slots, metric: int, given: Any, are_logits: bool) -> Tensor:
    """Return the mean cost if every slot chooses independently.

    Slots with several states are traversed forwards: the choices of the earlier slots give the
    probability of each state.
    """
    name = "logits" if are_logits else "probabilities"
    rows = _rows(given, slots, name)
    total = rows[0].new_zeros(())
    reached = rows[0].new_ones(1)
    for index, (slot, row) in enumerate(zip(slots, rows, strict=True)):
        chances = torch.softmax(row, 0) if are_logits else _checked(row, index, given)
        joint = reached[:, None] * chances[None, :]
        costs = torch.tensor(slot.costs[..., metric], dtype=row.dtype, device=row.device)
        total = total + (joint * costs).sum()
        after = torch.tensor(slot.next_states, dtype=torch.int64, device=row.device)
        _check_possible(joint.detach(), after, slot, index, name)
        n_states = 1 if index + 1 == len(slots) else len(slots[index + 1].next_states)
        flat = after.clamp(min=0).flatten()
        reached = row.new_zeros(n_states).index_add(0, flat, joint.flatten())
    return total


def _rows(given: Any, slots: Slots, name: str) -> list[Tensor]:
    """Return one 1-D tensor per slot, in double precision if the device has it."""
    if not isinstance(given, (Tensor, list, tuple)):
        raise InputError(
            f"{name} must be a tensor of shape (n_slots, n_alternatives), or a list of one "
            f"tensor a slot, got {type(given).__name__}"
        )
    if len(given) != len(slots):
        raise InputError(f"{name} must be of {len(slots)} slots, got {len(given)}")
    rows = []
    for index, (row, slot) in enumerate(zip(given, slots, strict=True)):
        if not isinstance(row, Tensor) or not row.is_floating_point():
            kind = row.dtype if isinstance(row, Tensor) else type(row).__name__
            raise InputError(f"{name} must be floating-point tensors, got {kind} for slot {index}")
        if row.shape != (slot.n_alternatives,):
            raise InputError(
                f"{name} of slot {index} must have shape ({slot.n_alternatives},), one value an "
                f"alternative, got {tuple(row.shape)}"
            )
        if torch.isnan(row.detach()).any():
            raise InputError(f"{name} must be numbers, got nan for slot {index}")
        rows.append(row if row.device.type == "mps" else row.double())
    return rows


def _checked(row: Tensor, index: int, given: Any) -> Tensor:
    values = row.detach()
    tolerance = _TOLERANCES.get(given[index].dtype, _TOLERANCE)
    if bool((values < 0).any()):
        raise InputError(
            f"probabilities must not be negative, got {float(values.min())} for slot {index}"
        )
    total = float(values.sum())
    if not abs(total - 1) <= tolerance:
        raise InputError(
            f"probabilities of each slot must add up to 1, got {total:.9g} for slot {index}; "
            "give logits= if they are no probabilities yet"
        )
    return row


def _check_possible(joint: Tensor, after: Tensor, slot: Any, index: int, name: str) -> None:
    wrong = torch.nonzero((after == NO_STATE) & (joint > 0))
    if len(wrong):
        state, choice = wrong[0].tolist()
        raise InputError(
            f"{name} of slot {index} give alternative {choice} a chance with input "
            f"{slot.inputs[state]}, which it cannot take; its probability must be 0 (its logit "
            "-inf) where that input may come"
        )
