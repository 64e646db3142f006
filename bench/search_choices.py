"""Choice search.

10^6 candidates x 21 slots x 9 alternatives, 4 metrics, choices as bytes and as int64, results in
arrays whose pages were touched before: against the fastest of several numpy formulations and
against reading as many bytes. Then one candidate, several states a slot, samples under a
budget, and memory.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import memory
import numpy as np
from clock import best_seconds, no_garbage_collection, seconds
from numpy_choices import FORMULATIONS
from rows import Result, Row, show

from bopscount import ChoiceTable
from bopscount.search.choices.slots import ChoiceSlot

N_CANDIDATES, N_QUICK = 10**6, 10**5
ROUNDS, QUICK_ROUNDS = 15, 3
N_SLOTS, N_ALTERNATIVES = 21, 9
METRICS = ("params", "macs", "mem_read", "mem_write")
MIN_NUMPY_RATIO = 10
MIN_BANDWIDTH_SHARE = 0.5
MIN_THREAD_RATIO, MIN_TWO_THREAD_SHARE = 1.8, 0.9
MAX_CALL_US = 5
MAX_EXTRA_MIB = 32
N_SAMPLES = 10_000
DTYPES = {"bytes": np.uint8, "int64": np.int64}


def random_costs() -> np.ndarray:
    rng = np.random.default_rng(0)
    return rng.integers(0, 10**9, (len(METRICS), N_SLOTS, N_ALTERNATIVES))


def table_of(costs: np.ndarray) -> ChoiceTable:
    return ChoiceTable.from_costs(by_metric(costs))


def table_of_states(costs: np.ndarray, n_states: int = 4) -> ChoiceTable:
    """The same slots, each with several states of other costs."""
    rng = np.random.default_rng(1)
    slots = []
    for slot in range(N_SLOTS):
        states = 1 if slot == 0 else n_states
        after = 1 if slot == N_SLOTS - 1 else n_states
        by_choice = costs[:, slot].T
        slots.append(
            ChoiceSlot(
                by_choice + 1000 * np.arange(states)[:, None, None],
                rng.integers(0, after, (states, N_ALTERNATIVES)).astype(np.int32),
            )
        )
    return ChoiceTable(METRICS, slots)


def random_choices(n: int, dtype: type = np.uint8) -> np.ndarray:
    rng = np.random.default_rng(2)
    return rng.integers(0, N_ALTERNATIVES, (n, N_SLOTS), np.uint8).astype(dtype)


def results_for(n: int) -> np.ndarray:
    """By metric and candidate, every page touched."""
    return np.ones((len(METRICS), n), np.int64)


def by_metric(results: np.ndarray) -> dict[str, np.ndarray]:
    return dict(zip(METRICS, results, strict=True))


def check_answers(costs: np.ndarray, choices: np.ndarray) -> None:
    """The core and every formulation against plain Python, and against each other."""
    counted = table_of(costs).count(choices)
    for candidate in range(0, len(choices), max(1, len(choices) // 20)):
        for metric, slots in zip(METRICS, costs.tolist(), strict=True):
            chosen = choices[candidate].tolist()
            expected = sum(slot[choice] for slot, choice in zip(slots, chosen, strict=True))
            assert counted[metric][candidate] == expected
    out = results_for(len(choices))
    for formulation in FORMULATIONS:
        out[:] = -1
        formulation(costs, choices, out)
        for metric, values in zip(METRICS, out, strict=True):
            assert np.array_equal(counted[metric], values), formulation.__name__


def read(array: np.ndarray) -> None:
    """Every byte once, as fast as numpy can."""
    array.max()


def read_on_two_threads(pool: ThreadPoolExecutor, array: np.ndarray) -> None:
    half = len(array) // 2
    list(pool.map(read, (array[:half], array[half:])))


def measure_dtype(name: str, n: int, rounds: int, pool: ThreadPoolExecutor) -> Iterator[Row]:
    """Choices of one integer type."""
    costs, choices, results = random_costs(), random_choices(n, DTYPES[name]), results_for(n)
    as_many_bytes = np.ones((choices.nbytes + results.nbytes) // 8, np.int64)
    count = partial(table_of(costs).count, choices, out=by_metric(results))
    rivals = {each.__name__: partial(each, costs, choices, results) for each in FORMULATIONS}
    times = best_seconds(rivals, 2)
    rival = min(times, key=times.__getitem__)
    best = best_seconds(
        {
            "rival": rivals[rival],
            "one": partial(count, n_threads=1),
            "two": partial(count, n_threads=2),
            "read": partial(read, as_many_bytes),
            "read by two": partial(read_on_two_threads, pool, as_many_bytes),
        },
        rounds,
    )
    one, two = best["one"], best["two"]
    goal = min(MIN_NUMPY_RATIO, MIN_BANDWIDTH_SHARE * best["rival"] / best["read"])
    yield Row(f"{name}: faster than numpy's {rival}", best["rival"] / min(one, two), "x", goal)
    yield Row("  on one thread", best["rival"] / one, "x")
    goal = min(MIN_THREAD_RATIO, MIN_TWO_THREAD_SHARE * one / best["read by two"])
    yield Row("  two threads against one", one / two, "x", goal)
    yield Row("  share of the bandwidth of reading, one thread", best["read"] / one * 100, "%")
    yield Row("  a candidate, one thread", one / n * 1e9, "ns", more_is_better=False)


def measure_searches(n: int, rounds: int) -> Iterator[Row]:
    """One candidate, several states, samples, and results in new arrays."""
    costs, choices = random_costs(), random_choices(n)
    table, states, out = table_of(costs), table_of_states(costs), by_metric(results_for(n))
    single = choices[:1]
    best = best_seconds(
        {
            "one state": partial(table.count, choices, out=out, n_threads=1),
            "states": partial(states.count, choices, out=out, n_threads=1),
            "single": partial(table.count, single),
        },
        rounds,
        {"single": 1000},
    )
    yield Row("one candidate", best["single"] * 1e6, "us", MAX_CALL_US, more_is_better=False)
    slower = best["states"] / best["one state"]
    yield Row("time with 4 states a slot, against one", slower, "x", more_is_better=False)
    budget = int(table.count(choices[:1000])["macs"].mean() * 0.7)
    sample = partial(table.sample, rng=0, max_macs=budget)
    yield Row("the first sample under a budget", seconds(partial(sample, 1)) * 1e3, "ms")
    each = seconds(partial(sample, N_SAMPLES)) / N_SAMPLES
    yield Row(f"each of {N_SAMPLES:,} more", each * 1e6, "us")


def measure_memory(n: int) -> Row:
    choices, out = random_choices(n), by_metric(results_for(n))
    table = table_of(random_costs())
    before = memory.reset_peak()
    table.count(choices, out=out, n_threads=2)
    extra = (memory.peak_bytes() - before) / 2**20
    return Row("memory beyond arguments and results", extra, "MiB", MAX_EXTRA_MIB,
               more_is_better=False)  # fmt: skip


def measure(quick: bool) -> Iterator[Result]:
    n, rounds = (N_QUICK, QUICK_ROUNDS) if quick else (N_CANDIDATES, ROUNDS)
    for dtype in DTYPES.values():
        check_answers(random_costs(), random_choices(20_000, dtype))
    with no_garbage_collection(), ThreadPoolExecutor(2) as pool:
        for name in DTYPES:
            yield from measure_dtype(name, n, rounds, pool)
        yield from measure_searches(n, rounds)
    yield measure_memory(n)


if __name__ == "__main__":
    show(measure(quick=False))
