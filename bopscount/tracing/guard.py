"""Leaves the model, and what is global to a forward, as they were."""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.grad_mode import _unsafe_preserve_version_counter

_CONTAINERS = (dict, list, set)


@contextmanager
def untouched(model: nn.Module) -> Iterator[None]:
    """Undoes, on the way out, whatever a forward changed.

    Attributes of every module (also inside plain containers, one level deep), modules,
    parameters, buffers and hooks by identity, `training`, random state, grad mode and
    default dtype. In-place writes to tensors are `TensorGuard`'s part.
    """
    with ExitStack() as stack:
        stack.callback(_restore_attributes, [(m, *_copy(m.__dict__)) for m in model.modules()])
        stack.callback(torch.set_default_dtype, torch.get_default_dtype())
        stack.callback(torch.set_grad_enabled, torch.is_grad_enabled())
        for restore in _random_states():
            stack.callback(restore)
        yield


_Saved = tuple[dict[str, Any], dict[str, Any]]


def _copy(attributes: dict[str, Any]) -> _Saved:
    """The attributes, and copies of those that are plain containers."""
    contents = {
        name: value.copy() for name, value in attributes.items() if isinstance(value, _CONTAINERS)
    }
    return attributes.copy(), contents


def _same(now: Any, saved: Any) -> bool:
    """Equal by identity of what is inside, so that no tensor is compared."""
    if len(now) != len(saved):
        return False
    if isinstance(now, dict):
        return all(
            key is kept and value is kept_value
            for (key, value), (kept, kept_value) in zip(now.items(), saved.items(), strict=True)
        )
    if isinstance(now, list):
        return all(value is kept for value, kept in zip(now, saved, strict=True))
    return bool(now == saved)


def _restore_attributes(saved: list[tuple[nn.Module, dict[str, Any], dict[str, Any]]]) -> None:
    for module, attributes, contents in saved:
        if not _same(module.__dict__, attributes):
            module.__dict__.clear()
            module.__dict__.update(attributes)
        for name, before in contents.items():
            value = attributes[name]
            if _same(value, before):
                continue
            value.clear()
            if isinstance(value, list):
                value.extend(before)
            else:
                value.update(before)


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
        self._tensors: dict[int, list[Tensor]] = {}
        for tensor in (*model.parameters(), *model.buffers()):
            key = _storage_key(tensor)
            if key is not None:
                self._tensors.setdefault(key, []).append(tensor)
        self._saved = ExitStack()

    def before_op(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Saves what `func` is about to write, if it is the model's."""
        if not func._schema.is_mutable:
            return
        for argument, value in _arguments(func, args, kwargs):
            if argument.alias_info is None or not argument.alias_info.is_write:
                continue
            for tensor in value if isinstance(value, (list, tuple)) else (value,):
                key = _storage_key(tensor) if isinstance(tensor, Tensor) else None
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


def _storage_key(tensor: Tensor) -> int | None:
    try:
        return int(tensor.untyped_storage()._cdata)
    except (NotImplementedError, RuntimeError):
        # Subclasses without a storage of their own.
        return None


def _arguments(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Iterator[Any]:
    for index, argument in enumerate(func._schema.arguments):
        if index < len(args):
            yield argument, args[index]
        elif argument.name in kwargs:
            yield argument, kwargs[argument.name]
