"""Layer classes with explicit bit widths: legacy, built-in and user-registered."""

from __future__ import annotations

import pickle
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar, overload

from bopscount.bits.layer_bits import LayerBits
from bopscount.errors import InputError
from bopscount.records.widths import MAX_BITS

if TYPE_CHECKING:
    from torch import nn

MIN_RANK, MAX_RANK = 2, 5
"""Ranks of a weight, from linear to three-dimensional convolution."""
Bits = int | Callable[[Any], int | None] | None
Shape = tuple[int, ...] | Callable[[Any], tuple[int, ...]] | None
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class LayerRule:
    """Bit widths of a layer class; each value except `source` may be a callable of the module.

    Attributes:
        weight_bits: Bits per weight, None for full precision.
        input_bits: Bits per input element, None for full precision.
        output_bits: Bits per output element; marks an activation quantiser.
        weight_shape: Logical shape (out, in / groups, *kernel) of a packed or flat weight.
        source: Source of the widths: "user", or "adapter" for classes that bopscount knows.
    """

    weight_bits: Bits = None
    input_bits: Bits = None
    output_bits: Bits = None
    weight_shape: Shape = None
    source: str = "user"

    def bits_of(self, module: nn.Module) -> LayerBits:
        """Return the validated values for a module."""

        def read(name: str) -> Any:
            value = getattr(self, name)
            value = value(module) if callable(value) else value
            if value is not None:
                _check(name, value)
            return value

        shape = read("weight_shape")
        if shape is None and self.weight_bits is not None:
            # By default the shape of the parameter `weight` or `weights`.
            weight = getattr(module, "weight", getattr(module, "weights", None))
            shape = getattr(weight, "shape", None)
        return LayerBits(
            weight_bits=read("weight_bits"),
            input_bits=read("input_bits"),
            output_bits=read("output_bits"),
            weight_shape=None if shape is None else tuple(shape),
        )


# Legacy classes, the only two that match by bare class name.
BY_NAME = {
    "HardBinaryConv": LayerRule(weight_bits=1, input_bits=1, source="adapter"),
    "BinaryActivation": LayerRule(output_bits=1, source="adapter"),
}
_built_in: dict[type, LayerRule] = {}
_by_class: dict[type, LayerRule] = {}
_by_qualified_name: dict[str, LayerRule] = {}
_of_caller: dict[str, LayerRule] = {}


def _qualified_name(cls: type) -> str:
    return f"{cls.__module__}.{cls.__qualname__}"


def _check(name: str, value: Any) -> None:
    if name == "weight_shape":
        _check_shape(value)
    elif isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= MAX_BITS:
        raise InputError(f"{name} must be an integer from 1 to {MAX_BITS}, got {value!r}")


def _check_shape(shape: Any) -> None:
    if (
        not isinstance(shape, (tuple, list))
        or not MIN_RANK <= len(shape) <= MAX_RANK
        or not all(isinstance(size, int) and size >= 1 for size in shape)
    ):
        raise InputError(
            "weight_shape must be (out, in / groups, *kernel), "
            f"{MIN_RANK} to {MAX_RANK} positive integers, got {shape!r}"
        )


def _is_module_class(value: type) -> bool:
    # A module class implies that torch is imported; importing it here would be slow.
    torch = sys.modules.get("torch")
    return torch is not None and issubclass(value, torch.nn.Module)


@overload
def register_layer(
    class_or_qualified_name: type | str,
    *,
    weight_bits: Bits = None,
    input_bits: Bits = None,
    output_bits: Bits = None,
    weight_shape: Shape = None,
) -> None: ...
@overload
def register_layer(
    *,
    weight_bits: Bits = None,
    input_bits: Bits = None,
    output_bits: Bits = None,
    weight_shape: Shape = None,
) -> Callable[[type[T]], type[T]]: ...
def register_layer(
    class_or_qualified_name: type | str | None = None,
    *,
    weight_bits: Bits = None,
    input_bits: Bits = None,
    output_bits: Bits = None,
    weight_shape: Shape = None,
) -> Callable[[type[T]], type[T]] | None:
    """Register the bit widths of a layer class; without a class, return a decorator.

    A module of the class is one row of the table, whatever it contains; the convolutions and
    matrix products that its forward runs are counted, at the given widths. Each value may also
    be a callable of the module.

    Args:
        class_or_qualified_name: Module class, or its name "package.module.Class".
        weight_bits: Bits per weight, 1 to 64; None means full precision.
        input_bits: Bits per input element, likewise.
        output_bits: Bits per output element; marks the class as an activation quantiser
            (1: one Bop per element).
        weight_shape: Logical shape of the weight, (out, in / groups, *kernel), if no parameter
            has that shape.

    Raises:
        InputError: If the class is registered already or no module class, if bits are outside
            1 to 64, or if weight_shape is not a valid shape.

    Example: after `register_layer(SignConv, weight_bits=1, input_bits=1)`, a 64 -> 64, 3x3
    SignConv on 56x56 positions has 36,864 x 3,136 = 115,605,504 bops.
    """
    if class_or_qualified_name is None:

        def decorate(cls: type[T]) -> type[T]:
            register_layer(
                cls, weight_bits=weight_bits, input_bits=input_bits,
                output_bits=output_bits, weight_shape=weight_shape,
            )  # fmt: skip
            return cls

        return decorate
    rule = LayerRule(weight_bits, input_bits, output_bits, weight_shape)
    for name in ("weight_bits", "input_bits", "output_bits", "weight_shape"):
        value = getattr(rule, name)
        if value is not None and not callable(value):
            _check(name, value)
    if isinstance(class_or_qualified_name, str):
        name = class_or_qualified_name
        if "." not in name:
            raise InputError(
                f"class_or_qualified_name must name the module too, as in "
                f"'package.module.{name}', got {name!r}"
            )
        known: dict[Any, LayerRule] = _by_qualified_name
        key: Any = name
        taken = name in _by_qualified_name or any(_qualified_name(c) == name for c in _by_class)
    elif isinstance(class_or_qualified_name, type) and _is_module_class(class_or_qualified_name):
        known, key = _by_class, class_or_qualified_name
        name = _qualified_name(key)
        taken = key in _by_class or name in _by_qualified_name
    else:
        raise InputError(
            "class_or_qualified_name must be a torch.nn.Module class or 'package.module.Class', "
            f"got {class_or_qualified_name!r}"
        )
    if taken:
        raise InputError(f"{name} is registered already; unregister_layer it first")
    known[key] = rule
    return None


def built_in_layer(**bits: Bits) -> Callable[[type[T]], type[T]]:
    """Return a decorator that gives a class of `bopscount.networks` a rule.

    A rule that the user registers takes precedence.
    """

    def mark(cls: type[T]) -> type[T]:
        _built_in[cls] = LayerRule(**bits, source="adapter")  # type: ignore[arg-type]
        return cls

    return mark


def unregister_layer(class_or_qualified_name: type | str) -> None:
    """Undo `register_layer`.

    Raises:
        InputError: If the class is not registered.
    """
    known: dict[Any, LayerRule] = (
        _by_qualified_name if isinstance(class_or_qualified_name, str) else _by_class
    )
    if known.pop(class_or_qualified_name, None) is None:
        raise InputError(f"{class_or_qualified_name!r} is not registered")


def rule_of(module: nn.Module) -> LayerRule | None:
    """Return the rule for the module's exact class; user-registered rules take precedence."""
    return rule_for_class(type(module))


def rule_for_class(cls: type) -> LayerRule | None:
    """Return the rule for a class, as `rule_of` does for a module."""
    rule = _of_caller.get(_qualified_name(cls)) if _of_caller else None
    if rule is None:
        rule = _by_class.get(cls)
    if rule is None and _by_qualified_name:
        rule = _by_qualified_name.get(_qualified_name(cls))
    if rule is None:
        rule = _built_in.get(cls)
    return BY_NAME.get(cls.__name__) if rule is None else rule


Carried = dict[str, "bytes | LayerRule"]
"""Rules in transit to another process, pickled or not, by qualified name."""


def registered_rules(*, pickled: bool) -> Carried:
    """Return the user's rules, pickled one by one so that each loads or fails independently.

    Args:
        pickled: Omit rules that pickle cannot handle; otherwise they are kept unpickled, for an
            executor with another pickler.
    """
    carried: Carried = {}
    rules = {_qualified_name(cls): rule for cls, rule in _by_class.items()} | _by_qualified_name
    for name, rule in rules.items():
        try:
            carried[name] = pickle.dumps(rule)
        except Exception:
            if not pickled:
                carried[name] = rule
    return carried


def _loaded(name: str, rule: bytes | LayerRule) -> LayerRule:
    if isinstance(rule, LayerRule):
        return rule
    try:
        found: LayerRule = pickle.loads(rule)
        return found
    except Exception as error:
        what = f"the registered rule of {name} does not load here: {type(error).__name__}: {error}"

    def refuse(_module: Any) -> int:
        raise InputError(what)

    return LayerRule(weight_bits=refuse)


@contextmanager
def rules_of_caller(rules: Carried) -> Iterator[None]:
    """Context manager for workers: rules of the caller take precedence over local ones."""
    _of_caller.update({name: _loaded(name, rule) for name, rule in rules.items()})
    try:
        yield
    finally:
        _of_caller.clear()
