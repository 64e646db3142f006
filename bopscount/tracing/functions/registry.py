"""Registry of rules for torch functions, and tables derived from `TORCH_NAMES`.

A rule (`host.Rule`) normalises arguments and calls the core, which knows shapes and costs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from bopscount._core import KINDS
from bopscount.tracing.host import Rule
from bopscount.tracing.torch_names import TORCH_NAMES, Functions

FUNCTION_RULES: dict[Any, Rule] = {}
MAKERS: set[Any] = set()
"""Functions whose rules handle constants themselves."""
_GENERIC: dict[str, Callable[[str, Functions], Rule]] = {}


def groups() -> Iterator[tuple[str, Functions]]:
    """Yield every group of functions with its op kind."""
    for kind, names in TORCH_NAMES.items():
        for group in names.functions:
            yield kind, group


def rule(*named: Any) -> Callable[[Rule], Rule]:
    """Register a rule for groups, named "<kind>.<op>" or "<kind>", or for functions.

    Raises:
        ValueError: For a group that is not in `TORCH_NAMES`, or a function that has a rule.
    """
    functions: list[Any] = []
    for each in named:
        if not isinstance(each, str):
            functions.append(each)
            continue
        kind, _, op = each.partition(".")
        found = [group for group in TORCH_NAMES[kind].functions if group.op == (op or kind)]
        if not found:
            raise ValueError(f"TORCH_NAMES has no functions {each!r}")
        functions += [function for group in found for function in group.functions]

    def add(handler: Rule) -> Rule:
        for function in functions:
            if function in FUNCTION_RULES:
                raise ValueError(f"two rules for {function}")
            FUNCTION_RULES[function] = handler
        return handler

    return add


def generic(
    by: str,
) -> Callable[[Callable[[str, Functions], Rule]], Callable[[str, Functions], Rule]]:
    """Register a factory (kind, group) -> rule for every group with this `by`."""

    def add(make: Callable[[str, Functions], Rule]) -> Callable[[str, Functions], Rule]:
        _GENERIC[by] = make
        for kind, group in groups():
            if group.by == by:
                rule(*group.functions)(make(kind, group))
        return make

    return add


def fast_answers() -> dict[Any, tuple[str, int, str, int]]:
    """Return the functions with a fast path in the core, as form, kind, op and rank.

    Calls with unusual arguments fall back to the function's rule, if it has one.
    """
    return {
        function: (group.fast, KINDS[kind], group.op or kind, group.rank)
        for kind, group in groups()
        for function in group.functions
        if group.fast
    }


def makers() -> set[Any]:
    """Return the functions whose rules handle constants themselves."""
    made = {function for _, group in groups() if group.makes for function in group.functions}
    return made | MAKERS
