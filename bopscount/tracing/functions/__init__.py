"""Rules of torch functions, which answer without running torch.

Importing the package registers them; `host.Rule` documents what a rule takes and returns. Imports
nothing of the tracing package but `torch_names`, `host`, `fields` and `inputs`.
"""

from bopscount._core import Answers
from bopscount.tracing.functions import (
    as_modules,
    attention,
    elementwise,
    movement,
    packed,
    products,
    reductions,
    tensor_metadata,
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
"""The core's table of torch functions and their answers, shared by all traces."""

__all__ = [
    "ANSWERS",
    "as_modules",
    "attention",
    "elementwise",
    "movement",
    "packed",
    "products",
    "reductions",
    "tensor_metadata",
]
