"""What values say of their bit widths."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

SAMPLES_A_LEVEL = 4
"""A width is claimed from at least so many values for every level that it spans."""
GLANCE = 4096
"""So many values tell most floats."""
_CODE_BOOK = 256


class Finding(Enum):
    """What values say of their width."""

    WIDTH = "lie on a grid"
    SILENT = "are all the same"
    FEW = "are too few"
    FLOAT = "have no common step"


@dataclass(frozen=True, slots=True)
class ValueBits:
    """What was found in some values.

    Attributes:
        finding: Whether they have a width, or why not.
        bits: The width; 0 where there is none.
        levels: Levels from the lowest to the highest, where they lie on a grid.
        samples: How many values there were.
        distinct: How many distinct ones were seen, where they lie on none.
    """

    finding: Finding
    bits: int = 0
    levels: int = 0
    samples: int = 0
    distinct: int = 0

    @property
    def is_code_book(self) -> bool:
        """Whether few values without a common step stand for many: levels from a list."""
        often = min(self.samples, GLANCE) // SAMPLES_A_LEVEL
        return self.finding is Finding.FLOAT and 0 < self.distinct <= min(_CODE_BOOK, often)


@dataclass(frozen=True, slots=True)
class Measured:
    """What was seen of the two operands of one product."""

    weight: ValueBits
    input: ValueBits
