"""Counting a table of layers.

Tables of 10^2 to 10^7 layers, against numpy and against memory-copy bandwidth, and a recorded
ResNet-50's totals. One thread; both sides write into an output whose pages were touched before.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np
import numpy_count
from bandwidth import COPY_BYTES, MemoryCopy
from clock import best_seconds, no_garbage_collection
from layer_tables import mixed_table, touched_costs
from resnet50_table import check_resnet50, resnet50_table
from rows import Curve, Result, Row, show

from bopscount import _core

SIZES = tuple(10**power for power in range(2, 8))
QUICK_SIZES = SIZES[:4]
QUICK_COPY_BYTES = 1 << 27
VARIANT_SIZE = 10**6
SPREAD_FROM = 10**3
BYTES_A_LAYER = _core.LAYER_DTYPE.itemsize + _core.COST_DTYPE.itemsize


def check_answers(layers: np.ndarray, out: np.ndarray) -> None:
    """The core and numpy agree on every value, under both rules; both write into `out`."""
    expected = touched_costs(layers.size)
    for rules in ("full", "torchstat"):
        _core.layer_costs(layers, rules, out=expected)
        numpy_count.layer_costs(layers, rules, out)
        assert np.array_equal(out.view(np.int64), expected.view(np.int64)), rules


class Size:
    """One table: the core's, numpy's and the empty call's seconds; the copy is timed between."""

    def __init__(
        self,
        n_layers: int,
        copy: MemoryCopy,
        rounds: int,
        rules: str = "torchstat",
        *,
        in_motifs: bool = True,
    ) -> None:
        layers, out = mixed_table(n_layers, in_motifs=in_motifs), touched_costs(n_layers)
        check_answers(layers, out)
        n_calls = max(1, 100_000 // n_layers)
        calls = {
            "numpy": partial(numpy_count.layer_costs, layers, rules, out),
            "copy": copy.measure,
            "core": partial(_core.layer_costs, layers, rules, out=out),
            # No layers: what the call itself costs, its arguments included.
            "empty": partial(_core.layer_costs, layers[:0], rules, out=out[:0]),
        }
        repeats = {"numpy": max(1, n_calls // 10), "core": n_calls, "empty": 2_000}
        best = best_seconds(calls, rounds, repeats)
        self.n_layers = n_layers
        self.core_ns = (best["core"] - best["empty"]) / n_layers * 1e9
        self.numpy_ns = best["numpy"] / n_layers * 1e9
        self.numpy_ratio = best["numpy"] / best["core"]
        self.bytes_per_second = BYTES_A_LAYER * n_layers / best["core"]


def resnet50_totals_seconds(rounds: int) -> dict[str, float]:
    layers = resnet50_table()
    check_resnet50(layers)
    costs = touched_costs(layers.size)
    check_answers(layers, costs)
    totals = dict(zip(_core.METRICS, _core.count_totals(layers, "torchstat"), strict=True))
    assert totals == {metric: int(costs[metric].sum()) for metric in _core.METRICS}
    calls = {"totals": partial(_core.count_totals, layers, "torchstat"), "empty": _core.empty_call}
    return best_seconds(calls, 10 * rounds, dict.fromkeys(calls, 1_000))


def measure(quick: bool) -> Iterator[Result]:
    with no_garbage_collection():
        yield from _measure(QUICK_SIZES if quick else SIZES, rounds=5 if quick else 7)


def _measure(sizes: tuple[int, ...], rounds: int) -> Iterator[Result]:
    copy = MemoryCopy(QUICK_COPY_BYTES if sizes is QUICK_SIZES else COPY_BYTES)
    copy.check()
    tables = [Size(n_layers, copy, rounds) for n_layers in sizes]
    largest = tables[-1]
    at = f"{largest.n_layers:,} layers"

    def copy_share(table: Size) -> float:
        return 100 * table.bytes_per_second / copy.bytes_per_second

    yield Row(f"share of copy bandwidth, {at}", copy_share(largest), "%", 25, 50)
    yield Row(f"faster than numpy, {at}", largest.numpy_ratio, "x", 10)
    costs = [table.core_ns for table in tables if table.n_layers >= SPREAD_FROM]
    spread = f"dearest / cheapest layer, {SPREAD_FROM:,} to {sizes[-1]:,}"
    yield Row(spread, max(costs) / min(costs), "x", 3, more_is_better=False)
    resnet50 = resnet50_totals_seconds(rounds)
    yield Row("totals of a ResNet-50", resnet50["totals"] * 1e6, "us", 5, more_is_better=False)
    yield Row("an empty call into the core", resnet50["empty"] * 1e6, "us")
    variants = {"kinds in random order": {"in_motifs": False}, "rules='full'": {"rules": "full"}}
    for name, options in variants.items():
        table = Size(min(VARIANT_SIZE, sizes[-1]), copy, rounds, **options)
        yield Row(f"share of copy bandwidth, {name}", copy_share(table), "%")
        yield Row(f"faster than numpy, {name}", table.numpy_ratio, "x")
    copy_ns = BYTES_A_LAYER / copy.bytes_per_second * 1e9
    yield Curve(
        "Counting a table",
        "layers",
        "ns a layer",
        {
            "numpy": [(table.n_layers, table.numpy_ns) for table in tables],
            "bopscount": [(table.n_layers, table.core_ns) for table in tables],
            "memory copy of as many bytes": [(size, copy_ns) for size in sizes],
        },
    )
    yield f"{BYTES_A_LAYER} bytes a layer; memory copy {copy.bytes_per_second / 1e9:.1f} GB/s"


if __name__ == "__main__":
    show(measure(quick=False))
