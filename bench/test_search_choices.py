"""pytest-benchmark: choice search beside numpy's best. `python -m pytest bench`.

Answers are asserted before they are timed; times are shown, never asserted.
`python bench` puts the same measurements beside their goals.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
from numpy_choices import FORMULATIONS
from pytest_benchmark.fixture import BenchmarkFixture
from search_choices import (
    DTYPES,
    N_CANDIDATES,
    by_metric,
    check_answers,
    random_choices,
    random_costs,
    results_for,
    table_of,
    table_of_states,
)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n_threads", [1, 2])
def test_core_counts_choices(benchmark: BenchmarkFixture, dtype: str, n_threads: int) -> None:
    costs = random_costs()
    check_answers(costs, random_choices(5_000, DTYPES[dtype]))
    choices = random_choices(N_CANDIDATES, DTYPES[dtype])
    out = by_metric(results_for(N_CANDIDATES))
    benchmark.group = f"choice search, {dtype}"
    benchmark.pedantic(
        table_of(costs).count, (choices,), {"out": out, "n_threads": n_threads}, rounds=5
    )


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("formulation", FORMULATIONS, ids=lambda each: each.__name__)
def test_numpy_counts_choices(
    benchmark: BenchmarkFixture, dtype: str, formulation: Callable[..., None]
) -> None:
    choices = random_choices(N_CANDIDATES, DTYPES[dtype])
    benchmark.group = f"choice search, {dtype}"
    benchmark.pedantic(formulation, (random_costs(), choices, results_for(N_CANDIDATES)), rounds=2)


@pytest.mark.benchmark(group="choice search, several states")
def test_core_follows_states(benchmark: BenchmarkFixture) -> None:
    table, choices = table_of_states(random_costs()), random_choices(N_CANDIDATES)
    benchmark.pedantic(table.count, (choices,), rounds=5)


@pytest.mark.benchmark(group="choice search, one candidate")
def test_core_counts_one_candidate(benchmark: BenchmarkFixture) -> None:
    table, choices = table_of(random_costs()), random_choices(1)
    benchmark(table.count, choices)
