"""Module paths of earlier versions, which old pickles refer to."""

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
"""Former path -> current path; `import bopscount` imports each of these modules anyway."""


def install() -> None:
    """Make the former paths importable as aliases of the current modules."""
    for former, path in FORMER_PATHS.items():
        sys.modules.setdefault(former, import_module(path))
