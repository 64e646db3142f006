"""Zero weights of a model's layers."""

from __future__ import annotations

from collections import Counter

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy
from torch.nn.utils.parametrize import is_parametrized

from bopscount._core import Snapshot
from bopscount.errors import InputError
from bopscount.records.nonzero import prunable
from bopscount.records.table import LEAF, Records
from bopscount.tracing.driver import TRACING

_MAX_LISTED = 8


def look_for_zeros(model: nn.Module, table: Records) -> None:
    """Fill in `nonzero_weights` of the table's convolutions and linear layers.

    The weights are read and never written. One-bit weights have two levels, neither of
    them zero. If a layer of other code computes its weight from a parameter, the parameter
    is read instead. A layer whose weights cannot be found counts as dense. The table's
    `assumptions` name the layers of both cases.

    Raises:
        InputError: If the weights are on the meta device, without values.
    """
    with TRACING:
        snapshot = Snapshot(model)
        try:
            # A weight that is computed on access may change its module in training mode.
            snapshot.set_eval()
            with torch.no_grad():
                _fill(model, table)
        finally:
            snapshot.restore()


def _fill(model: nn.Module, table: Records) -> None:
    records = table.records
    dense, stand_ins = [], []
    seen: Counter[int] = Counter()
    sizes = Counter(
        zip(records["owner"].tolist(), records["weight_elements"].tolist(), strict=True)
    )
    for index in np.flatnonzero(prunable(table)):
        size = int(records["weight_elements"][index])
        number = int(records["owner"][index])
        owner, path = table.owners[number], table.owner_path(number)
        if records["weight_bits_source"][index] and records["weight_bits"][index] == 1:
            records["nonzero_weights"][index] = size
            continue
        module = model.get_submodule(table.nodes[owner.node].path)
        weight, as_used = _weight_of(module) if owner.role == LEAF else (None, False)
        if weight is None or weight.numel() != size:
            as_used = False
            if isinstance(module, nn.MultiheadAttention):
                weight = _projections(module)[seen[number] % 4]
            elif sizes[number, size] == 1:
                weight = _only_parameter_of(module, size, owner.role == LEAF)
            else:
                weight = None
            seen[number] += 1
        if weight is not None and weight.is_meta:
            raise InputError(
                f"discount_zeros needs weights with values, but those of {path or 'the model'} "
                "are on the meta device; give a model that holds its weights"
            )
        if weight is None or weight.numel() != size:
            records["nonzero_weights"][index] = size
            dense.append(path)
            continue
        records["nonzero_weights"][index] = int(weight.detach().count_nonzero())
        quantised = bool(records["weight_bits_source"][index])
        if not as_used and (quantised or _is_own_code(module)):
            stand_ins.append(path)
    if dense:
        table.assumptions.append(
            f"Zero weights of {_listed(dense)} could not be looked for; they count as dense."
        )
    if stand_ins:
        table.assumptions.append(
            f"Zero weights of {_listed(stand_ins)} were looked for in the stored parameter, "
            "not in what its forward makes of it."
        )


def _listed(paths: list[str]) -> str:
    unique = list(dict.fromkeys(path or "the model" for path in paths))
    more = len(unique) - _MAX_LISTED
    return ", ".join(unique[:_MAX_LISTED]) + (f" and {more} more" if more > 0 else "")


def _is_own_code(module: nn.Module) -> bool:
    """Return whether the forward is not torch's own, which uses the weight as it is."""
    cls = type(module)
    if is_parametrized(module):
        cls = cls.__mro__[1]
    return not cls.__module__.startswith("torch.nn.modules.")


def _weight_of(module: nn.Module) -> tuple[Tensor | None, bool]:
    """Return the weight or None, and whether its values are those after quantisation."""
    quant_weight = getattr(module, "quant_weight", None)  # brevitas: the weight after quantisation
    if callable(quant_weight):
        values = quant_weight()
        values = getattr(values, "value", values)
        return (values, True) if isinstance(values, torch.Tensor) else (None, False)
    weight = getattr(module, "weight", getattr(module, "weights", None))
    if callable(weight) and not isinstance(weight, torch.Tensor):
        weight = weight()  # a method in torch.ao's converted layers
    if not isinstance(weight, torch.Tensor):
        return None, False
    if weight.is_quantized or type(weight) not in (torch.Tensor, torch.nn.Parameter):
        dequantize = getattr(weight, "dequantize", None)
        return (dequantize(), True) if dequantize is not None else (None, False)
    return weight, False


def _projections(attention: nn.MultiheadAttention) -> list[Tensor]:
    """Return the weights of an attention's four linear layers, in order of use."""
    if attention.in_proj_weight is None:
        inner = [attention.q_proj_weight, attention.k_proj_weight, attention.v_proj_weight]
    else:
        inner = list(attention.in_proj_weight.chunk(3))
    return [*inner, attention.out_proj.weight]


def _only_parameter_of(module: nn.Module, size: int, recurse: bool) -> Tensor | None:
    """Return the only parameter of `size` elements and two or more dimensions, else None."""
    fitting = [
        parameter
        for parameter in module.parameters(recurse)
        if parameter.dim() > 1 and not is_lazy(parameter) and parameter.numel() == size
    ]
    return fitting[0] if len(fitting) == 1 else None
