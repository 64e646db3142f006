"""Number of threads for the core."""

from __future__ import annotations

import os

from bopscount.errors import InputError


def thread_count(n_threads: int | None) -> int:
    """Return `n_threads`, or the number of available cores if it is None.

    Raises:
        InputError: Unless `n_threads` is None or an integer of at least 1.
    """
    if n_threads is None:
        return available_cores()
    if type(n_threads) is not int or n_threads < 1:
        raise InputError(
            f"n_threads must be None (all cores) or a whole number of at least 1, got {n_threads!r}"
        )
    return n_threads


def available_cores() -> int:
    """Return the number of cores that this process may use.

    Containers and `taskset` may allow fewer than the machine has.
    """
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on macOS
        return os.cpu_count() or 1
