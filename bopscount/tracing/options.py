"""Options of a trace."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bopscount.errors import InputError
from bopscount.tracing.inputs import ForwardCall, forward_call

if TYPE_CHECKING:
    import torch
    from torch import nn

    from bopscount.bits.by_path import UserBits

RUNS = ("auto", "never")


@dataclass(frozen=True, slots=True)
class TraceOptions:
    """Arguments of `trace`, which documents them.

    Raises:
        InputError: If `run` is neither "auto" nor "never".
    """

    input_size: Any = None
    inputs: Any = None
    batch_size: int = 1
    dtype: torch.dtype | None = None
    training: bool = False
    run: str = "auto"
    strict: bool = False
    bits: UserBits | None = None
    discount_zeros: bool = False

    def __post_init__(self) -> None:
        if self.run not in RUNS:
            raise InputError(f"run must be 'auto' or 'never', got {self.run!r}")

    def call_of(self, model: nn.Module) -> ForwardCall:
        """Return the forward call of `model` to trace."""
        return forward_call(model, self.input_size, self.inputs, self.batch_size, self.dtype)

    @property
    def needs_table(self) -> bool:
        """True if totals depend on more than the tracer's records."""
        return bool(self.strict or self.bits or self.discount_zeros)
