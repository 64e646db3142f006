"""Module paths of earlier versions, by which their pickles name classes."""

from __future__ import annotations

import sys
from importlib import import_module

FORMER_PATHS = {
    "bopscount.module_tree": "bopscount.records.modules",
    "bopscount.totals": "bopscount.records.totals",
    "bopscount.bit_summary": "bopscount.report.bit_summary",
    "bopscount.search.choice_table": "bopscount.search.choices.table",
    "bopscount.search.choice_slots": "bopscount.search.choices.slots",
}
"""Former path -> path. All of them are imported by `import bopscount` in any case."""


def install() -> None:
    """Make the former paths importable, as names of the modules that took their place."""
    for former, path in FORMER_PATHS.items():
        sys.modules.setdefault(former, import_module(path))
