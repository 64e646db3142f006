"""Record blocks: candidates with changed widths and shapes, counted in the core.

Every candidate of a block is a recorded ResNet-50 whose channels were multiplied. Totals of
all metrics are checked against numpy before anything is timed. One thread, two threads and
the read bandwidth of two threads take turns.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
import numpy_count
from clock import best_seconds
from memory import peak_bytes, reset_peak
from resnet50_table import resnet50_table
from rows import Result, Row, show

import bopscount
from bopscount import _core

GOAL_RECORDS_A_SECOND = 50
GOAL_SPEED_UP, GOAL_BANDWIDTH_SHARE = 1.8, 90
GOAL_MEGABYTES = 32


def candidate_block(n_candidates: int, seed: int = 0) -> np.ndarray:
    """(n_candidates, 174) records: ResNet-50 with its channels multiplied by 1 to 8."""
    block = np.tile(resnet50_table(), (n_candidates, 1))
    factor = np.random.default_rng(seed).integers(1, 9, (n_candidates, 1))
    for field in ("in_channels", "out_channels", "bias_elements"):
        block[field] *= factor
    return block


def check_answers(block: np.ndarray, n_checked: int = 200) -> None:
    """Totals of some candidates against numpy's, under both rules, on one thread and two."""
    sample = block[:: max(1, len(block) // n_checked)]
    records = np.ascontiguousarray(sample).reshape(-1)
    costs = np.empty(records.size, _core.COST_DTYPE)
    for rules in ("torchstat", "full"):
        numpy_count.layer_costs(records, rules, costs)
        for n_threads in (1, 2):
            totals = bopscount.count_layers(sample, rules=rules, n_threads=n_threads)
            for metric, values in totals.items():
                expected = costs[metric].reshape(sample.shape).sum(axis=1)
                assert np.array_equal(values, expected), (rules, metric, n_threads)


def reader(block: np.ndarray, pool: ThreadPoolExecutor) -> Callable[[], object]:
    """Adds up every 8 bytes of the block on two threads; numpy lets them run at once."""
    halves = np.array_split(block.reshape(-1).view(np.int64), 2)
    return lambda: list(pool.map(np.sum, halves))


def measure(quick: bool) -> Iterator[Result]:
    block = candidate_block(1_500 if quick else 12_000)
    check_answers(block)
    count = partial(bopscount.count_layers, block)
    before = reset_peak()
    count(n_threads=2)
    megabytes = (peak_bytes() - before) / 1e6
    with ThreadPoolExecutor(2) as pool:
        best = best_seconds(
            {
                "one": partial(count, n_threads=1),
                "two": partial(count, n_threads=2),
                "read": reader(block, pool),
            },
            rounds=5 if quick else 15,
        )
    speed_up, share = best["one"] / best["two"], best["read"] / best["two"] * 100
    millions = {name: block.size / seconds / 1e6 for name, seconds in best.items()}
    yield Row("one thread", millions["one"], "M records/s")
    yield Row("two threads", millions["two"], "M records/s", GOAL_RECORDS_A_SECOND)
    # One of the two is asked for: a memory that is busy cannot give more.
    by_speed = speed_up >= GOAL_SPEED_UP or share < GOAL_BANDWIDTH_SHARE
    yield Row("two threads against one", speed_up, "x", GOAL_SPEED_UP if by_speed else None)
    yield Row(
        "  their share of the read bandwidth",
        share,
        "%",
        None if by_speed else GOAL_BANDWIDTH_SHARE,
    )
    yield Row("memory beyond the records", megabytes, "MB", GOAL_MEGABYTES, more_is_better=False)


if __name__ == "__main__":
    show(measure(quick=False))
