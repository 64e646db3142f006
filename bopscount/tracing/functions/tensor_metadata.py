"""Functions that change a tensor's metadata or expose its memory.

The guard saves the model's tensors first.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor

from bopscount.tracing.functions.registry import MAKERS, rule
from bopscount.tracing.host import TraceHost
from bopscount.tracing.torch_names import existing

CHANGES = (
    *existing(Tensor, "requires_grad_ detach_ resize_ resize_as_"),
    *(getattr(Tensor, name).__set__ for name in ("requires_grad", "data", "grad")),
)
HANDS_OUT = existing(Tensor, "numpy __array__ __dlpack__")
MAKERS.update(CHANGES, HANDS_OUT)


@rule(*CHANGES)
def _changed(host: TraceHost, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    host.guard.keep(args[0])
    return NotImplemented


@rule(*HANDS_OUT)
def _handed_out(host: TraceHost, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    host.guard.about_to_write(args[0])
    return NotImplemented
