"""torch functions that are answered without torch, one rule each.

A rule gets (driver, func, args, kwargs), records the op and returns its output, or
NotImplemented where it is not certain: then torch decides, on meta tensors.
"""

from bopscount.tracing.functions import (
    as_modules,
    elementwise,
    movement,
    packed,
    products,
    reductions,
)
from bopscount.tracing.functions.registry import FREE, RULES, VIEWS

__all__ = [
    "FREE",
    "RULES",
    "VIEWS",
    "as_modules",
    "elementwise",
    "movement",
    "packed",
    "products",
    "reductions",
]
