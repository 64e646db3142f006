"""Building blocks of adapters: `Family`, and readers of attributes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import log2
from typing import TYPE_CHECKING, Any

from bopscount.bits.layer_bits import LayerBits
from bopscount.records.widths import FULL_PRECISION

if TYPE_CHECKING:
    from torch import nn

FLOAT = FULL_PRECISION
"""Width of full precision, whatever the float dtype."""


class MissingError(Exception):
    """Missing attribute of a module; the argument is its dotted path."""


@dataclass(frozen=True, slots=True)
class Family:
    """Layer classes of one code base, and how to read their bit widths.

    Attributes:
        name: Name of the code base.
        classes: Names of its layer classes; other classes in `modules` are ignored.
        read: Function from a module to its widths; None if it is not of this family.
        where: Attributes that are read, for docs/adapters.md.
        modules: Prefixes of the classes' module paths. If empty, a class is recognised by its
            name and the attributes in `needs`, because research code is copied between
            projects.
        others: Prefixes of module paths whose classes of the same names are unrelated.
        needs: Dotted paths of required attributes.
        tested: Reference of the tests: the library with its version, or a re-implementation.
        inner: Name of the submodule that the widths apply to; by default the module itself, as
            one row.
    """

    name: str
    classes: tuple[str, ...]
    read: Callable[[nn.Module], LayerBits | None]
    where: str
    modules: tuple[str, ...] = ()
    others: tuple[str, ...] = ("torch.",)
    needs: tuple[str, ...] = ()
    tested: str = "re-implementation"
    inner: str | None = None

    def knows(self, cls: type) -> bool:
        """Return whether the class or a base is of the family, by name and module path."""
        return any(
            base.__name__ in self.classes
            and (
                base.__module__.startswith(self.modules)
                if self.modules
                else not base.__module__.startswith(self.others)
            )
            for base in cls.__mro__
        )


def get(owner: Any, path: str) -> Any:
    """Return the attribute at a dotted path, as "weight_quant.bits"; names ending in () are called.

    Raises:
        MissingError: If an attribute is missing.
    """
    value = owner
    for name in path.split("."):
        call = name.endswith("()")
        try:
            value = getattr(value, name.removesuffix("()"))
            value = value() if call else value
        except Exception as error:
            raise MissingError(path.replace("()", "")) from error
    return value


def has(owner: Any, path: str) -> bool:
    """Return whether `get` finds the attribute."""
    try:
        get(owner, path)
    except MissingError:
        return False
    return True


def width(owner: Any, path: str) -> int | None:
    """Return a number of bits, `FLOAT` if it is less than 1 or at least `FLOAT`, or None for None.

    Raises:
        MissingError: If the attribute is missing or no number.
    """
    value = get(owner, path)
    if value is None:
        return None
    try:
        bits = round(float(value))
    except Exception as error:
        raise MissingError(path) from error
    return bits if 1 <= bits < FLOAT else FLOAT


def width_of_levels(owner: Any, path: str) -> int | None:
    """Return the bits of a number of levels: 1 for 2 levels, 4 for 16."""
    levels = get(owner, path)
    try:
        return None if levels is None else max(1, round(log2(float(levels)) + 0.499))
    except Exception as error:
        raise MissingError(path) from error


def width_of_range(owner: Any, low: str, high: str) -> int:
    """Return the bits of the integers from `low` to `high`: 4 for -8 to 7, 7 for 0 to 127."""
    levels = float(get(owner, high)) - float(get(owner, low)) + 1
    if not 1 < levels <= 2**FLOAT:
        raise MissingError(high)
    return max(1, round(log2(levels) + 0.499))


def linear_params(out_features: int, in_features: int, bias: Any) -> int:
    """Return the logical parameters of a linear layer; `bias` is a tensor, a flag or None."""
    return out_features * (in_features + (1 if bias is not None and bias is not False else 0))
