"""Recording: from a model and its inputs to a `Records`."""

from __future__ import annotations

from typing import TYPE_CHECKING
from weakref import WeakSet

from torch import nn

from bopscount.errors import TraceError
from bopscount.tracing.driver import Driver, Forward
from bopscount.tracing.model import on_meta

if TYPE_CHECKING:
    from bopscount.tracing.inputs import ForwardCall


class ValuesAsked:
    """Classes of models that asked for the values of a mask or a range that they had made.

    Passed to `record`, it saves the first of two tries for the next model of such a class.
    """

    def __init__(self) -> None:
        self._classes: WeakSet[type[nn.Module]] = WeakSet()

    def __contains__(self, cls: type[nn.Module]) -> bool:
        return cls in self._classes

    def add(self, cls: type[nn.Module]) -> None:
        """Remember a class; one of torch's, such as nn.Sequential, says nothing of the next."""
        if not cls.__module__.startswith("torch."):
            self._classes.add(cls)


def record(
    model: nn.Module,
    call: ForwardCall,
    asked: ValuesAsked,
    *,
    run: str,
    training: bool,
    forward: Forward | None = None,
) -> Driver:
    """Record one forward call on meta tensors, or for real if that is the only way.

    Tensors that a forward makes from shapes alone, such as masks and ranges, have no values at
    first: most models never ask for them. A second try keeps them. A model that asks for values
    of its input (`.item()`, `nonzero`, a branch on data) cannot be followed on meta at all; under
    `run="auto"` it is run on its own device.

    Args:
        model: The model.
        call: Its inputs.
        asked: Classes that need the second try; the model's is added if it does.
        run: "auto" or "never".
        training: Keep the `training` flags.
        forward: Calls the model, and may look at both ends; by default a plain call.

    Raises:
        TraceError: If the forward raises.
    """
    try:
        return _record_on_meta(model, call, asked, training, forward)
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
    model: nn.Module,
    call: ForwardCall,
    asked: ValuesAsked,
    training: bool,
    forward: Forward | None,
) -> Driver:
    cls = type(model)
    driver = Driver(model, keeps_values=cls in asked)
    try:
        driver.run(call, training, forward)
        return driver
    except TraceError:
        if not driver.dropped_values:
            raise
    driver = Driver(model)
    driver.run(call, training, forward)
    asked.add(cls)
    return driver
