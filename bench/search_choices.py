"""Choice search, measured: `python bench/search_choices.py [--quick] [--json FILE]`.

10^6 candidates x 21 slots x 9 alternatives, 4 metrics, choices as bytes and as int64: against
the fastest of several numpy formulations and against this machine's read bandwidth; two
threads against one; one candidate; memory; samples under a budget; tables of several states.
Answers are checked first. The machine may be shared: core, numpy and reads take turns in one
run, the best time of each counts, and a missed goal is printed, not raised.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
from numpy_choices import FORMULATIONS

from bopscount import ChoiceTable
from bopscount.search.choice_slots import ChoiceSlot

N_CANDIDATES, N_QUICK = 10**6, 10**5
N_SLOTS, N_ALTERNATIVES = 21, 9
METRICS = ("params", "macs", "mem_read", "mem_write")
MIN_NUMPY_RATIO = 10
MIN_BANDWIDTH_SHARE = 0.5
MIN_THREAD_RATIO, MIN_TWO_THREAD_SHARE = 1.8, 0.9
MAX_CALL_US = 5
MAX_EXTRA_MIB = 32
DTYPES = {"bytes": np.uint8, "int64": np.int64}


def random_costs() -> np.ndarray:
    rng = np.random.default_rng(0)
    return rng.integers(0, 10**9, (len(METRICS), N_SLOTS, N_ALTERNATIVES))


def table_of(costs: np.ndarray) -> ChoiceTable:
    return ChoiceTable.from_costs(dict(zip(METRICS, costs, strict=True)))


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


def seconds(call: Callable[[], object], n_calls: int = 1) -> float:
    start = time.perf_counter()
    for _ in range(n_calls):
        call()
    return (time.perf_counter() - start) / n_calls


def best_seconds(calls: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """The best time of each; they take turns."""
    best = dict.fromkeys(calls, float("inf"))
    for _ in range(rounds):
        for name, call in calls.items():
            best[name] = min(best[name], seconds(call))
    return best


def read(array: np.ndarray) -> None:
    """Every byte once, as fast as numpy can."""
    array.max()


def read_on_two_threads(pool: ThreadPoolExecutor, array: np.ndarray) -> None:
    half = len(array) // 2
    list(pool.map(read, (array[:half], array[half:])))


PEAK_MEMORY = """
import resource, sys
import numpy as np
sys.path.insert(0, sys.argv[1])
from search_choices import METRICS, random_choices, random_costs, results_for, table_of

table, choices = table_of(random_costs()), random_choices(int(sys.argv[2]))
out = dict(zip(METRICS, results_for(len(choices)), strict=True))
table.count(choices[:1000])
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
# The arrays were made in place of larger ones: what is free now is filled first.
filler = np.ones(max(0, peak() - int(open("/proc/self/statm").read().split()[1]) * 4096), np.uint8)
before = peak()
table.count(choices, out=out, n_threads=2)
print(peak() - before)
"""


def extra_mib(n_candidates: int) -> float:
    """Peak memory of a call, in a process of its own, beyond its arguments and results."""
    here = str(Path(__file__).parent)
    command = [sys.executable, "-c", PEAK_MEMORY, here, str(n_candidates)]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return int(printed) / 2**20


def row(
    name: str,
    value: float,
    unit: str,
    goal: float | None = None,
    aim: float | None = None,
    more_is_better: bool = True,
) -> dict[str, object]:
    return {
        "name": name, "value": value, "unit": unit,
        "goal": goal, "aim": aim, "more_is_better": more_is_better,
    }  # fmt: skip


def measure_dtype(
    name: str, costs: np.ndarray, n: int, rounds: int, pool: ThreadPoolExecutor
) -> list[dict[str, object]]:
    """Rows for choices of one integer type, results in arrays that are there."""
    table, choices, results = table_of(costs), random_choices(n, DTYPES[name]), results_for(n)
    out = dict(zip(METRICS, results, strict=True))
    # As many bytes as are read and written.
    as_many = np.ones((choices.nbytes + results.nbytes) // 8, np.int64)
    count = partial(table.count, choices, out=out)
    rivals = best_seconds(
        {each.__name__: partial(each, costs, choices, results) for each in FORMULATIONS}, 2
    )
    rival = min(rivals, key=rivals.__getitem__)
    formulation = next(each for each in FORMULATIONS if each.__name__ == rival)
    best = best_seconds(
        {
            "rival": partial(formulation, costs, choices, results),
            "one": partial(count, n_threads=1),
            "two": partial(count, n_threads=2),
            "read": partial(read, as_many),
            "read two": partial(read_on_two_threads, pool, as_many),
        },
        rounds,
    )
    fastest = min(best["one"], best["two"])
    ratio_goal = min(MIN_NUMPY_RATIO, MIN_BANDWIDTH_SHARE * best["rival"] / best["read"])
    thread_goal = min(MIN_THREAD_RATIO, MIN_TWO_THREAD_SHARE * best["one"] / best["read two"])
    return [
        row(f"{name}: against numpy's best ({rival})", best["rival"] / fastest, "x", ratio_goal),
        row(f"{name}: the same, one thread", best["rival"] / best["one"], "x"),
        row(f"{name}: two threads against one", best["one"] / best["two"], "x", thread_goal),
        row(f"{name}: share of read bandwidth, one thread", best["read"] / best["one"], "x"),
        row(f"{name}: a candidate, one thread", 1e9 * best["one"] / n, "ns", None, None, False),
    ]


def measure_new_results(costs: np.ndarray, n: int, rounds: int) -> dict[str, object]:
    """Where the results are new arrays, whose pages the system must make first."""
    table, choices = table_of(costs), random_choices(n)
    best = best_seconds(
        {
            "rival": lambda: FORMULATIONS[3](costs, choices, np.empty((len(METRICS), n), np.int64)),
            "core": partial(table.count, choices),
        },
        rounds,
    )
    return row("bytes: results in new arrays, against numpy", best["rival"] / best["core"], "x")


def measure_searches(costs: np.ndarray, n: int, rounds: int) -> list[dict[str, object]]:
    """One candidate, several states, samples."""
    table = table_of(costs)
    choices, results = random_choices(n), results_for(n)
    out = dict(zip(METRICS, results, strict=True))
    states = table_of_states(costs)
    best = best_seconds(
        {
            "one state": partial(table.count, choices, out=out, n_threads=1),
            "states": partial(states.count, choices, out=out, n_threads=1),
        },
        rounds,
    )
    slower = best["states"] / best["one state"]
    single = choices[:1]
    call = min(seconds(partial(table.count, single), 1000) for _ in range(rounds))
    budget = int(table.count(choices[:1000])["macs"].mean() * 0.7)
    first = seconds(partial(table.sample, 1, rng=0, max_macs=budget))
    again = seconds(partial(table.sample, 10_000, rng=0, max_macs=budget))
    return [
        row("one candidate", 1e6 * call, "us", MAX_CALL_US, None, False),
        row("4 states a slot, time against one", slower, "x", None, None, False),
        row("the first sample under a budget", 1e3 * first, "ms", None, None, False),
        row("each of 10,000 more", 1e6 * again / 10_000, "us", None, None, False),
    ]  # fmt: skip


def measure(quick: bool = False) -> list[dict[str, object]]:
    """Measures everything.

    Returns:
        Rows with name, value, unit, goal, aim and more_is_better; a goal of None is none.
    """
    costs = random_costs()
    for dtype in DTYPES.values():
        check_answers(costs, random_choices(20_000, dtype))
    n, rounds = (N_QUICK, 3) if quick else (N_CANDIDATES, 15)
    with ThreadPoolExecutor(2) as pool:
        rows = [found for name in DTYPES for found in measure_dtype(name, costs, n, rounds, pool)]
    rows.append(measure_new_results(costs, n, rounds))
    rows += measure_searches(costs, n, rounds)
    rows.append(
        row("memory beyond arguments and results", extra_mib(n), "MiB", MAX_EXTRA_MIB, None, False)
    )
    return rows


def print_rows(rows: list[dict[str, object]]) -> None:
    print(f"{N_SLOTS} slots x {N_ALTERNATIVES} alternatives, {len(METRICS)} metrics")
    for each in rows:
        goal, value = each["goal"], each["value"]
        verdict = ""
        if goal is not None:
            reached = value >= goal if each["more_is_better"] else value <= goal
            sign = ">=" if each["more_is_better"] else "<="
            verdict = f"goal {sign} {goal:.3g}: {'reached' if reached else 'NOT reached'}"
        print(f"  {each['name']:55} {value:9.2f} {each['unit']:4} {verdict}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer candidates and rounds")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the rows there too")
    arguments = parser.parse_args()
    rows = measure(arguments.quick)
    print_rows(rows)
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, indent=2) + "\n")


if __name__ == "__main__":
    main()
