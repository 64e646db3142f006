"""pytest-benchmark: `python -m pytest bench`. One group a size: core, numpy, memory copy.

Answers are asserted before they are timed; times are shown, never asserted.
`bench/counting.py` puts the same measurements beside their goals.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy_count
import pytest
from bandwidth import MemoryCopy
from counting import BYTES_A_LAYER, SIZES, check_answers
from layer_tables import mixed_table, touched_costs
from pytest_benchmark.fixture import BenchmarkFixture
from resnet50_table import check_resnet50, resnet50_table

from bopscount import _core

ROUNDS = 5


@pytest.fixture(scope="module", params=SIZES, ids="{:.0e}".format)
def checked_table(request: pytest.FixtureRequest) -> tuple[np.ndarray, np.ndarray]:
    """A mixed table and a touched output, after core and numpy agreed on it."""
    layers, out = mixed_table(request.param), touched_costs(request.param)
    check_answers(layers, out)
    return layers, out


def time_by_layer(
    benchmark: BenchmarkFixture, call: Callable[[], object], n_layers: int, n_bytes: int
) -> None:
    benchmark.group = f"{n_layers:,} layers"
    iterations = max(1, 100_000 // n_layers)
    benchmark.pedantic(call, rounds=ROUNDS, iterations=iterations, warmup_rounds=1)
    if benchmark.stats is None:  # --benchmark-disable
        return
    best = benchmark.stats.stats.min
    benchmark.extra_info["ns_per_layer"] = best / n_layers * 1e9
    benchmark.extra_info["gigabytes_per_second"] = n_bytes / best / 1e9


def test_core_counts_a_table(
    benchmark: BenchmarkFixture, checked_table: tuple[np.ndarray, np.ndarray]
) -> None:
    layers, out = checked_table
    time_by_layer(
        benchmark,
        lambda: _core.layer_costs(layers, "torchstat", out=out),
        layers.size,
        BYTES_A_LAYER * layers.size,
    )


def test_numpy_counts_a_table(
    benchmark: BenchmarkFixture, checked_table: tuple[np.ndarray, np.ndarray]
) -> None:
    layers, out = checked_table
    time_by_layer(
        benchmark,
        lambda: numpy_count.layer_costs(layers, "torchstat", out),
        layers.size,
        BYTES_A_LAYER * layers.size,
    )


def test_memory_copy_of_as_many_bytes(
    benchmark: BenchmarkFixture, checked_table: tuple[np.ndarray, np.ndarray]
) -> None:
    layers, _ = checked_table
    copy = MemoryCopy(BYTES_A_LAYER * layers.size // 2)
    copy.check()
    time_by_layer(benchmark, copy.run, layers.size, copy.bytes_moved)


@pytest.mark.benchmark(group="ResNet-50")
def test_core_totals_a_resnet50(benchmark: BenchmarkFixture) -> None:
    layers = resnet50_table()
    check_resnet50(layers)
    benchmark(_core.count_totals, layers)


@pytest.mark.benchmark(group="ResNet-50")
def test_empty_call_into_the_core(benchmark: BenchmarkFixture) -> None:
    assert _core.empty_call() is None
    benchmark(_core.empty_call)
