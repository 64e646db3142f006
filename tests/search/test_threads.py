"""The number of threads, as every search takes it."""

from __future__ import annotations

import os

import pytest

from bopscount.errors import InputError
from bopscount.search.threads import thread_count


def test_none_is_every_core_that_the_process_may_use() -> None:
    assert thread_count(None) == len(os.sched_getaffinity(0))


def test_none_is_all_cores_where_the_system_has_no_affinity(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: 12)
    assert thread_count(None) == 12


def test_a_number_is_taken_as_it_is() -> None:
    assert thread_count(1) == 1
    assert thread_count(1000) == 1000


@pytest.mark.parametrize("bad", [0, -1, 1.0, "2", True, [1]])
def test_anything_else_is_refused_by_value(bad: object) -> None:
    with pytest.raises(InputError, match="n_threads must be None") as caught:
        thread_count(bad)
    assert repr(bad) in str(caught.value)
