"""Restoration of the model and of global state after a forward."""

from __future__ import annotations

import contextlib
import random
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from ctypes import string_at
from functools import cached_property, partial
from itertools import chain
from traceback import walk_tb
from types import FunctionType, ModuleType
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.grad_mode import _unsafe_preserve_version_counter

from bopscount._core import Snapshot

# Ops whose schemas do not declare that they update the running statistics in training.
_UNDECLARED_WRITERS = {
    f"aten::{name}" for name in ("native_batch_norm", "cudnn_batch_norm", "miopen_batch_norm")
}
_UNDECLARED_OUTPUTS = {"running_mean", "running_var"}
_REGULAR = (Tensor, nn.Parameter)


@contextmanager
def untouched(model: nn.Module, *, training: bool = False) -> Iterator[None]:
    """Run the body in eval mode, and undo a forward's changes on exit.

    Restores the attributes of every module (also inside plain containers), modules,
    parameters, buffers and hooks by identity, `training`, random state, grad mode and
    default dtype. `TensorGuard` restores tensors that were written in place.

    Args:
        model: The model.
        training: Keep the `training` flags during the body.
    """
    snapshot = Snapshot(model)
    grad_enabled = torch.is_grad_enabled()
    restores = global_states()
    try:
        if not training:
            snapshot.set_eval()
        yield
    finally:
        snapshot.restore()
        torch.set_grad_enabled(grad_enabled)
        for restore in restores:
            restore()


def global_states() -> list[Callable[[], object]]:
    """Return functions that restore the default dtype and the random states."""
    restores: list[Callable[[], object]] = [
        partial(torch.set_default_dtype, torch.get_default_dtype()),
        partial(torch.set_rng_state, torch.get_rng_state()),
        partial(random.setstate, random.getstate()),
    ]
    numpy = sys.modules.get("numpy")
    if numpy is not None:
        restores.append(_numpy_state(numpy))
    if torch.cuda.is_available() and torch.cuda.is_initialized():
        # Untested here: no GPU at hand.
        cuda_states = torch.cuda.get_rng_state_all()
        restores.append(lambda: torch.cuda.set_rng_state_all(cuda_states))
    return restores


_MT19937_BYTES = 624 * 4 + 4
"""Size of MT19937's state in numpy's headers: 624 words, and the position among them."""
_numpy_seen: tuple[bytes, Any] = (b"", None)


def _numpy_state(numpy: Any) -> Callable[[], object]:
    """Return a function that restores numpy's global generator.

    Reading or writing its state takes 30 us, as long as a small network's scan, so the last
    state read is cached until the generator's memory changes. A state with a spare normal
    number is not cached: using that number up does not change the memory.
    """
    global _numpy_seen  # noqa: PLW0603 - a cache of one
    get_generator = getattr(numpy.random, "get_bit_generator", None)
    generator: Any = get_generator() if get_generator is not None else None
    if type(generator) is not numpy.random.MT19937:
        return partial(numpy.random.set_state, numpy.random.get_state())
    address = generator.ctypes.state_address
    memory = string_at(address, _MT19937_BYTES)
    if memory != _numpy_seen[0]:
        state = numpy.random.get_state()
        if state[3]:
            return partial(numpy.random.set_state, state)
        _numpy_seen = memory, state
    known = _numpy_seen[1]

    def restore() -> None:
        if string_at(address, _MT19937_BYTES) != memory:
            numpy.random.set_state(known)

    return restore


def arguments_kept(values: Any, restores: list[Callable[[], object]]) -> list[Tensor]:
    """Save a forward's mutable arguments other than tensors, such as a key-value cache.

    Args:
        values: Nested arguments.
        restores: List to which functions that restore them are appended.

    Returns:
        The tensors found in objects' attributes.
    """
    tensors: list[Tensor] = []
    stack, seen = [(values, False)], set[int]()
    while stack:
        value, inside = stack.pop()
        if isinstance(value, Tensor):
            if inside:
                tensors.append(value)
            continue
        if isinstance(value, _PLAIN) or id(value) in seen:
            continue
        seen.add(id(value))
        if isinstance(value, dict):
            restores.append(partial(_put_back_dict, value, dict(value)))
            stack += [(item, inside) for item in value.values()]
        elif isinstance(value, (list, tuple)):
            if isinstance(value, list):
                restores.append(partial(value.__setitem__, slice(None), list(value)))
            stack += [(item, inside) for item in value]
        elif isinstance(getattr(value, "__dict__", None), dict):
            restores.append(partial(_put_back_dict, value.__dict__, dict(value.__dict__)))
            stack += [(item, True) for item in value.__dict__.values()]
    return tensors


_PLAIN = (type(None), bool, int, float, str, bytes, type, ModuleType, FunctionType, nn.Module)


def _put_back_dict(changed: dict[Any, Any], before: dict[Any, Any]) -> None:
    same = all(key in changed and changed[key] is value for key, value in before.items())
    if not same or len(changed) != len(before):
        changed.clear()
        changed.update(before)


def closing_modes(body: Callable[[], object]) -> None:
    """Run `body`, and close torch's suspended context managers if it raises.

    torch disables a function mode in a generator-based context manager. If an interrupt suspends
    that generator before it is finished, it would enable the mode again when the error is
    released.
    """
    try:
        body()
    except BaseException as error:
        _close_modes(error)
        raise


def _close_modes(error: BaseException) -> None:
    # Not inlined: the caller's frame is in the traceback, so a frame among its locals is a cycle.
    cause: BaseException | None = error
    while cause is not None:
        for frame, _ in walk_tb(cause.__traceback__):
            if frame.f_code is _HANDLES or frame.f_code.co_filename == contextlib.__file__:
                frame.clear()
        cause = cause.__context__


_HANDLES = torch.overrides.handle_torch_function.__code__


class TensorGuard:
    """Copies a parameter or buffer just before an op writes into it.

    Attributes:
        given: Tensors of the caller that are guarded too.
    """

    def __init__(self, model: nn.Module) -> None:
        self._model = model
        self.given: tuple[Tensor, ...] = ()
        self._undos: list[Callable[[], object]] = []

    @cached_property
    def _tensors(self) -> dict[int, list[Tensor]]:
        """Guarded tensors by storage, built at the first write, which is rare."""
        by_storage: dict[int, list[Tensor]] = {}
        for tensor in self._all():
            for part in (tensor, tensor.grad if tensor.is_leaf else None):
                key = None if part is None else storage_key(part)
                if part is not None and key is not None:
                    by_storage.setdefault(key, []).append(part)
        return by_storage

    @cached_property
    def _unkept(self) -> set[int]:
        return {id(tensor) for tensor in self._all()}

    def _all(self) -> Iterator[Tensor]:
        return chain(self._model.parameters(), self._model.buffers(), self.given)

    def watch(self) -> None:
        """Call `keep` on every guarded tensor, before a run for real."""
        for tensor in self._all():
            self.keep(tensor)

    def keep(self, tensor: Tensor) -> None:
        """Save a guarded tensor's shape, strides, memory, `requires_grad` and `grad`."""
        if id(tensor) not in self._unkept:
            return
        self._unkept.remove(id(tensor))
        if not tensor.is_inference():
            self._undos.append(_version_of(tensor))
        grad = tensor.grad if tensor.is_leaf else None
        data = tensor.detach() if type(tensor) in _REGULAR else None
        self._undos.append(partial(_put_back_form, tensor, tensor.requires_grad, grad, data))

    def about_to_write(self, tensor: Tensor) -> None:
        """Save the values of the guarded tensors that share memory with `tensor`."""
        key = None if tensor.is_meta else storage_key(tensor)
        if key is not None:
            for owned in self._tensors.pop(key, ()):
                self._save(owned)

    def before_op(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Save the guarded tensors that `func` is about to write into."""
        schema = func._schema
        if not schema.is_mutable and schema.name not in _UNDECLARED_WRITERS:
            return
        for argument, value in _arguments(func, args, kwargs):
            declared = argument.alias_info is not None and argument.alias_info.is_write
            if not declared and argument.name not in _UNDECLARED_OUTPUTS:
                continue
            for tensor in value if isinstance(value, (list, tuple)) else (value,):
                if isinstance(tensor, Tensor):
                    self.about_to_write(tensor)

    def _save(self, tensor: Tensor) -> None:
        copy = tensor.detach().clone()
        self._undos += [_version_of(tensor), partial(_put_back, tensor.detach(), copy)]

    def restore(self) -> None:
        """Restore every saved tensor, including its version counter, even if interrupted."""
        try:
            self._undo()
        finally:
            self._undo()

    def _undo(self) -> None:
        while self._undos:
            self._undos[-1]()
            self._undos.pop()


def _version_of(tensor: Tensor) -> Callable[[], object]:
    """Return a function that resets the tensor's version counter to its current value."""
    return partial(_unsafe_preserve_version_counter(tensor).__exit__, None, None, None)


def _put_back(tensor: Tensor, copy: Tensor) -> None:
    with torch.no_grad():
        tensor.copy_(copy)


def _put_back_form(
    tensor: Tensor, requires_grad: bool, grad: Tensor | None, data: Tensor | None
) -> None:
    if data is not None and _form(tensor) != _form(data):
        tensor.data = data
    if tensor.requires_grad is not requires_grad:
        tensor.requires_grad_(requires_grad)
    if tensor.is_leaf and tensor.grad is not grad:
        tensor.grad = grad


def _form(tensor: Tensor) -> tuple[Any, ...]:
    if tensor.layout is not torch.strided:
        return (tensor.layout,)
    place = storage_key(tensor), tensor.storage_offset()
    return place, tensor.dtype, tensor.shape, tensor.stride()


def storage_key(tensor: Tensor) -> int | None:
    """Return a key shared by tensors on the same memory, None for subclasses without storage."""
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
