"""Results of measuring bit widths from values."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

SAMPLES_A_LEVEL = 4
"""Least number of values per spanned level from which a width is inferred."""
GLANCE = 4096
"""Number of values that suffices to recognise most floats."""
_CODE_BOOK = 256


class Finding(Enum):
    """Outcome of measuring a width, worded as a predicate of the values."""

    WIDTH = "lie on a grid"
    SILENT = "are all the same"
    FEW = "are too few"
    FLOAT = "have no common step"


@dataclass(frozen=True, slots=True)
class ValueBits:
    """Measured width of some values.

    Attributes:
        finding: Outcome: a width, or the reason for none.
        bits: Bit width; 0 if there is none.
        levels: Number of levels from the lowest to the highest, if the values lie on a grid.
        samples: Number of values.
        distinct: Number of distinct values seen, if they lie on no grid.
    """

    finding: Finding
    bits: int = 0
    levels: int = 0
    samples: int = 0
    distinct: int = 0

    @property
    def is_code_book(self) -> bool:
        """Whether few distinct values without a common step recur: levels from a code book."""
        often = min(self.samples, GLANCE) // SAMPLES_A_LEVEL
        return self.finding is Finding.FLOAT and 0 < self.distinct <= min(_CODE_BOOK, often)


@dataclass(frozen=True, slots=True)
class Measured:
    """Measured widths of the two operands of one product."""

    weight: ValueBits
    input: ValueBits
