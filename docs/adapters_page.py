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

An adapter knows where one code base keeps its bit widths. It recognises a class by the path of its
module, its name and its attributes, and imports no library. Nothing has to be registered: the
report says `adapter` as the source of each width that comes from here, and `producer` where the
tensor that came in carries its width from an activation quantiser. What a user says (`bits=`,
`register_layer`) goes before. A weight of a library's tensor subclass, or of an integer dtype, has
its width even where a plain function uses it; the source is `dtype` then.

Where a class looks like one of these but has not the attributes, the layer is counted as full
precision, and the report names module and attribute (`report.assumptions`).

The two classes of old, `HardBinaryConv` and `BinaryActivation`, are known by name alone, as are
their relatives of the first row.

"Tested against" is the library itself, in the version named, or a re-implementation of the
attributes and the forward, in tests/support/low_bit/, for code that is no package. Packed weights
count by their logical shape.

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
