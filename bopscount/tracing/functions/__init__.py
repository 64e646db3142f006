"""torch functions that are answered without torch, one rule each.

A rule gets (driver, func, args, kwargs), records the op and returns its output, or
NotImplemented where it is not certain: then torch decides, on meta tensors.
"""

from bopscount._core import set_answers, set_direct
from bopscount.tracing.functions import (
    as_modules,
    attention,
    elementwise,
    itself,
    movement,
    packed,
    products,
    reductions,
)
from bopscount.tracing.functions.registry import (
    FREE,
    MAKERS,
    NATIVE,
    PLAIN_TYPES,
    RESHAPING,
    RESIZING,
    RULES,
    VIEWS,
    direct_entries,
)

set_answers(FREE, RESHAPING, VIEWS, MAKERS, RULES, RESIZING, NATIVE)
set_direct(direct_entries(), PLAIN_TYPES)

__all__ = [
    "as_modules",
    "attention",
    "elementwise",
    "itself",
    "movement",
    "packed",
    "products",
    "reductions",
]
