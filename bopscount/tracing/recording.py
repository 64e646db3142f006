"""Recording of a model's forward call."""

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
    """Model classes whose forward reads the values of masks or ranges that it made.

    `record` skips the first of its two tries for models of these classes.
    """

    def __init__(self) -> None:
        self._classes: WeakSet[type[nn.Module]] = WeakSet()

    def __contains__(self, cls: type[nn.Module]) -> bool:
        return cls in self._classes

    def add(self, cls: type[nn.Module]) -> None:
        """Add a class; ignore torch's own (nn.Sequential), whose instances may differ."""
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
    """Record one forward call on meta tensors, or for real if necessary.

    In the first try, tensors that a forward makes from shapes alone, such as masks and ranges,
    have no values, as most models never read them. A second try keeps these values. A model that
    reads values of its input (`.item()`, `nonzero`, a branch on data) cannot be traced on meta;
    under `run="auto"` it is run on its own device.

    Args:
        model: The model.
        call: Its inputs.
        asked: Classes that need the second try; the model's class is added if it does.
        run: "auto" or "never".
        training: Keep the `training` flags.
        forward: Callable that calls the model and may inspect inputs and output; by default a
            plain call.

    Returns:
        The driver of the successful try.

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
