"""What an adapter is made of."""

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
"""Width of float operands, whatever their dtype."""


class MissingError(Exception):
    """An attribute is not where the adapter expects it; the argument is its dotted path."""


@dataclass(frozen=True, slots=True)
class Family:
    """How one code base keeps its bit widths.

    Attributes:
        name: Of the code base.
        classes: Class names that it uses; with `modules`, all others are left alone too.
        read: From a module to its widths; None where it is not of this family.
        where: What is read, for the page of adapters.
        modules: Prefixes of the classes' module path. Without any, a class is recognised by its
            name and by having the attributes `needs`, for research code is copied about.
        others: Prefixes of module paths where classes of the same names are somebody else's.
        needs: Dotted paths of attributes.
        tested: What the tests hold it against: the library with its version, or our own code.
        inner: Which of its modules the widths are for, by name; by default itself, as one row.
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
        """Whether one of the class's bases is of the family, by name and module path."""
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
    """An attribute, or an attribute of it, as in "weight_quant.bits"; what is callable is called.

    Raises:
        MissingError: If it is not there.
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
    """Whether `get` finds it."""
    try:
        get(owner, path)
    except MissingError:
        return False
    return True


def width(owner: Any, path: str) -> int | None:
    """Return a number of bits, `FLOAT` if it is less than 1 or at least `FLOAT`, or None for None.

    Raises:
        MissingError: If there is no such attribute, or it is no number.
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
    """Bits for so many levels: 2 are 1 bit, 16 are 4."""
    levels = get(owner, path)
    try:
        return None if levels is None else max(1, round(log2(float(levels)) + 0.499))
    except Exception as error:
        raise MissingError(path) from error


def width_of_range(owner: Any, low: str, high: str) -> int:
    """Bits for the integers from `low` to `high`: -8 to 7 are 4, 0 to 127 are 7."""
    levels = float(get(owner, high)) - float(get(owner, low)) + 1
    if not 1 < levels <= 2**FLOAT:
        raise MissingError(high)
    return max(1, round(log2(levels) + 0.499))


def linear_params(out_features: int, in_features: int, bias: Any) -> int:
    """Logical parameters of a linear layer; `bias` is a tensor, a flag or None."""
    return out_features * (in_features + (1 if bias is not None and bias is not False else 0))
