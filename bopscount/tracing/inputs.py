"""Arguments of a forward call, from `input_size` or `inputs`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain
from math import prod
from typing import Any

import torch
from torch import Tensor, nn

from bopscount.errors import InputError

MAX_DIMENSIONS = 8
CONSTANT_ELEMENTS = 2**15
"""Maximum size of constants that keep their values in a trace, as a model may read them.

Constants are tensors that depend on neither input nor parameters (positions, masks, buffers), and
input token ids. torch computes larger ones on several threads, which takes longer than a small
trace."""
_SEED = 0


@dataclass(frozen=True, slots=True)
class ForwardCall:
    """Arguments of one forward call.

    Attributes:
        args: Positional arguments.
        kwargs: Keyword arguments.
        batch_size: Number of samples.
        device: The model's device, if the arguments were made for an `input_size`: meta tensors,
            or zeros for small token ids, until `with_values`.
    """

    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    batch_size: int
    device: torch.device | None = None

    @property
    def is_on_meta(self) -> bool:
        """True if a run for real is impossible."""
        if self.device is not None:
            return self.device.type == "meta"
        return any(tensor.is_meta for tensor in tensors_of((self.args, self.kwargs)))

    def with_values(self, *, signed: bool = False) -> ForwardCall:
        """Return the call for a run for real.

        Args:
            signed: Draw standard normal values in place of uniform ones from 0 to 1; of no effect
                on `inputs`.

        Raises:
            InputError: If there is no memory for the input.
        """
        if self.device is None:
            return self
        try:
            values = tuple(_sample(tensor, self.device, signed) for tensor in self.args)
        except RuntimeError as error:
            shapes = ", ".join(str(tuple(tensor.shape)) for tensor in self.args)
            raise InputError(
                f"input_size is too large to run the model with: {shapes}; timing=False "
                "and run='never' do without"
            ) from error
        return ForwardCall(values, {}, self.batch_size)


def forward_call(
    model: nn.Module,
    input_size: Any = None,
    inputs: Any = None,
    batch_size: int = 1,
    dtype: torch.dtype | None = None,
) -> ForwardCall:
    """Return the forward call for `input_size` or `inputs`.

    Args:
        model: The model, whose first parameter or buffer gives the device and the float dtype.
        input_size: Shape without the batch, or a list of shapes.
        inputs: A tensor, a tuple (positional) or a dict (keyword arguments).
        batch_size: Number of samples, for `input_size`.
        dtype: Dtype of the tensors made for `input_size`.

    Raises:
        InputError: If an argument is invalid, or not exactly one of the two is given.
    """
    if (input_size is None) == (inputs is None):
        raise InputError(
            "give either input_size, such as (3, 224, 224), or inputs=, "
            f"got {'neither' if inputs is None else 'both'}"
        )
    if inputs is not None:
        return _given(inputs)
    if isinstance(batch_size, bool) or not isinstance(batch_size, int) or batch_size < 1:
        raise InputError(f"batch_size must be a positive integer, got {batch_size!r}")
    if dtype is not None and not isinstance(dtype, torch.dtype):
        raise InputError(f"dtype must be a torch.dtype such as torch.int64, got {dtype!r}")
    device, float_dtype = device_and_dtype(model)
    sizes = check_input_size(input_size)
    tensors = tuple(_stand_in((batch_size, *size), dtype or float_dtype) for size in sizes)
    return ForwardCall(tensors, {}, batch_size, device)


def check_input_size(input_size: Any) -> list[tuple[int, ...]]:
    """Return `input_size` as a list of shapes; raise InputError if it is invalid."""
    if isinstance(input_size, int) or not isinstance(input_size, (tuple, list)) or not input_size:
        raise InputError(
            "input_size must be a shape without the batch, such as (3, 224, 224), "
            f"or a list of them, got {input_size!r}"
        )
    several = all(isinstance(size, (tuple, list)) for size in input_size)
    sizes = [tuple(size) for size in input_size] if several else [tuple(input_size)]
    for size in sizes:
        _check_size(size)
    return sizes


def _check_size(size: tuple[Any, ...]) -> None:
    for dimension in size:
        if isinstance(dimension, bool) or not hasattr(dimension, "__index__"):
            raise InputError(f"input_size must hold integers only, got {dimension!r} in {size!r}")
        if dimension < 1:
            raise InputError(
                f"input_size must hold positive sizes only, got {dimension!r} in {size!r}"
            )
    if len(size) >= MAX_DIMENSIONS:
        raise InputError(
            f"input_size must have fewer than {MAX_DIMENSIONS} dimensions (the batch is "
            f"added), got {len(size)} in {size!r}"
        )
    elements = 1
    for dimension in size:
        elements *= int(dimension)
    if elements >= 2**48:
        raise InputError(f"input_size is too large: {size!r} has {elements:,} elements")


def _given(inputs: Any) -> ForwardCall:
    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = {}
    if isinstance(inputs, Tensor):
        args = (inputs,)
    elif isinstance(inputs, tuple):
        args = inputs
    elif isinstance(inputs, dict) or hasattr(inputs, "keys"):
        kwargs = {str(name): inputs[name] for name in inputs.keys()}  # noqa: SIM118
    else:
        raise InputError(
            "inputs must be a tensor (the one argument), a tuple (positional arguments) or "
            f"a dict (keyword arguments), got {type(inputs).__name__}"
        )
    first = next(tensors_of((args, kwargs)), None)
    batch = int(first.shape[0]) if first is not None and first.dim() else 1
    return ForwardCall(args, kwargs, max(1, batch))


def tensors_of(value: Any) -> Iterator[Tensor]:
    """Yield the tensors in nested tuples, lists, dicts and dataclass-like objects."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from tensors_of(item)
    elif isinstance(value, (tuple, list)):
        for item in value:
            yield from tensors_of(item)
    elif hasattr(value, "__dataclass_fields__"):
        for name in value.__dataclass_fields__:
            yield from tensors_of(getattr(value, name, None))
    elif isinstance(value, nn.utils.rnn.PackedSequence):  # pragma: no cover - a tuple
        yield value.data


def map_tensors(function: Callable[[Tensor], Tensor], value: Any) -> Any:
    """Apply `function` to every tensor in nested tuples, lists and dicts.

    Containers in which nothing changes are returned as they are, by identity.
    """
    if isinstance(value, Tensor):
        return function(value)
    if isinstance(value, (tuple, list)):
        items = [map_tensors(function, item) for item in value]
        if all(new is old for new, old in zip(items, value, strict=True)):
            return value
        if hasattr(value, "_fields"):
            return type(value)(*items)
        return type(value)(items) if type(value) in (tuple, list) else tuple(items)
    if isinstance(value, dict):
        mapped = {key: map_tensors(function, item) for key, item in value.items()}
        if all(mapped[key] is value[key] for key in value):
            return value
        return mapped if type(value) is dict else _like(value, mapped)
    return value


def _like(original: Any, items: dict[Any, Any]) -> Any:
    """Return a dict of the class of `original`, such as a transformers BatchEncoding."""
    try:
        return type(original)(items)
    except TypeError:
        return items


def device_and_dtype(model: nn.Module) -> tuple[torch.device, torch.dtype]:
    """Return the device of the first parameter or buffer, and the dtype of the first float one."""
    device, dtype = None, None
    for tensor in chain(_own_parameters(model), model.parameters(), model.buffers()):
        device = device or tensor.device
        if tensor.is_floating_point():
            dtype = tensor.dtype
            break
    return device or torch.device("cpu"), dtype or torch.get_default_dtype()


def _own_parameters(module: nn.Module) -> Iterator[Tensor]:
    """Yield parameters along the chain of first children: ten times faster than `parameters()`."""
    while isinstance(module, nn.Module):
        parameters = module.__dict__.get("_parameters")
        if not isinstance(parameters, dict):
            return  # TorchScript keeps them elsewhere
        yield from (tensor for tensor in parameters.values() if tensor is not None)
        module = next(iter(module.__dict__["_modules"].values()), None)  # type: ignore[assignment]


def _stand_in(shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    """Return a meta tensor, or zeros for small token ids and masks, which a model may read."""
    floating = dtype.is_floating_point or dtype.is_complex
    device = "meta" if floating or prod(shape) > CONSTANT_ELEMENTS else "cpu"
    make = torch.empty if device == "meta" else torch.zeros
    return make(shape, dtype=dtype, device=device)


def _sample(like: Tensor, device: torch.device, signed: bool) -> Tensor:
    """Return random values for floats, else zeros; torch's own generators stay unchanged."""
    if not (like.is_floating_point() or like.is_complex()):
        return torch.zeros(like.shape, dtype=like.dtype, device=device)
    generator = torch.Generator().manual_seed(_SEED)
    make = torch.randn if signed else torch.rand
    values = make(like.shape, dtype=torch.float32, generator=generator)
    return values.to(device=device, dtype=like.dtype)
