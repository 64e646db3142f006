"""Timing on a machine that is shared: turns in one run, and the best of each counts."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TypeVar

Name = TypeVar("Name")


def seconds(call: Callable[[], object], n_calls: int = 1) -> float:
    """A call's mean over a run of calls."""
    start = time.perf_counter()
    for _ in range(n_calls):
        call()
    return (time.perf_counter() - start) / n_calls


def best_seconds(
    calls: Mapping[Name, Callable[[], object]],
    rounds: int,
    n_calls: Mapping[Name, int] | None = None,
) -> dict[Name, float]:
    """The best of `rounds` of each; they take turns."""
    best = dict.fromkeys(calls, float("inf"))
    for _ in range(rounds):
        for name, call in calls.items():
            best[name] = min(best[name], seconds(call, (n_calls or {}).get(name, 1)))
    return best


@contextmanager
def no_garbage_collection() -> Iterator[None]:
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
