"""Traces and forwards of several threads, and a trace inside a forward, keep apart."""

import sys
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from support.untouched import CHANNELS, SIZE, Messy, scan, snapshot, torch_state, trace
from torch import nn

import bopscount
from bopscount import TraceError


@pytest.mark.parametrize("same_model", [True, False], ids=["one model", "two models"])
def test_threads_that_trace_at_once_get_equal_results_and_leave_nothing(same_model):
    def network():
        return nn.Sequential(
            nn.Conv2d(CHANNELS, 4, 3),
            nn.BatchNorm2d(4),
            nn.Sequential(nn.ReLU(), nn.Flatten(), nn.Linear(144, 2)),
        )

    first = network()
    models = [first, first if same_model else network()]
    expected = [row.costs() for row in bopscount.count(trace(first)).rows]
    before = [snapshot(model) for model in models]
    barrier = threading.Barrier(2)

    def work(model):
        barrier.wait()
        return [[row.costs() for row in bopscount.count(trace(model)).rows] for _ in range(10)]

    with ThreadPoolExecutor(2) as pool:
        results = list(pool.map(work, models))
    assert results == [[expected] * 10] * 2
    assert [snapshot(model) for model in models] == before


def test_a_trace_that_raises_in_one_thread_does_not_disturb_the_other():
    good = nn.Sequential(nn.Conv2d(CHANNELS, 4, 3), nn.ReLU())
    bad = nn.Sequential(good, Messy(RuntimeError("broken")))
    expected = scan(good)
    before = snapshot(bad)
    barrier = threading.Barrier(2)

    def work_well():
        barrier.wait()
        return [scan(good) for _ in range(10)]

    def work_badly():
        barrier.wait()
        for _ in range(10):
            with pytest.raises(TraceError):
                scan(bad)

    with ThreadPoolExecutor(2) as pool:
        well, badly = pool.submit(work_well), pool.submit(work_badly)
        badly.result()
        assert well.result() == [expected] * 10
    assert snapshot(bad) == before


def test_a_forward_of_another_thread_is_not_counted():
    model = nn.Sequential(nn.Conv2d(CHANNELS, 4, 3), nn.ReLU())
    expected = scan(model)
    stop = threading.Event()

    def use():
        with torch.no_grad():
            while not stop.is_set():
                model(torch.zeros(1, *SIZE))

    thread = threading.Thread(target=use)
    thread.start()
    try:
        assert [scan(model) for _ in range(20)] == [expected] * 20
    finally:
        stop.set()
        thread.join()


def test_another_thread_s_unrelated_model_runs_as_ever_and_is_not_counted():
    traced = nn.Sequential(nn.Conv2d(CHANNELS, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout())
    other = nn.Sequential(
        nn.Conv2d(CHANNELS, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(144, 2)
    ).eval()
    x = torch.rand(1, *SIZE)
    seen = []
    other[0].register_forward_hook(lambda module, args, output: seen.append(output.device.type))
    with torch.no_grad():
        right = other(x) @ torch.ones(2, 2)
    expected, before = bopscount.count(trace(traced)), snapshot(other)
    stop, errors, runs = threading.Event(), [], []

    def use():
        with torch.no_grad():
            while not stop.is_set():
                runs.append(1)
                if not torch.equal(other(x) @ torch.ones(2, 2), right):
                    errors.append("another result")

    thread = threading.Thread(target=use)
    thread.start()
    try:
        reports = [bopscount.count(trace(traced)) for _ in range(30)]
    finally:
        stop.set()
        thread.join()
    assert not errors
    assert len(runs) + 1 == len(seen)
    assert set(seen) == {"cpu"}
    assert all(report.layers == expected.layers for report in reports)
    assert snapshot(other) == before


def test_another_thread_s_unrelated_model_does_as_much_as_ever():
    """The calls that it makes, while a trace of the same classes stands in its middle."""

    def network():
        return nn.Sequential(nn.Conv2d(CHANNELS, 4, 3), nn.BatchNorm2d(4), nn.ReLU()).eval()

    class Waits(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = network()

        def forward(self, x):
            tracing.set()
            assert counted.wait(60)
            return self.inner(x)

    other, x = network(), torch.rand(1, *SIZE)

    @torch.no_grad()
    def calls():
        made = Counter()
        sys.setprofile(lambda _frame, event, _argument: made.update([event]))
        try:
            other(x)
        finally:
            sys.setprofile(None)
        return made

    calls()  # what torch does on a first call
    tracing, counted, alone = threading.Event(), threading.Event(), calls()
    with ThreadPoolExecutor(1) as pool:
        trace_of_waits = pool.submit(scan, Waits())
        assert tracing.wait(60)
        beside = calls()
        counted.set()
        assert trace_of_waits.result().macs == 36 * 4 * 27
    assert beside == alone
    assert alone["call"] > len(other)


def test_a_thread_that_forward_starts_is_not_traced_and_ends_well():
    class Threaded(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.side = nn.Conv2d(CHANNELS, 4, 3), nn.Linear(4, 4)

        def forward(self, x):
            with ThreadPoolExecutor(1) as pool:
                self.result = pool.submit(self.side, torch.ones(1, 4)).result()
            assert not self.result.is_meta
            return self.conv(x)

    model = Threaded()
    assert scan(model).macs == 36 * 4 * 27
    assert not hasattr(model, "result")


def test_a_model_traced_inside_another_s_forward_is_its_own():
    inner, sums = nn.Linear(8, 2, bias=False), []

    class Nested(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(CHANNELS, 4, 3, bias=False)

        def forward(self, x):
            x = self.conv(x)
            sums.append(bopscount.scan(inner, (8,)).macs)
            return self.conv(x[:, :3])

    before = torch_state()
    assert scan(Nested()).macs == 108 * (36 + 16)
    assert sums == [16]
    assert torch_state() == before
