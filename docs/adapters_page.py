"""Writes docs/adapters.md: where each known code base keeps its bit widths.

`python docs/adapters_page.py` writes; with `--check` it only says whether the page is out of date.
"""

from __future__ import annotations

import sys
from pathlib import Path

from bopscount.bits.adapters import FAMILIES, ODD
from bopscount.bits.adapters.family import Family

PAGE = Path(__file__).resolve().parent / "adapters.md"
_TEXT = """\
# Adapters

<!-- Written by python docs/adapters_page.py from bopscount/bits/adapters/__init__.py. -->

An adapter reads bit widths from the layers of one code base. It recognises a class by its module
path, its name and its attributes, and imports no library. Nothing has to be registered. The report
gives `adapter` as the source of such a width, and `producer` if the input tensor carries its width
from an activation quantiser. Widths from the user (`bits=`, `register_layer`) take precedence. A
weight of a library's tensor subclass, or of an integer dtype, has its width even if a plain
function uses it; its source is `dtype`.

If a class matches by name but lacks the attributes, the layer counts as full precision, and the
report names the module and the attribute (`report.assumptions`).

`HardBinaryConv` and `BinaryActivation` are recognised by name alone, and so are the related classes
in the first row.

"Tested against" names the library with its version. For code that is no package it says
"re-implementation": the tests have their own copy of the attributes and the forward, in
tests/support/low_bit/. Packed weights count by their logical shape.

| code | classes | module path | where the widths are | tested against |
|---|---|---|---|---|
{rows}
"""


def page() -> str:
    """The whole page."""
    return _TEXT.format(rows="\n".join(map(_row, (*FAMILIES, *ODD))))


def _row(family: Family) -> str:
    classes = ", ".join(f"`{name}`" for name in family.classes)
    modules = ", ".join(f"`{path.rstrip('.')}`" for path in family.modules) or "any but torch's"
    cells = family.name, classes, modules, family.where, family.tested
    return "| " + " | ".join(cells) + " |"


def main(arguments: list[str]) -> int:
    """Exit code 1 if `--check` found the page out of date."""
    current = PAGE.exists() and PAGE.read_text(encoding="utf-8") == page()
    if current:
        return 0
    if "--check" in arguments:
        sys.stderr.write("out of date: adapters.md; run python docs/adapters_page.py\n")
        return 1
    PAGE.write_text(page(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
