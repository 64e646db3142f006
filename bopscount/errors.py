"""Exceptions that bopscount raises."""

from __future__ import annotations


class BopscountError(Exception):
    """Base class of the exceptions that bopscount defines."""


class InputError(BopscountError, ValueError):
    """Invalid argument; the message names the argument, its value and the fix."""


class TraceError(BopscountError):
    """Failure to record a model.

    Attributes:
        module_path: Path of the module that was running, "" for the model itself.
        input_shapes: Shapes of its input tensors.
    """

    def __init__(
        self,
        message: str,
        module_path: str = "",
        input_shapes: tuple[tuple[int, ...], ...] = (),
    ) -> None:
        super().__init__(message)
        self.module_path = module_path
        self.input_shapes = input_shapes

    def __reduce__(self) -> tuple[type[TraceError], tuple[object, ...]]:
        """Errors travel between processes with their attributes."""
        return type(self), (self.args[0], self.module_path, self.input_shapes)
