"""Rule sets for counting costs."""

from __future__ import annotations

from bopscount.errors import InputError

RULE_SETS = ("torchstat", "full")


def check_rules(rules: str) -> str:
    """Return `rules`; raise InputError unless it names a rule set."""
    if rules not in RULE_SETS:
        raise InputError(f"rules must be 'torchstat' or 'full', got {rules!r}")
    return rules
