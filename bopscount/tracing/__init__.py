"""Recording: from a model and its inputs to a `LayerTable`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bopscount.errors import InputError, TraceError
from bopscount.tracing.driver import Driver, Forward
from bopscount.tracing.model import on_meta

if TYPE_CHECKING:
    from torch import nn

    from bopscount.tracing.inputs import ForwardCall

RUNS = ("auto", "never")


def check_run(run: object) -> None:
    """InputError unless it is "auto" or "never"."""
    if run not in RUNS:
        raise InputError(f"run must be 'auto' or 'never', got {run!r}")


def record(
    model: nn.Module,
    call: ForwardCall,
    *,
    run: str,
    training: bool,
    forward: Forward | None = None,
) -> Driver:
    """Records one forward call on meta tensors, or for real if that is the only way.

    A model that asks for values (`.item()`, `nonzero`, a branch on data) cannot be
    followed on meta; it is then run on its own device, under `run="auto"`.
    """
    driver = Driver(model)
    try:
        driver.run(call, training, forward)
        return driver
    except TraceError as error:
        if run == "never":
            error.args = (f"{error.args[0]}; run='auto' would run the model itself",)
            raise
        if on_meta(model) or call.is_on_meta:
            raise
    driver = Driver(model, real=True)
    driver.run(call.with_values(), training, forward)
    return driver
