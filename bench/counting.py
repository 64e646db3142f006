"""Counting, measured: `python bench/counting.py [--json FILE] [--random-kinds]`.

Prints layers a second and ns a layer for tables of 10^3 to 10^7 layers, against numpy
and against memory-copy bandwidth, then a recorded ResNet-50's totals. Every answer is
checked before it is timed. The machine may be shared: core, numpy and copy take turns
in one run, the best time of each counts, and a missed goal is printed, not raised.
"""

from __future__ import annotations

import argparse
import gc
import json
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import numpy_count
from bandwidth import MemoryCopy
from layer_tables import mixed_table, touched_costs
from resnet50_table import check_resnet50, resnet50_table

from bopscount import _core

SIZES = (10**3, 10**4, 10**5, 10**6, 10**7)
MIN_NUMPY_RATIO = 10
MIN_COPY_SHARE, AIMED_COPY_SHARE = 0.25, 0.5
MAX_SPREAD = 3
MAX_RESNET50_SECONDS = 5e-6

BYTES_A_LAYER = _core.LAYER_DTYPE.itemsize + _core.COST_DTYPE.itemsize


def check_answers(layers: np.ndarray, out: np.ndarray) -> None:
    """The core and numpy agree on every value, under both rules; both write into `out`."""
    expected = touched_costs(layers.size)
    for rules in ("full", "torchstat"):
        _core.count_layers(layers, rules, out=expected)
        numpy_count.count_layers(layers, rules, out)
        assert np.array_equal(out.view(np.int64), expected.view(np.int64)), rules


def seconds_a_call(call: Callable[[], object], n_calls: int) -> float:
    """Mean over a run of calls."""
    start = time.perf_counter()
    for _ in range(n_calls):
        call()
    return (time.perf_counter() - start) / n_calls


def measure_size(
    n_layers: int, rounds: int, rules: str, in_motifs: bool, copy: MemoryCopy
) -> dict[str, float]:
    layers, out = mixed_table(n_layers, in_motifs=in_motifs), touched_costs(n_layers)
    check_answers(layers, out)
    core = partial(_core.count_layers, layers, rules, out=out)
    # No layers: what the call itself costs, its arguments included.
    empty = partial(_core.count_layers, layers[:0], rules, out=out[:0])
    rival = partial(numpy_count.count_layers, layers, rules, out)
    n_calls = max(1, 100_000 // n_layers)
    times: dict[str, list[float]] = {"core": [], "call": [], "numpy": []}
    for _ in range(rounds):
        times["numpy"].append(seconds_a_call(rival, max(1, n_calls // 10)))
        copy.measure()
        times["core"] += [seconds_a_call(core, n_calls) for _ in range(3)]
        times["call"].append(seconds_a_call(empty, 2_000))
    best = {name: min(values) for name, values in times.items()}
    per_layer = (best["core"] - best["call"]) / n_layers
    return {
        "n_layers": n_layers,
        "layers_per_second": n_layers / best["core"],
        "ns_per_layer": per_layer * 1e9,
        "call_us": best["call"] * 1e6,
        "numpy_ns_per_layer": best["numpy"] / n_layers * 1e9,
        "numpy_ratio": best["numpy"] / best["core"],
        "bytes_per_second": BYTES_A_LAYER * n_layers / best["core"],
    }


def measure_resnet50(rounds: int, rules: str) -> dict[str, float]:
    layers = resnet50_table()
    check_resnet50(layers)
    costs = touched_costs(layers.size)
    check_answers(layers, costs)
    numpy_count.count_layers(layers, rules, costs)
    totals = dict(zip(_core.METRICS, _core.count_totals(layers, rules), strict=True))
    assert totals == {metric: int(costs[metric].sum()) for metric in _core.METRICS}
    count = partial(_core.count_totals, layers, rules)
    times: dict[str, list[float]] = {"totals": [], "empty": []}
    for _ in range(10 * rounds):
        times["totals"].append(seconds_a_call(count, 1_000))
        times["empty"].append(seconds_a_call(_core.empty_call, 1_000))
    return {
        "n_layers": layers.size,
        "totals_us": min(times["totals"]) * 1e6,
        "empty_call_us": min(times["empty"]) * 1e6,
    }


def measure(sizes: list[int], rounds: int, rules: str, in_motifs: bool) -> dict[str, object]:
    gc.disable()
    copy = MemoryCopy()
    copy.check()
    rows = [measure_size(n_layers, rounds, rules, in_motifs, copy) for n_layers in sizes]
    copy.measure(rounds)
    for row in rows:
        row["copy_share"] = row["bytes_per_second"] / copy.bytes_per_second
    costs = [row["ns_per_layer"] for row in rows]
    return {
        "rules": rules,
        "in_motifs": in_motifs,
        "copy_bytes_per_second": copy.bytes_per_second,
        "tables": rows,
        "spread": max(costs) / min(costs),
        "resnet50": measure_resnet50(rounds, rules),
    }


def _verdict(reached: bool) -> str:
    return "reached" if reached else "NOT reached"


def print_results(results: dict) -> None:
    copy = results["copy_bytes_per_second"] / 1e9
    order = "in motifs" if results["in_motifs"] else "in random order"
    print(f"rules={results['rules']!r}, kinds {order}, one thread")
    print(f"{BYTES_A_LAYER} bytes a layer read + written")
    print(f"memory copy, read + written: {copy:.1f} GB/s\n")
    print("    layers   layers/s  ns/layer  numpy ns/layer  ratio   GB/s  share of copy")
    for row in results["tables"]:
        print(
            f"{row['n_layers']:10,} {row['layers_per_second'] / 1e6:8.1f} M"
            f" {row['ns_per_layer']:9.1f} {row['numpy_ns_per_layer']:15.1f}"
            f" {row['numpy_ratio']:5.1f}x {row['bytes_per_second'] / 1e9:6.1f}"
            f" {row['copy_share']:13.0%}"
        )
    largest = results["tables"][-1]
    share, ratio, spread = largest["copy_share"], largest["numpy_ratio"], results["spread"]
    resnet50 = results["resnet50"]
    print(f"\nat {largest['n_layers']:,} layers:")
    goals = (
        (
            f"share of copy bandwidth {share:.0%}",
            f">= {MIN_COPY_SHARE:.0%}",
            share >= MIN_COPY_SHARE,
        ),
        ("  the aim", f">= {AIMED_COPY_SHARE:.0%}", share >= AIMED_COPY_SHARE),
        (f"against numpy {ratio:.1f}x", f">= {MIN_NUMPY_RATIO}x", ratio >= MIN_NUMPY_RATIO),
        (f"most / least ns a layer {spread:.2f}", f"<= {MAX_SPREAD}", spread <= MAX_SPREAD),
        (
            f"ResNet-50 totals {resnet50['totals_us']:.2f} us a call"
            f" (an empty call: {resnet50['empty_call_us']:.3f} us)",
            f"< {MAX_RESNET50_SECONDS * 1e6:.0f} us",
            resnet50["totals_us"] < MAX_RESNET50_SECONDS * 1e6,
        ),
    )
    for measured, goal, reached in goals:
        print(f"  {measured:58} goal {goal:8} {_verdict(reached)}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results there too")
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES, metavar="N")
    parser.add_argument("--rounds", type=int, default=5, help="turns of core, numpy and copy")
    parser.add_argument("--rules", choices=("torchstat", "full"), default="torchstat")
    parser.add_argument(
        "--random-kinds",
        action="store_true",
        help="kinds in no order at all, every kind as likely: the core's worst case",
    )
    arguments = parser.parse_args()
    results = measure(
        sorted(arguments.sizes), arguments.rounds, arguments.rules, not arguments.random_kinds
    )
    print_results(results)
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
