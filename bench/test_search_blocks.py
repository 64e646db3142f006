"""pytest-benchmark: blocks of candidates' records, on one and two threads.

Answers are asserted before they are timed; times are shown, never asserted.
`bench/search_blocks.py` puts the same measurements beside their goals.
"""

from __future__ import annotations

import numpy as np
import pytest
from pytest_benchmark.fixture import BenchmarkFixture
from search_blocks import candidate_block, check_answers

import bopscount


@pytest.fixture(scope="module")
def block() -> np.ndarray:
    """Candidates whose totals core and numpy agree on."""
    candidates = candidate_block(1_000)
    check_answers(candidates)
    return candidates


@pytest.mark.parametrize("n_threads", [1, 2])
@pytest.mark.benchmark(group="1,000 ResNet-50s")
def test_records_of_candidates_are_counted(
    benchmark: BenchmarkFixture, block: np.ndarray, n_threads: int
) -> None:
    benchmark(bopscount.count_layers, block, n_threads=n_threads)
    if benchmark.stats is not None:
        benchmark.extra_info["records_per_second"] = block.size / benchmark.stats.stats.min


@pytest.mark.benchmark(group="one ResNet-50")
def test_one_candidate_is_counted(benchmark: BenchmarkFixture, block: np.ndarray) -> None:
    benchmark(bopscount.count_layers, block[0], n_threads=1)
