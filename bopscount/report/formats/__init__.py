"""Output formats of a report: one file each, found by its `FORMAT`.

They arrange numbers and compute none. A file with a `FORMAT` is all that a new format takes:
`format(report, name)` and the command line's option follow from it.
"""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules

from bopscount.report.formats.format import Format


def _find() -> dict[str, Format]:
    """Return the format of each file in this folder that has one, by name."""
    found: dict[str, Format] = {}
    for module in sorted(iter_modules(__path__), key=lambda module: module.name):
        one = getattr(import_module(f"{__name__}.{module.name}"), "FORMAT", None)
        if isinstance(one, Format):
            found[one.name] = one
    return found


FORMATS = _find()
"""Name -> format."""
