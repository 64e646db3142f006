"""Construction of models without values."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import init
from torch.utils._device import DeviceContext, _device_constructors

_BY_FAN = {
    init.kaiming_uniform_, init.kaiming_normal_, init.xavier_uniform_, init.xavier_normal_,
    init.orthogonal_,
}  # fmt: skip
"""Initialisers that raise for tensors of fewer than two dimensions."""
_FILLING = {
    *_BY_FAN, init.uniform_, init.normal_, init.trunc_normal_, init.constant_,
    Tensor.zero_, Tensor.fill_, Tensor.uniform_, Tensor.normal_,
}  # fmt: skip
_MAKING = _device_constructors()


class WithoutValues(DeviceContext):
    """Context like `torch.device("meta")`, with initialisers skipped.

    Meta tensors have no values, yet each fill takes several us: most of the time to build a
    network there.
    """

    def __init__(self) -> None:
        super().__init__(torch.device("meta"))

    def __torch_function__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        if func in _FILLING:
            tensor = args[0] if args else (kwargs or {})["tensor"]
            if tensor.is_meta and (func not in _BY_FAN or tensor.dim() > 1):
                return tensor
        if func in _MAKING:
            return super().__torch_function__(func, types, args, kwargs)  # type: ignore[no-untyped-call]
        return func(*args, **kwargs) if kwargs else func(*args)
