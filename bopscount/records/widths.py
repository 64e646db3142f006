"""Bit widths with a meaning of their own, as the core has them."""

from __future__ import annotations

import bopscount._core as _core

FULL_PRECISION = _core.FULL_PRECISION
"""Bits of a float operand in every rule about bit widths, whatever its dtype."""
MAX_LOW_BITS = _core.MAX_LOW_BITS
"""The most bits of an operand of a low-bit layer: both operands have at most these."""
MAX_BITS = _core.MAX_BITS
"""The most bits of an operand that can be stated."""
