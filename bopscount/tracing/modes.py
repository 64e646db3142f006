"""torch modes that are active during a forward.

The function mode passes every torch function to the tracer. The dispatch modes see every ATen op
and protect the model's tensors from its writes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

import bopscount._core as _core
from bopscount.tracing.aten_rules import record_aten
from bopscount.tracing.inputs import map_tensors, tensors_of

if TYPE_CHECKING:
    from bopscount.tracing.host import TraceHost


class _Functions(TorchFunctionMode):
    """Function mode that passes every torch function of this thread to the active tracer."""

    __torch_function__ = _core.torch_function()


FUNCTION_MODE = _Functions()
_HANDLE = torch.overrides.handle_torch_function


def handlers() -> list[tuple[Any, str, Any]]:
    """Return patches for the `handle_torch_function` references in torch's Python modules.

    Each as (module, name, value to set during a trace).
    """
    modules = (torch.nn.functional, torch.functional, torch._tensor, torch.overrides)
    name = "handle_torch_function"
    return [
        (module, name, _core.handle_torch_function)
        for module in modules
        if getattr(module, name, None) is _HANDLE
    ]


class Guarded(TorchDispatchMode):
    """Dispatch mode that calls `before_op` before every ATen op of a run for real."""

    def __init__(self, before_op: Callable[..., None]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._before_op = before_op

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self._before_op(func, args, kwargs or {})
        return func(*args, **(kwargs or {}))


class Dispatched(TorchDispatchMode):
    """Dispatch mode that records every ATen op and guards the model's tensors.

    Args:
        host: The running trace.
        stays: Keep copies to another device on meta: that device may be a constant's.
    """

    def __init__(self, host: TraceHost, stays: bool) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._host, self._stays = host, stays

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        self._host.guard.before_op(func, args, kwargs)
        if not self._host.real:
            values = (args, kwargs)
            if any(tensor.is_meta for tensor in tensors_of(values)):
                args, kwargs = map_tensors(self._host.to_meta, values)
                if self._stays and kwargs.get("device") is not None:
                    kwargs = {**kwargs, "device": torch.device("meta")}
        out = func(*args, **kwargs)
        record_aten(self._host.emitter, func, args, kwargs, out)
        return out
