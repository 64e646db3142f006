"""The contract between the core's tracer and the Python half of a trace."""

from __future__ import annotations

import pytest
from torch import nn

from bopscount import _core
from bopscount.tracing.driver import Driver
from bopscount.tracing.functions import ANSWERS
from bopscount.tracing.host import TraceHost

CALLBACKS = (
    "classify",
    "adapt",
    "rewrite",
    "view",
    "constant",
    "keep",
    "is_tainted",
    "run_for_real",
    "fall_back",
    "ask_stand_in",
)


def test_the_driver_is_a_host():
    host: TraceHost = Driver(nn.Linear(2, 2))
    _core.Tracer(host, ANSWERS, False)


@pytest.mark.parametrize("name", CALLBACKS)
def test_a_missing_callback_is_named(name):
    host = type("Host", (), dict.fromkeys(CALLBACKS, print) | {name: None})()
    with pytest.raises(TypeError, match=rf"Host is no TraceHost: it has no {name}\(\)"):
        _core.Tracer(host, ANSWERS, False)


def test_every_callback_is_in_the_protocol():
    assert all(hasattr(TraceHost, name) for name in CALLBACKS)
