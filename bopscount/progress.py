"""The progress bar of what takes long."""

from __future__ import annotations

from typing import Any

from tqdm import tqdm

SHOWN_AFTER = 1.0
"""Seconds without a bar."""


def progress_bar(title: str, total: int | None, unit: str) -> Any:
    """A tqdm bar on standard error after a second, on a terminal only; gone when closed."""
    return tqdm(
        desc=title,
        total=total,
        unit=unit,
        delay=SHOWN_AFTER,
        leave=False,
        disable=None,
    )
