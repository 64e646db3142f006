"""Module classes: leaves and their rules."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn.modules.lazy import LazyModuleMixin

from bopscount.bits import registered_classes
from bopscount.bits.adapters import may_apply
from bopscount.errors import InputError
from bopscount.tracing.functions.attention import attention_rule
from bopscount.tracing.recurrent import recurrent_rule
from bopscount.tracing.torch_names import TORCH_NAMES

LEAF_RULES: dict[type[nn.Module], Any] = {
    **{
        cls: rule or kind
        for kind, names in TORCH_NAMES.items()
        for cls, rule in names.modules.items()
    },
    **dict.fromkeys((nn.LSTM, nn.GRU, nn.RNN), recurrent_rule),
}
"""Exact class -> name of a leaf rule of the core, or a callable (host, module, args, kwargs)."""

LEAF_BASES = (
    nn.modules.conv._ConvNd,
    nn.Linear,
    nn.Bilinear,
    nn.modules.batchnorm._NormBase,
    nn.GroupNorm,
    nn.LayerNorm,
    nn.RMSNorm,
    nn.LocalResponseNorm,
    nn.Embedding,
    nn.EmbeddingBag,
    nn.RNNBase,
    nn.RNNCellBase,
)
"""Base classes whose subclasses are leaves, even with submodules."""


def scripted_rule(host: Any, module: Any, args: tuple[Any, ...], kwargs: Any) -> Any:
    """Run a TorchScript module as one leaf, as only the dispatcher sees its ops."""
    return host.fall_back(module.forward, args, kwargs)


def classify(cls: type[nn.Module]) -> tuple[bool, Any, bool, bool, bool]:
    """Classify a module class.

    Returns:
        (leaf, rule, registered, sequential, adapted): whether it is a leaf even with submodules;
        its rule or None; whether it is registered; whether it runs and iterates as nn.Sequential;
        whether an adapter may apply to its instances.

    Raises:
        InputError: For a lazy class, whose parameters are uninitialised.
    """
    if registered_classes.rule_for_class(cls) is not None:
        return True, None, True, False, False
    rule = LEAF_RULES.get(cls)
    if rule is not None:
        return True, rule, False, False, False
    if issubclass(cls, LazyModuleMixin) and cls.cls_to_become is not None:
        raise InputError(
            f"model must have all its parameters, but it holds an uninitialised {cls.__name__}: "
            "run it once on a sample input first"
        )
    if cls is nn.MultiheadAttention:
        return False, attention_rule, False, False, False
    if issubclass(cls, torch.jit.ScriptModule):
        return True, scripted_rule, False, False, False
    adapted = may_apply(cls)
    if issubclass(cls, LEAF_BASES):
        return True, _inherited_rule(cls), False, False, adapted
    sequential = cls.forward is nn.Sequential.forward and cls.__iter__ is nn.Sequential.__iter__  # type: ignore[attr-defined]
    return False, None, False, sequential, adapted


def _inherited_rule(cls: type[nn.Module]) -> Any:
    """Return the rule of the torch base class if `cls` keeps its forward and weight, else None."""
    if isinstance(getattr(cls, "weight", None), property):
        return None  # parametrised: the weight is computed
    for base in cls.__mro__[1:]:
        if base in LEAF_RULES:
            kept = all(
                getattr(cls, name, None) is getattr(base, name, None)
                for name in ("forward", "_conv_forward", "__call__")
            )
            return LEAF_RULES[base] if kept else None
    return None
