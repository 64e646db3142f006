"""Output formats of a report: one file each, discovered by its `FORMAT`.

Formats arrange numbers and compute none. A new format takes only a file with a `FORMAT`, which
defines `format(report, name)` and the command line's option.

Imports the data, columns and rows of `report`, and folders below `report`; no torch.
"""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules

from bopscount.report.formats.format import Format


def _find() -> dict[str, Format]:
    """Return name -> format for the files of this folder that define one."""
    found: dict[str, Format] = {}
    for module in sorted(iter_modules(__path__), key=lambda module: module.name):
        one = getattr(import_module(f"{__name__}.{module.name}"), "FORMAT", None)
        if isinstance(one, Format):
            found[one.name] = one
    return found


FORMATS = _find()
"""Name -> format."""
