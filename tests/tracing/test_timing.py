"""The duration[%] column is a measurement, and nothing runs where it is off."""

import time

import pytest
import torch
from torch import nn

import bopscount


class Sleeps(nn.Module):
    """A leaf that takes its time, in seconds."""

    def __init__(self, seconds):
        super().__init__()
        self.seconds = seconds

    def forward(self, x):
        time.sleep(self.seconds)
        return x


RUNS = []


class Counts(nn.Module):
    """Keeps count outside the model, where nobody puts it back."""

    def forward(self, x):
        RUNS.append((self.training, torch.is_grad_enabled(), x.is_meta))
        return x


@pytest.fixture(autouse=True)
def fresh_count():
    RUNS.clear()


def test_called_leaves_have_real_durations_that_sum_to_the_whole(capsys):
    model = nn.Sequential(Sleeps(0.004), nn.Sequential(Sleeps(0.016)), nn.Linear(4, 4))
    report = bopscount.stat(model, (4,))
    short, long, linear = (row.duration for row in report.rows)
    assert short >= 0.004
    assert long >= 0.016
    assert long > 2 * short > 0
    assert linear > 0
    shares = report.to_pandas()["duration[%]"]
    assert abs(shares.sum() - 100) < 1e-6
    assert shares[1] > 50
    assert "duration[%]" in capsys.readouterr().out


def test_a_leaf_called_twice_has_the_sum_of_its_calls(capsys):
    leaf = Sleeps(0.005)
    (row,) = bopscount.stat(nn.Sequential(leaf, leaf), (4,)).rows
    assert row.calls == 2
    assert row.duration >= 0.010


def test_a_leaf_never_called_has_no_share(capsys):
    class Skips(nn.Module):
        def __init__(self):
            super().__init__()
            self.used = nn.Linear(4, 4)
            self.unused = nn.Linear(4, 4)

        def forward(self, x):
            return self.used(x)

    used, unused = bopscount.stat(Skips(), (4,)).to_pandas()["duration[%]"]
    assert (used, unused) == (100, 0)


def test_a_coarser_row_has_the_sum_of_its_leaves(capsys):
    model = nn.Sequential(nn.Sequential(Sleeps(0.004), Sleeps(0.004)), nn.ReLU())
    row = bopscount.stat(model, (4,), 2).rows[0]
    assert row.duration >= 0.008


def test_timed_runs_are_in_eval_mode_without_gradients(capsys):
    bopscount.stat(nn.Sequential(Counts()).train(), (4,))
    timed = [run for run in RUNS if not run[2]]
    assert len(timed) >= 3
    assert set(timed) == {(False, False, False)}


def test_timing_off_leaves_the_column_out_and_runs_nothing_more(capsys):
    model = nn.Sequential(Counts())
    bopscount.trace(model, (4,))
    traced = len(RUNS)
    RUNS.clear()
    report = bopscount.stat(model, (4,), timing=False)
    assert len(RUNS) == traced <= 1
    assert "duration[%]" not in capsys.readouterr().out
    assert "duration[%]" not in report.to_pandas().columns
    assert [row.duration for row in report.rows] == [None]


def test_parameters_on_meta_switch_timing_off(capsys):
    with torch.device("meta"):
        model = nn.Sequential(nn.Linear(4, 4), Counts())
    report = bopscount.stat(model, (4,))
    assert "duration[%]" not in capsys.readouterr().out
    assert [row.duration for row in report.rows] == [None, None]
    assert all(is_meta for _, _, is_meta in RUNS)
    assert report.totals.macs == 16
    assert not report.ran_model


def test_inputs_on_meta_switch_timing_off(capsys):
    report = bopscount.stat(nn.ReLU(), inputs=torch.zeros(1, 4, device="meta"))
    assert report.rows[0].duration is None


def test_scan_trace_and_count_time_nothing():
    model = nn.Sequential(Counts())
    bopscount.scan(model, (4,))
    assert len(RUNS) <= 1
    RUNS.clear()
    report = bopscount.count(bopscount.trace(model, (4,)))
    assert len(RUNS) <= 1
    assert report.rows[0].duration is None


def test_a_forward_that_raises_only_when_timed_is_a_trace_error(capsys):
    class Tired(nn.Module):
        def forward(self, x):
            RUNS.append(x)
            if len(RUNS) > 2:
                raise RuntimeError("enough")
            return x

    with pytest.raises(bopscount.TraceError, match="timing=False") as caught:
        bopscount.stat(nn.Sequential(Tired()), (4,))
    assert isinstance(caught.value.__cause__, RuntimeError)
    assert caught.value.input_shapes == ((1, 4),)
