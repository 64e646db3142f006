"""Many models over executors."""

import pickle
import resource
import sys
import types
import weakref
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from functools import partial
from multiprocessing import get_context

import pytest
import torch
from support.map_cases import BUILDERS, WIDTHS, SignLinear, die, odd_bits, wrong
from torch import nn

import bopscount
from bopscount import InputError, TraceError


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
    assert len(pickle.dumps(table)) < 200 * 400
    assert len(pickle.dumps(bopscount.count(table))) < 200 * 500


def test_no_models_are_no_results():
    assert bopscount.map([], (8,)) == []


def test_an_error_among_the_models_reaches_the_caller_and_the_executor_serves_on(processes):
    def models():
        yield from BUILDERS
        raise KeyboardInterrupt

    for executor in (None, processes):
        with pytest.raises(KeyboardInterrupt):
            bopscount.map(models(), (8,), executor=executor, chunk_size=1)
    assert bopscount.map(BUILDERS[:1], (8,), executor=processes)[0].macs == 8


def test_a_generator_is_drawn_as_tasks_are_done(monkeypatch):
    monkeypatch.setattr("bopscount.parallel._IN_FLIGHT", 2)
    alive = weakref.WeakSet()
    most = 0

    def models():
        nonlocal most
        for width in range(1, 51):
            model = nn.Linear(8, width)
            alive.add(model)
            most = max(most, len(alive))
            yield model

    for executor in (None, ThreadPoolExecutor(1)):
        found = bopscount.map(models(), (8,), executor=executor, chunk_size=2)
        assert [totals.macs for totals in found] == [8 * width for width in range(1, 51)]
        assert most < 20
        if executor:
            executor.shutdown()


def test_an_error_keeps_no_model_alive():
    alive = weakref.WeakSet()

    class Failing(nn.Linear):
        def forward(self, x):
            raise RuntimeError("no")

    def models():
        for _ in range(3):
            model = Failing(8, 8)
            alive.add(model)
            yield model

    found = bopscount.map(models(), (8,))
    assert [type(error) for error in found] == [TraceError] * 3
    assert not alive


def test_an_error_that_does_not_unpickle_leaves_the_pool_whole(processes):
    found = bopscount.map(BUILDERS[:2], (8,), executor=processes, bits=odd_bits)
    assert [str(error) for error in found] == ["OddError: 1 and 2"] * 2
    assert bopscount.map(BUILDERS[:1], (8,), executor=processes)[0].macs == 8


def test_a_dead_worker_is_the_error_of_every_candidate_after_it():
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        found = bopscount.map([BUILDERS[0], die, *BUILDERS], (8,), executor=pool, chunk_size=1)
    assert len(found) == len(BUILDERS) + 2
    assert isinstance(found[1], Exception)


def test_many_tensors_need_no_open_files(processes):
    # Each tensor in shared memory would be one: here 6,400, and usually 1,024 are allowed.
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    models = [nn.Sequential(*(nn.Linear(2, 2) for _ in range(100))) for _ in range(32)]
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(512, hard), hard))
    try:
        found = bopscount.map(models, (2,), executor=processes)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert [totals.macs for totals in found] == [400] * 32


def test_what_the_caller_registered_holds_in_the_workers(processes):
    models = [partial(SignLinear, 8, 8)]
    for bits in (1, 2):
        bopscount.register_layer(SignLinear, weight_bits=bits, input_bits=bits)
        try:
            (found,) = bopscount.map(models, (8,), executor=processes)
        finally:
            bopscount.unregister_layer(SignLinear)
        assert found.bops == 64 * bits * bits
    (found,) = bopscount.map(models, (8,), executor=processes)
    assert found.bops == 0


def test_a_rule_that_does_not_load_in_a_worker_is_an_error_of_its_own_class_only(
    processes, monkeypatch
):
    ghost = types.ModuleType("ghost")
    exec("def width(module):\n    return 1", ghost.__dict__)  # importable here, nowhere else
    monkeypatch.setitem(sys.modules, "ghost", ghost)
    models = [partial(SignLinear, 8, 2), BUILDERS[1]]
    bopscount.register_layer(SignLinear, weight_bits=ghost.width, input_bits=1)
    try:
        refused, counted = bopscount.map(models, (8,), executor=processes)
    finally:
        bopscount.unregister_layer(SignLinear)
    assert isinstance(refused, TraceError)
    assert "map_cases.SignLinear does not load here: ModuleNotFoundError" in str(refused)
    assert counted.macs == 16


def test_a_progress_bar_counts_every_model(monkeypatch):
    class Bar:
        def __init__(self, title, total, unit):
            self.total, self.done, self.closed = total, [], False
            bars.append(self)

        def update(self, n):
            self.done.append(n)

        def close(self):
            self.closed = True

    bars = []
    monkeypatch.setattr("bopscount.parallel.progress_bar", Bar)
    bopscount.map(BUILDERS, (8,))
    with ThreadPoolExecutor(2) as threads:
        bopscount.map(iter(BUILDERS), (8,), executor=threads, chunk_size=7)
    assert [bar.total for bar in bars] == [20, None]
    assert [sorted(bar.done) for bar in bars] == [[1] * 20, [6, 7, 7]]
    assert all(bar.closed for bar in bars)


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
