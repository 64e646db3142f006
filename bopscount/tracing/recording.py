"""Recording: from a model and its inputs to a `Records`."""

from __future__ import annotations

from typing import TYPE_CHECKING
from weakref import WeakSet

from bopscount.errors import TraceError
from bopscount.tracing.driver import Driver, Forward
from bopscount.tracing.model import on_meta

if TYPE_CHECKING:
    from torch import nn

    from bopscount.tracing.inputs import ForwardCall

_ASK_FOR_VALUES: WeakSet[type[nn.Module]] = WeakSet()
"""Classes of models that asked for the values of a mask or a range they had made."""


def record(
    model: nn.Module,
    call: ForwardCall,
    *,
    run: str,
    training: bool,
    forward: Forward | None = None,
) -> Driver:
    """Records one forward call on meta tensors, or for real if that is the only way.

    What a forward makes from shapes alone, such as masks and ranges, has no values at first,
    which most never ask for; they are kept in a second try. A model that asks for values of
    its input (`.item()`, `nonzero`, a branch on data) cannot be followed on meta at all; it is
    then run on its own device, under `run="auto"`.
    """
    try:
        return _record_on_meta(model, call, training, forward)
    except TraceError as error:
        if run == "never":
            error.args = (f"{error.args[0]}; run='auto' would run the model itself",)
            raise
        if on_meta(model) or call.is_on_meta:
            raise
    driver = Driver(model, real=True)
    driver.run(call.with_values(), training, forward)
    return driver


def _record_on_meta(
    model: nn.Module, call: ForwardCall, training: bool, forward: Forward | None
) -> Driver:
    cls = type(model)
    driver = Driver(model, keeps_values=cls in _ASK_FOR_VALUES)
    try:
        driver.run(call, training, forward)
        return driver
    except TraceError:
        if not driver.dropped_values:
            raise
    driver = Driver(model)
    driver.run(call, training, forward)
    if not cls.__module__.startswith("torch."):  # an nn.Sequential says nothing of the next
        _ASK_FOR_VALUES.add(cls)
    return driver
