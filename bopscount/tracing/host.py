"""Protocol between the core's tracer and the Python half of a trace."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from torch import Tensor, nn

    from bopscount._core import Tracer
    from bopscount.tracing.emitter import Emitter
    from bopscount.tracing.guard import TensorGuard


class TraceHost(Protocol):
    """Python half of a running trace.

    The core's tracer calls the methods from `classify` to `ask_stand_in`. A rule gets the host as
    its first argument and may use the attributes, `to_meta` and `fall_back`.

    Attributes:
        real: Whether the model's arithmetic is run.
        keeps_values: Whether small tensors that the forward makes from shapes alone keep their
            values.
        dropped_values: Whether such a tensor lost its values; set by rules.
        tracer: The core's tracer.
        emitter: Recorder of ops that torch has run.
        guard: Saves the model's tensors before writes into them.
    """

    real: bool
    keeps_values: bool
    dropped_values: bool
    tracer: Tracer
    emitter: Emitter
    guard: TensorGuard

    def to_meta(self, tensor: Tensor) -> Tensor:
        """Return a meta tensor of the same shape, strides and dtype; the same one each time."""

    # --- modules -----------------------------------------------------------

    def classify(self, cls: type[nn.Module]) -> tuple[bool, Any, bool, bool, bool]:
        """Return (leaf, rule, registered, sequential, adapted) of a module class.

        `rule` is the name of a leaf rule, a callable (module, args, kwargs), or None.
        """

    def adapt(self, module: nn.Module, node: int) -> Any:
        """Return an adapter's answer for a module.

        One of None (no widths), a submodule that the adapter describes instead, or
        (rule or None, logical parameters or -1).
        """

    def rewrite(self, module: nn.Module, mark: int, given: Any, output: Any) -> None:
        """Rewrite the records since `mark` of a registered leaf, or of one without records."""

    # --- functions ---------------------------------------------------------

    def view(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Return a view of a parameter, or of an argument that is given by name."""

    def constant(
        self, rule: Rule, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], elements: int
    ) -> Any:
        """Return the output of a function of constants, with its values unless it is large.

        `elements` is the total size of the constants.
        """

    def keep(self, tensor: Tensor) -> None:
        """Save a tensor's shape before a function changes it in place."""

    def is_tainted(self, tensor: Tensor) -> bool:
        """Return whether a non-constant was written into a constant."""

    def run_for_real(self, func: Any, args: Any, kwargs: Any, recorded: Any) -> Any:
        """Return torch's own output in place of the recorded one."""

    def fall_back(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Return torch's own output, and record its ATen ops."""

    def ask_stand_in(self, cls: Any, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
        """Return a tensor-like class's answer to a function."""


Rule = Callable[[TraceHost, Any, tuple[Any, ...], dict[str, Any]], Any]
"""Rule of a torch function.

Takes (host, func, args, kwargs), records the op and returns its output. Returns NotImplemented if
unsure: torch decides then, on meta tensors."""
