"""A counting convention, and its value for a network."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from bopscount.conventions.bit_price import BitPrice
from bopscount.conventions.facts import Facts
from bopscount.errors import InputError

Value = int | float | dict[str, int]
"""One number, or named numbers for a convention that never merges them."""


@dataclass(frozen=True, slots=True)
class Figure:
    """Result of a rule for one network.

    Attributes:
        value: The number, or named numbers that are never added up.
        parts: Exact integers that the value is computed from, by name.
    """

    value: Value
    parts: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Convention:
    """Published counting convention.

    Attributes:
        name: Name for `convention=`.
        kind: "low-bit operations", "operations" (bit widths do not matter) or "size".
        unit: Unit of the value; a MiB is 2**20 bytes.
        doc: The rule in words.
        publishers: Papers and tools that publish in it.
        source: Source that states the rule.
        integer: Whether every value is an exact integer; a float otherwise.
        example: "<arithmetic> = <value>" for the network in `conventions.example`.
        rule: Function from Facts to Figure.
        price: The same rule as a price by bit widths, if it has that form.
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
        """Return the value for a network.

        Raises:
            InputError: If the facts lack data that the rule needs.
        """
        figure = self.rule(facts)
        return ConventionValue(self.name, self.unit, figure.value, figure.parts)


@dataclass(frozen=True, slots=True)
class ConventionValue:
    """Value of a network in one convention.

    Attributes:
        name: Name of the convention.
        unit: Unit of the value.
        value: An int if the rule is exact, else a float; a dict of ints if the convention
            never merges its numbers; None if there is no value.
        parts: Exact integers that the value is computed from, by name.
        missing: Reason if there is no value.
    """

    name: str
    unit: str
    value: Value | None
    parts: dict[str, int] = field(default_factory=dict)
    missing: str = ""

    @property
    def exact(self) -> int | dict[str, int] | None:
        """The value if the rule is exact, else None."""
        return None if isinstance(self.value, float) else self.value

    @property
    def approximate(self) -> float | None:
        """The value if it is a float, else None."""
        return self.value if isinstance(self.value, float) else None

    def __str__(self) -> str:
        if self.value is None:
            return f"{self.name}: {self.missing}"
        number = f"{number_text(self.value)} {self.unit}".rstrip()
        return f"{number} (convention: {self.name})"

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> ConventionValue:
        """Return the value that `to_dict` wrote."""
        return cls(**data)


_SMALL = 1000


def number_text(value: Value) -> str:
    """Return the text of a value: whole numbers in full, others with two or four decimals."""
    if isinstance(value, dict):
        return ", ".join(f"{name} {number:,}" for name, number in value.items())
    if isinstance(value, int):
        return f"{value:,}"
    if value.is_integer():
        return f"{value:,.0f}"
    return f"{value:,.4f}" if abs(value) < _SMALL else f"{value:,.2f}"


def unknown_convention(name: object, known: Mapping[str, Any]) -> InputError:
    """Return the error for an unknown convention name."""
    return InputError(f"convention must be one of {', '.join(known)}, got {name!r}")
