"""Leaves the model, and what is global to a forward, as they were."""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.grad_mode import _unsafe_preserve_version_counter

from bopscount._core import Snapshot

# Their schemas do not say that they update the running statistics in training.
_SECRET_WRITERS = {
    f"aten::{name}" for name in ("native_batch_norm", "cudnn_batch_norm", "miopen_batch_norm")
}
_SECRETLY_WRITTEN = {"running_mean", "running_var"}


@contextmanager
def untouched(model: nn.Module, *, training: bool = False) -> Iterator[None]:
    """Undoes, on the way out, whatever a forward changed; eval mode in between.

    Attributes of every module (also inside plain containers, one level deep), modules,
    parameters, buffers and hooks by identity, `training`, random state, grad mode and
    default dtype. In-place writes to tensors are `TensorGuard`'s part.

    Args:
        model: The model.
        training: Leave the `training` flags as they are.
    """
    snapshot = Snapshot(model)
    default_dtype, grad_enabled = torch.get_default_dtype(), torch.is_grad_enabled()
    restores = _random_states()
    try:
        if not training:
            snapshot.set_eval()
        yield
    finally:
        snapshot.restore()
        torch.set_default_dtype(default_dtype)
        torch.set_grad_enabled(grad_enabled)
        for restore in restores:
            restore()


def _random_states() -> list[Callable[[], None]]:
    """Functions that put back the random states of torch, Python and numpy."""
    state = torch.get_rng_state()
    python_state = random.getstate()
    restores: list[Callable[[], None]] = [
        lambda: torch.set_rng_state(state),
        lambda: random.setstate(python_state),
    ]
    numpy = sys.modules.get("numpy")
    if numpy is not None:
        numpy_state = numpy.random.get_state()
        restores.append(lambda: numpy.random.set_state(numpy_state))
    if torch.cuda.is_available() and torch.cuda.is_initialized():
        # Untested here: no GPU at hand.
        cuda_states = torch.cuda.get_rng_state_all()
        restores.append(lambda: torch.cuda.set_rng_state_all(cuda_states))
    return restores


class TensorGuard:
    """Copies a parameter or buffer the moment before an op writes into it."""

    def __init__(self, model: nn.Module) -> None:
        self._model = model
        self._given: tuple[Tensor, ...] = ()
        self._by_storage: dict[int, list[Tensor]] | None = None
        self._saved = ExitStack()

    @property
    def _tensors(self) -> dict[int, list[Tensor]]:
        """The model's tensors by storage; made with the first write, which is rare."""
        if self._by_storage is None:
            self._by_storage = {}
            for tensor in (*self._model.parameters(), *self._model.buffers(), *self._given):
                key = storage_key(tensor)
                if key is not None:
                    self._by_storage.setdefault(key, []).append(tensor)
        return self._by_storage

    def watch(self, given: Iterable[Tensor]) -> None:
        """Guards the caller's inputs too."""
        self._given = tuple(given)

    def before_op(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Saves what `func` is about to write, if it is the model's."""
        schema = func._schema
        if not schema.is_mutable and schema.name not in _SECRET_WRITERS:
            return
        for argument, value in _arguments(func, args, kwargs):
            declared = argument.alias_info is not None and argument.alias_info.is_write
            if not declared and argument.name not in _SECRETLY_WRITTEN:
                continue
            for tensor in value if isinstance(value, (list, tuple)) else (value,):
                writes = isinstance(tensor, Tensor) and not tensor.is_meta
                key = storage_key(tensor) if writes else None
                if key is not None:
                    for owned in self._tensors.pop(key, ()):
                        self._save(owned)

    def _save(self, tensor: Tensor) -> None:
        copy = tensor.detach().clone()
        self._saved.enter_context(_unsafe_preserve_version_counter(tensor))
        self._saved.callback(_put_back, tensor, copy)

    def restore(self) -> None:
        """Puts every written tensor back, version counter included."""
        self._saved.close()


def _put_back(tensor: Tensor, copy: Tensor) -> None:
    with torch.no_grad():
        tensor.copy_(copy)


def storage_key(tensor: Tensor) -> int | None:
    """What tensors that share memory have in common; None for subclasses without any."""
    try:
        return int(tensor.untyped_storage()._cdata)
    except (NotImplementedError, RuntimeError):
        return None


def _arguments(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Iterator[Any]:
    for index, argument in enumerate(func._schema.arguments):
        if index < len(args):
            yield argument, args[index]
        elif argument.name in kwargs:
            yield argument, kwargs[argument.name]
