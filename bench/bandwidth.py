"""This machine's memory-copy bandwidth on one thread."""

from __future__ import annotations

import time

import numpy as np

COPY_BYTES = 1 << 29
"""Size of each of the two arrays: far over any second-level cache."""


class MemoryCopy:
    """Two big arrays, every page touched, and the copy of one onto the other.

    Bandwidth counts the bytes that the program reads plus those that it writes, twice
    the array's size. What the processor may fetch besides (a line about to be
    overwritten) is not counted, neither here nor for the core.
    """

    def __init__(self, n_bytes: int = COPY_BYTES) -> None:
        self.source = np.ones(n_bytes // 8)
        self.target = np.zeros_like(self.source)
        self.target.fill(2)
        self.bytes_moved = 2 * self.source.nbytes
        self.best_seconds = float("inf")

    def run(self) -> None:
        np.copyto(self.target, self.source)

    def check(self) -> None:
        self.run()
        assert np.array_equal(self.source, self.target)

    def measure(self, repeats: int = 1) -> None:
        """Times the copy; the best time counts."""
        for _ in range(repeats):
            start = time.perf_counter()
            self.run()
            self.best_seconds = min(self.best_seconds, time.perf_counter() - start)

    @property
    def bytes_per_second(self) -> float:
        return self.bytes_moved / self.best_seconds
