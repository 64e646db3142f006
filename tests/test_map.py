"""Many models over executors."""

import pickle
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from functools import partial
from multiprocessing import get_context

import pytest
import torch
from torch import nn

import bopscount
from bopscount import InputError, TraceError

WIDTHS = range(1, 21)
BUILDERS = [partial(nn.Linear, 8, width, bias=False) for width in WIDTHS]


def wrong():
    raise RuntimeError("no such width")


@pytest.fixture(scope="module")
def processes():
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        yield pool


def test_results_stand_in_order_whatever_the_executor(processes):
    expected = [8 * width for width in WIDTHS]
    with ThreadPoolExecutor(2) as threads:
        for executor in (None, threads, processes):
            for chunk_size in (None, 1, 7, 100):
                found = bopscount.map(
                    BUILDERS, (8,), executor=executor, chunk_size=chunk_size
                )  # fmt: skip
                assert [totals.macs for totals in found] == expected


def test_modules_and_options_travel(processes):
    models = [nn.Conv2d(3, 4, 3), nn.ReLU()]
    found = bopscount.map(models, (3, 6, 6), executor=processes, rules="full", batch_size=2)
    assert found == [
        bopscount.scan(model, (3, 6, 6), rules="full", batch_size=2) for model in models
    ]
    inputs = {"input": torch.zeros(2, 8)}
    assert bopscount.map(BUILDERS[:2], inputs=inputs, executor=processes) == [
        bopscount.scan(builder, inputs=inputs) for builder in BUILDERS[:2]
    ]


def test_tables_come_back(processes):
    here, there = (
        bopscount.map(BUILDERS[:3], (8,), call="trace", executor=executor)
        for executor in (None, processes)
    )
    for mine, other in zip(here, there, strict=True):
        assert mine.totals() == other.totals()
        assert mine.ops == other.ops


@pytest.mark.parametrize("chunk_size", [1, 3])
def test_a_failing_candidate_is_its_error_and_the_rest_go_on(processes, chunk_size):
    models = [BUILDERS[0], wrong, BUILDERS[1], partial(nn.Linear, 9, 1), BUILDERS[2]]
    for executor in (None, processes):
        found = bopscount.map(models, (8,), executor=executor, chunk_size=chunk_size)
        assert [type(result) for result in found] == [
            bopscount.Totals, InputError, bopscount.Totals, TraceError, bopscount.Totals,
        ]  # fmt: skip
        assert "no such width" in str(found[1])
        assert found[3].input_shapes == ((1, 8),)


def test_what_cannot_travel_is_an_error_of_its_chunk(processes):
    found = bopscount.map(
        [BUILDERS[0], lambda: nn.Linear(8, 1)], (8,), executor=processes, chunk_size=1
    )
    assert found[0].macs == 8
    assert isinstance(found[1], Exception)


def test_results_are_small():
    (totals,) = bopscount.map(BUILDERS[:1], (8,))
    assert len(pickle.dumps(totals)) < 500
    chain = nn.Sequential(*(nn.Linear(8, 8) for _ in range(200)))
    table = bopscount.trace(chain, (8,))
    assert len(pickle.dumps(table)) < 200 * 600
    assert len(pickle.dumps(bopscount.count(table))) < 200 * 2000


def test_no_models_are_no_results():
    assert bopscount.map([], (8,)) == []


def test_an_interrupt_cancels_what_has_not_begun(processes, monkeypatch):
    def interrupted(tasks):
        raise KeyboardInterrupt
        yield

    monkeypatch.setattr("bopscount.parallel.as_completed", interrupted)
    with pytest.raises(KeyboardInterrupt):
        bopscount.map(BUILDERS * 5, (8,), executor=processes, chunk_size=1)
    monkeypatch.undo()
    assert bopscount.map(BUILDERS[:1], (8,), executor=processes)[0].macs == 8


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"executor": 2}, "executor must be a concurrent.futures.Executor"),
        ({"call": "stat"}, "call must be 'scan' or 'trace', got 'stat'"),
        ({"chunk_size": 0}, "chunk_size must be a whole number of at least 1, got 0"),
        ({"models": nn.Sequential(nn.Linear(8, 1))}, "models must be several models"),
        ({"models": nn.Linear(8, 1)}, "models must be several models"),
    ],
)
def test_bad_arguments(arguments, words):
    with pytest.raises(InputError, match=words):
        bopscount.map(**{"models": BUILDERS, "input_size": (8,), **arguments})


def test_dask():
    distributed = pytest.importorskip("distributed")
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, dashboard_address=None
    ) as cluster, distributed.Client(cluster) as client:  # fmt: skip
        found = bopscount.map([*BUILDERS, wrong], (8,), executor=client.get_executor())
    assert [totals.macs for totals in found[:-1]] == [8 * width for width in WIDTHS]
    assert isinstance(found[-1], InputError)
