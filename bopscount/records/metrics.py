"""Names of metrics as arguments."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from bopscount.errors import InputError

_EXAMPLES = ("bops", "macs")


def check_metrics(
    metrics: object,
    known: Sequence[str],
    *,
    default: Sequence[str] | None = None,
    may_be_empty: bool = False,
) -> tuple[str, ...]:
    """Return the names in the argument `metrics`, each once and in the order given.

    Args:
        metrics: One name, or several.
        known: Names that may be given.
        default: Names that None stands for; without it, None is an error.
        may_be_empty: Whether no name at all is an answer.

    Raises:
        InputError: For anything else.

    Example: `check_metrics(["macs", "bops", "macs"], METRIC_NAMES)` is `("macs", "bops")`.
    """
    if metrics is None and default is not None:
        return tuple(default)
    names = (metrics,) if isinstance(metrics, str) else metrics
    given = tuple(names) if isinstance(names, Iterable) else (None,)
    if not all(isinstance(name, str) for name in given):
        examples = tuple(name for name in _EXAMPLES if name in known) or tuple(known[:2])
        none = "" if default is None else " or None"
        raise InputError(
            f"metrics must be names such as {examples}{none}, got {metrics!r}; "
            f"there are {', '.join(known)}"
        )
    for name in given:
        if name not in known:
            raise InputError(f"metrics must be among {', '.join(known)}, got {name!r}")
    if not given and not may_be_empty:
        raise InputError(
            f"metrics must name one at least, got {metrics!r}; there are {', '.join(known)}"
        )
    return tuple(dict.fromkeys(given))
