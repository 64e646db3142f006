"""Module to trace, from the `model` argument."""

from __future__ import annotations

from itertools import chain
from typing import Any

from torch import nn

from bopscount.errors import InputError
from bopscount.tracing.building import WithoutValues


def module_of(model: Any) -> nn.Module:
    """Return the module to trace.

    Wrappers of torch.compile and data parallelism are removed. A callable that is no module is
    called with the meta device as default, so that the model it builds needs no memory.

    Raises:
        InputError: If `model` neither is a module nor builds one.
    """
    if isinstance(model, type) and issubclass(model, nn.Module):
        raise InputError(f"model must be an instance, got the class {model.__name__}: call it")
    if not isinstance(model, nn.Module):
        model = _built(model)
    return _unwrapped(model)


def _built(builder: Any) -> nn.Module:
    if not callable(builder):
        raise InputError(
            "model must be a torch.nn.Module, or a callable that builds one, "
            f"got {type(builder).__name__}"
        )
    try:
        with WithoutValues():
            model = builder()
    except Exception as error:
        raise InputError(
            f"model must be a torch.nn.Module, or a callable that builds one; calling it "
            f"raised {type(error).__name__}: {error}"
        ) from error
    if not isinstance(model, nn.Module):
        raise InputError(
            f"model must be a callable that builds a torch.nn.Module, got one that returns "
            f"{type(model).__name__}"
        )
    return model


def _unwrapped(model: nn.Module) -> nn.Module:
    """Return the module inside the wrappers of torch.compile and data parallelism."""
    while True:
        modules = model.__dict__.get("_modules")
        inner = modules.get("_orig_mod") if isinstance(modules, dict) else None
        if inner is None and isinstance(
            model, (nn.DataParallel, nn.parallel.DistributedDataParallel)
        ):
            inner = model.module
        if not isinstance(inner, nn.Module):
            return model
        model = inner


def on_meta(model: nn.Module) -> bool:
    """Return whether any parameter or buffer is on meta, without values."""
    return any(tensor.is_meta for tensor in chain(model.parameters(), model.buffers()))
