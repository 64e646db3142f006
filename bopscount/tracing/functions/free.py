"""torch functions without computation: queries of tensor metadata, and views."""

from __future__ import annotations

from types import GetSetDescriptorType
from typing import Any

import torch
from torch import Tensor

from bopscount.tracing.torch_names import existing

T = Tensor

QUESTIONS: frozenset[Any] = frozenset(
    [
        getattr(T, name).__get__
        for name in (
            "shape dtype device layout is_cuda is_meta is_sparse is_quantized ndim "
            "itemsize nbytes names requires_grad grad grad_fn is_leaf is_nested "
            "is_cpu is_mkldnn is_mps is_xpu is_vulkan is_ipu is_xla is_mtia is_maia "
            "_version _base retains_grad output_nr _backward_hooks volatile "
            "is_sparse_csr _python_dispatch"
        ).split()
        if hasattr(getattr(T, name, None), "__get__")
    ]
    + existing(
        T,
        "size dim numel nelement ndimension is_floating_point is_complex is_contiguous stride "
        "storage_offset element_size get_device type_as_ is_signed is_inference is_pinned "
        "has_names __len__ __hash__ data_ptr is_set_to is_same_size is_shared __repr__ "
        "__format__ untyped_storage storage is_coalesced is_conj is_neg register_hook "
        "is_distributed __dlpack_device__ sparse_dim dense_dim _is_view",
    )
    + [torch._assert, torch.device, torch._C._set_grad_enabled, torch.is_grad_enabled]
    + existing(
        torch,
        "is_tensor is_floating_point is_complex numel is_nonzero_ is_same_size is_inference "
        "is_signed is_conj is_neg",
    )
)
"""Functions that query a tensor, or change none of its values."""

RESHAPING: frozenset[Any] = frozenset(
    existing(T, "squeeze_ unsqueeze_ transpose_ t_ swapaxes_ swapdims_ as_strided_")
)
"""Functions that change a tensor's shape in place, but not its values."""

VIEWS: frozenset[Any] = frozenset(
    existing(
        T,
        "view permute transpose t unsqueeze squeeze expand expand_as view_as detach "
        "chunk split unbind narrow select diagonal unfold swapaxes swapdims movedim moveaxis "
        "unflatten as_strided alias tensor_split hsplit vsplit dsplit real mT mH "
        "split_with_sizes adjoint positive __getitem__",
    )
    + [getattr(T, name).__get__ for name in ("T", "mT", "H", "mH", "data", "real")]
    + existing(
        torch,
        "permute transpose t unsqueeze squeeze chunk split unbind narrow select diagonal "
        "swapaxes swapdims movedim moveaxis unflatten tensor_split detach as_strided "
        "split_with_sizes adjoint real",
    )
)
"""Functions that return views, which are cheap in torch.

Functions that also have a rule return views for some arguments only, as `__getitem__` by integers
and slices.
"""

RESIZING: dict[Any, bool] = {T.view: False, T.reshape: True, torch.reshape: True}
"""Function that changes a tensor's sizes -> whether it copies if the strides require it.

On meta a view serves as well as that copy, which takes torch ten times as long.
"""

_OPERATORS = {
    "add": "__add__ __radd__", "add_": "__iadd__", "sub": "__sub__", "sub_": "__isub__",
    "mul": "__mul__ __rmul__", "mul_": "__imul__", "div": "__truediv__", "div_": "__itruediv__",
    "matmul": "__matmul__", "remainder": "__mod__", "ne": "__ne__", "lt": "__lt__",
    "le": "__le__", "gt": "__gt__", "ge": "__ge__", "__eq__": "__eq__",
}  # fmt: skip
"""Method as function modes see it -> operator methods that Python calls."""

PLAIN_TYPES = {
    int, float, bool, complex, str, slice, type(None), type(...), torch.Size, torch.dtype,
    torch.device, torch.layout, torch.memory_format,
}  # fmt: skip
"""Argument types that cannot override `__torch_function__`."""


def entry_points(answered: dict[Any, Any]) -> list[tuple[Any, Any, bool]]:
    """Return the torch callables that bypass function-mode dispatch.

    Args:
        answered: Functions with a rule or a fast path.

    Returns:
        Tuples (torch's object, the function that a mode sees, whether it is an operator).
    """
    functions = {**answered, **dict.fromkeys(VIEWS), **dict.fromkeys(QUESTIONS)}
    entries = [(function, function, False) for function in functions if function is not T.__eq__]
    for function, names in _OPERATORS.items():
        entries += [(getattr(T, name), getattr(T, function), True) for name in names.split()]
    properties = [
        function.__self__
        for function in QUESTIONS
        if isinstance(getattr(function, "__self__", None), GetSetDescriptorType)
    ]
    return entries + [(each, each.__get__, False) for each in properties]
