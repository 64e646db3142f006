"""pytest-benchmark: bit-width search, and the numpy formulations of the same sums.

Answers are asserted before they are timed; times are shown, never asserted.
`bench/search_bits.py` puts the same measurements beside their goals.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy_bits import FORMULATIONS
from pytest_benchmark.fixture import BenchmarkFixture
from search_bits import ALL_METRICS, check_answers, layer_macs, network, random_candidates

from bopscount import BitSearch, LayerTable

Candidates = tuple[LayerTable, np.ndarray, np.ndarray]


@pytest.fixture(scope="module")
def candidates() -> Candidates:
    """Candidates whose costs core, changed tables and numpy agree on."""
    table = network()
    weights, inputs = random_candidates(20_000, len(table.mac_layers))
    check_answers(table, weights, inputs)
    return table, weights, inputs


@pytest.mark.parametrize("metrics", [("bops",), ALL_METRICS], ids=["Bops", "all metrics"])
@pytest.mark.parametrize("n_threads", [1, 2])
@pytest.mark.benchmark(group="20,000 candidates")
def test_candidates_are_counted(
    benchmark: BenchmarkFixture, candidates: Candidates, n_threads: int, metrics: tuple[str, ...]
) -> None:
    table, weights, inputs = candidates
    benchmark(BitSearch(table, metrics=metrics).count, weights, inputs, n_threads=n_threads)


@pytest.mark.parametrize("formulation", FORMULATIONS)
@pytest.mark.benchmark(group="20,000 candidates")
def test_numpy_counts_candidates(
    benchmark: BenchmarkFixture,
    candidates: Candidates,
    formulation: Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray],
) -> None:
    table, weights, inputs = candidates
    benchmark(formulation, weights, inputs, layer_macs(table))


@pytest.mark.benchmark(group="one candidate")
def test_one_candidate_is_counted(benchmark: BenchmarkFixture, candidates: Candidates) -> None:
    table, weights, inputs = candidates
    benchmark(BitSearch(table).count, weights[:1], inputs[:1])
