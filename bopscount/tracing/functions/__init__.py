"""torch functions that are answered without torch, one rule each.

Importing the package registers them; `registry` says what a rule is.
"""

from bopscount._core import Answers
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
from bopscount.tracing.functions.free import (
    PLAIN_TYPES,
    QUESTIONS,
    RESHAPING,
    RESIZING,
    VIEWS,
    entry_points,
)
from bopscount.tracing.functions.registry import FUNCTION_RULES, fast_answers, makers

_FAST = fast_answers()
ANSWERS = Answers(
    QUESTIONS, RESHAPING, VIEWS, makers(), FUNCTION_RULES, RESIZING, _FAST,
    entry_points({**FUNCTION_RULES, **_FAST}), PLAIN_TYPES,
)  # fmt: skip
"""How the tracer answers each torch function; every trace uses it."""

__all__ = [
    "ANSWERS",
    "as_modules",
    "attention",
    "elementwise",
    "itself",
    "movement",
    "packed",
    "products",
    "reductions",
]
