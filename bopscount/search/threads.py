"""How many threads the core works on."""

from __future__ import annotations

import os

from bopscount.errors import InputError


def thread_count(n_threads: int | None) -> int:
    """`n_threads`, or as many as the process has cores to itself.

    Raises:
        InputError: For anything but None or a whole number of at least 1.
    """
    if n_threads is None:
        return available_cores()
    if type(n_threads) is not int or n_threads < 1:
        raise InputError(
            f"n_threads must be None (all cores) or a whole number of at least 1, got {n_threads!r}"
        )
    return n_threads


def available_cores() -> int:
    """Cores that this process may run on; containers and `taskset` may give it fewer."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on macOS
        return os.cpu_count() or 1
