"""What takes long shows a bar on a terminal, none elsewhere, and can be interrupted."""

import io
import time

import pytest
import torch
from torch import nn
from tqdm import tqdm

import bopscount
from bopscount import progress


class Slow(nn.Module):
    """Takes its time wherever it runs, but for traces on meta."""

    def __init__(self, interrupted_after=None):
        super().__init__()
        self.interrupted_after = interrupted_after

    def forward(self, x):
        if not x.is_meta:
            STARTED.append(time.perf_counter())
            time.sleep(0.02)
            if len(STARTED) == self.interrupted_after:
                raise KeyboardInterrupt
        return x * 1


class ByValue(nn.Module):
    """Is run to be recorded: it looks at values."""

    def __init__(self, **options):
        super().__init__()
        self.layers = nn.Sequential(*(Slow(**options) for _ in range(10)))

    def forward(self, x):
        return self.layers(x) if x.sum().item() > float("-inf") else x


STARTED: list[float] = []


class Stream(io.StringIO):
    def __init__(self, terminal):
        super().__init__()
        self.terminal = terminal

    def isatty(self):
        return self.terminal


@pytest.fixture
def stderr(monkeypatch):
    """Puts a terminal, or a pipe, in the place of standard error; bars come early."""

    def put(terminal, shown_after=0.05):
        stream = Stream(terminal)
        monkeypatch.setattr("sys.stderr", stream)
        monkeypatch.setattr(progress, "SHOWN_AFTER", shown_after)
        return stream

    STARTED.clear()
    return put


def layers(**options):
    return nn.Sequential(*(Slow(**options) for _ in range(10)))


def timed(**options):
    bopscount.stat(layers(**options), (4,))


def run(**options):
    bopscount.trace(ByValue(**options), (4,))


LONG = {"timing": (timed, "timing"), "a run": (run, "recording by running")}
long_calls = pytest.mark.parametrize(("call", "title"), LONG.values(), ids=LONG)


def last_line(stream):
    """What is left to see of the line that the bar was on."""
    return stream.getvalue().split("\r")[-1].strip()


@long_calls
def test_on_a_terminal_a_bar_is_shown_and_taken_away(call, title, stderr, capsys):
    stream = stderr(terminal=True)
    call()
    assert title in stream.getvalue()
    assert last_line(stream) == ""


@long_calls
def test_piped_there_is_no_bar(call, title, stderr, capsys):
    stream = stderr(terminal=False)
    call()
    assert stream.getvalue() == ""


@long_calls
def test_what_ends_within_a_second_shows_no_bar(call, title, stderr, capsys):
    stream = stderr(terminal=True, shown_after=30)
    call()
    assert title not in stream.getvalue()


def test_a_bar_comes_after_a_second():
    assert progress.SHOWN_AFTER == 1.0


@long_calls
def test_an_interrupt_takes_the_bar_away_and_leaves_nothing(call, title, stderr, capsys):
    stream = stderr(terminal=True)
    with pytest.raises(KeyboardInterrupt):
        call(interrupted_after=8)
    assert len(STARTED) == 8
    assert title in stream.getvalue()
    assert last_line(stream) == ""
    assert not tqdm._instances
    assert bopscount.scan(nn.Linear(4, 2), (4,)).macs == 8
    assert torch.is_grad_enabled()
