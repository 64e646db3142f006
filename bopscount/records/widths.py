"""Bit widths that have a meaning everywhere."""

from __future__ import annotations

FULL_PRECISION = 32
"""Bits of a float operand in every rule about bit widths, whatever its dtype."""
MAX_LOW_BITS = 16
"""The widest integers that count as low-bit: both operands of a low-bit layer are at most these."""
MAX_BITS = 64
"""The widest operand that can be stated."""
