"""Progress bar for long computations."""

from __future__ import annotations

from typing import Any

from tqdm import tqdm

SHOWN_AFTER = 1.0
"""Seconds before the bar appears."""


def progress_bar(title: str, total: int | None, unit: str) -> Any:
    """Return a tqdm bar on standard error, shown after a second and removed when closed.

    It is shown on a terminal only.
    """
    return tqdm(
        desc=title,
        total=total,
        unit=unit,
        delay=SHOWN_AFTER,
        leave=False,
        disable=None,
    )
