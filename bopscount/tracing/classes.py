"""Classes of modules: which are leaves, and which rule answers for them."""

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
"""Exact class -> name of a leaf rule of the core, or a function (host, module, args, kwargs)."""

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
"""Subclasses of these are leaves whatever they contain."""


def scripted_rule(driver: Any, module: Any, args: tuple[Any, ...], kwargs: Any) -> Any:
    """TorchScript calls no Python; the dispatcher sees its ops, all in one row."""
    return driver.fall_back(module.forward, args, kwargs)


def classify(cls: type[nn.Module]) -> tuple[bool, Any, bool, bool, bool]:
    """What a class of modules is.

    Returns:
        Whether it is a leaf whatever it contains; its rule; whether it is registered; whether it
        is an nn.Sequential; whether an adapter might know its instances.
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
    """The rule of the torch class whose forward and weight a subclass keeps."""
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
