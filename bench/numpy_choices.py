"""The rivals: sums over choices as whole-array numpy operations, into arrays that are there.

Each gets the costs, of shape (n_metrics, n_slots, n_alternatives), and fills
out[metric][candidate]. None checks its choices, unlike the core. Blocks of 4096 candidates
were the best of 2^10 to 2^16.
"""

from __future__ import annotations

import numpy as np

BLOCK = 1 << 12


def take_each_metric(costs: np.ndarray, choices: np.ndarray, out: np.ndarray) -> None:
    """One lookup for each slot and metric."""
    for metric, slots in enumerate(costs):
        np.take(slots[0], choices[:, 0], out=out[metric], mode="clip")
        for slot in range(1, len(slots)):
            out[metric] += slots[slot].take(choices[:, slot])


def take_rows(costs: np.ndarray, choices: np.ndarray, out: np.ndarray) -> None:
    """One lookup for each slot, of all metrics at once."""
    rows = np.ascontiguousarray(costs.transpose(1, 2, 0))
    total = rows[0].take(choices[:, 0], axis=0)
    for slot in range(1, len(rows)):
        total += rows[slot].take(choices[:, slot], axis=0)
    out[:] = total.T


def take_rows_blocked(costs: np.ndarray, choices: np.ndarray, out: np.ndarray) -> None:
    """The same, in blocks that stay in the second-level cache."""
    for start in range(0, len(choices), BLOCK):
        take_rows(costs, choices[start : start + BLOCK], out[:, start : start + BLOCK])


def take_pairs(costs: np.ndarray, choices: np.ndarray, out: np.ndarray) -> None:
    """As the core does it: neighbouring slots fused into one lookup; in blocks."""
    n_metrics, n_slots, n_alternatives = costs.shape
    fused = [
        (costs[:, slot, :, None] + costs[:, slot + 1, None, :]).reshape(n_metrics, -1)
        for slot in range(0, n_slots - 1, 2)
    ]
    for start in range(0, len(choices), BLOCK):
        block = choices[start : start + BLOCK].T.astype(np.intp)
        target = out[:, start : start + BLOCK]
        if n_slots % 2:
            np.take(costs[:, -1], block[-1], axis=1, out=target, mode="clip")
        else:
            target[:] = 0
        for pair, table in enumerate(fused):
            rows = block[2 * pair] * n_alternatives
            rows += block[2 * pair + 1]
            for metric in range(n_metrics):
                target[metric] += table[metric].take(rows, mode="clip")


def one_flat_index(costs: np.ndarray, choices: np.ndarray, out: np.ndarray) -> None:
    """One lookup of a whole block, summed along the slots."""
    n_metrics, n_slots, n_alternatives = costs.shape
    flat = costs.reshape(n_metrics, -1)
    first = np.arange(n_slots) * n_alternatives
    for start in range(0, len(choices), BLOCK):
        rows = choices[start : start + BLOCK] + first
        for metric in range(n_metrics):
            out[metric, start : start + BLOCK] = flat[metric].take(rows, mode="clip").sum(axis=1)


FORMULATIONS = (take_each_metric, take_rows, take_rows_blocked, take_pairs, one_flat_index)
