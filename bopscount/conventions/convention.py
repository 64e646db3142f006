"""What a convention is, and what it says of a network."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from bopscount.conventions.bit_price import BitPrice
from bopscount.conventions.facts import Facts
from bopscount.errors import InputError

Value = int | float | dict[str, int]
"""One number; or, of a convention that never merges its numbers, each by its name."""


@dataclass(frozen=True, slots=True)
class Figure:
    """What a rule says of one network.

    Attributes:
        value: The number, or the numbers that are never added up.
        parts: The exact integers that the number is made of, by their names.
    """

    value: Value
    parts: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Convention:
    """A published way of counting, under its name.

    Attributes:
        name: What `convention=` takes.
        kind: "low-bit operations", "operations" (bit widths do not matter) or "size".
        unit: Of the value; a size in MiB is 2**20 bytes.
        doc: The rule.
        publishers: Who publishes in it.
        source: Where the rule is stated.
        integer: Whether every value is an exact integer; a float otherwise.
        example: "<arithmetic> = <value>" for the network of `conventions.example`.
        rule: Facts to Figure.
        price: The rule again as a price by bit widths, where it is one; its value is the rule's.
    """

    name: str
    kind: str
    unit: str
    doc: str
    publishers: str
    source: str
    integer: bool
    example: str
    rule: Callable[[Facts], Figure]
    price: BitPrice | None = None

    def evaluate(self, facts: Facts) -> ConventionValue:
        """Its value for a network.

        Raises:
            InputError: If the facts do not hold what the rule needs.
        """
        figure = self.rule(facts)
        return ConventionValue(self.name, self.unit, figure.value, figure.parts)


@dataclass(frozen=True, slots=True)
class ConventionValue:
    """A number with its convention.

    Attributes:
        name: Of the convention.
        unit: Of the value.
        value: An int where the rule is one of integers, else a float; a dict of ints
            where the convention never merges its numbers; None where it has none.
        parts: The exact integers that the value is made of.
        missing: Why there is no value.
    """

    name: str
    unit: str
    value: Value | None
    parts: dict[str, int] = field(default_factory=dict)
    missing: str = ""

    @property
    def exact(self) -> int | dict[str, int] | None:
        """The value where the rule is one of integers, else None."""
        return None if isinstance(self.value, float) else self.value

    @property
    def approximate(self) -> float | None:
        """The value where the rule is not one of integers, else None."""
        return self.value if isinstance(self.value, float) else None

    def __str__(self) -> str:
        if self.value is None:
            return f"{self.name}: {self.missing}"
        number = f"{number_text(self.value)} {self.unit}".rstrip()
        return f"{number} (convention: {self.name})"

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> ConventionValue:
        """What `to_dict` wrote."""
        return cls(**data)


_SMALL = 1000


def number_text(value: Value) -> str:
    """Integers in full; floats with as many digits as are read."""
    if isinstance(value, dict):
        return ", ".join(f"{name} {number:,}" for name, number in value.items())
    if isinstance(value, int):
        return f"{value:,}"
    if value.is_integer():
        return f"{value:,.0f}"
    return f"{value:,.4f}" if abs(value) < _SMALL else f"{value:,.2f}"


def unknown_convention(name: object, known: Mapping[str, Any]) -> InputError:
    """The error for a name that is none."""
    return InputError(f"convention must be one of {', '.join(known)}, got {name!r}")
