"""Writes docs/conventions.md: every convention with its rule, source and worked number.

`python docs/conventions_page.py` writes; with `--check` it only says whether the page is
out of date.
"""

from __future__ import annotations

import sys
from pathlib import Path
from textwrap import fill

from bopscount import CONVENTIONS
from bopscount.conventions.example import LAYERS

_WIDTH = 100
PAGE = Path(__file__).resolve().parent / "conventions.md"
_TEXT = """\
# Conventions

<!-- Written by python docs/conventions_page.py; the rules are in bopscount/conventions/. -->

The same network has many published sizes. Each convention below is one way of counting, under a
name; `rules=` sets the columns of the table, and a convention only adds a named total:

```python
report = bopscount.stat(model, (3, 224, 224), convention="reactnet")  # printed with its name
report.convention("reactnet")  # an int, a float, or a dict of numbers that are never merged
report.conventions()  # all of them, side by side
report.conventions()["reactnet"].parts  # the exact integers that the number is made of
bopscount.convention_value(table, "product")  # of what trace returned, or of some of its records
```

From a shell: `bopscount binary_resnet18 --convention reactnet`, or `--conventions`.

"Values" says whether a rule yields exact integers (an `int`, `ConventionValue.exact`) or not (a
`float`, `ConventionValue.approximate`; its integer `parts` are exact). Full precision stands for
every float dtype. A layer is low-bit where both operands are quantised, to 16 bits or fewer. A size
in MiB is in units of 2^20 bytes, which the tables in question print as "MB"; GBOPs, GFLOPs and
MMACs are powers of ten.

Which layer is what: "convolutions and linear layers" are the op kinds `conv`, `conv_transpose`
and `linear`; a MAC op is any kind with MACs (docs/counting.md). `fvcore` itself overlooks
attention that is one fused op, as in `nn.MultiheadAttention`; the convention counts its products.

## Bit widths in the report

- Each row has `weight_bits` and `input_bits`, and `weight_bits_source` and `input_bits_source`:
  where a width comes from (`user`, `adapter`, `producer`, `dtype`, `measured`), or `floating`,
  its float dtype. `columns=("default", "bits")` shows them; `columns=` takes any of the table's
  headers, `MACs` and `ParamMem(B)` too, and `to_pandas` and `--csv` follow it.
- `report.bit_summary` has MACs by (weight bits, input bits), parameters and their memory by
  width, the model's size in MiB at the true widths, with its remaining float parameters at 8
  bits, and with everything at 32 bits, the compression ratio (32-bit size / size; larq prints the
  inverse), and the share of binarised MACs. It stands under the table where a layer beyond the
  two original classes has low-bit weights. A weight that several ops read is stored once;
  buffers, such as a batch norm's statistics, are not counted.
- `discount_zeros=True` leaves out the MACs of zero weights, and what these take of the bytes read
  and of weight memory. It is exact for convolutions and linear layers, each of whose weights is
  used equally often: of 36,864 MACs of 576 weights, 144 of them not zero, 9,216 remain. `params`
  and the conventions stay, but for those that say otherwise. The weights are looked at as the
  module stores them, or as it hands them out after quantisation; where the two may differ, and
  where no weight is found, the report says so (`report.assumptions`). One-bit weights have no
  zero.

## The network of the worked numbers

The worked numbers are those of one small network, with a batch of 1:

{layers}

{tables}
"""


def page() -> str:
    """The whole page."""
    layers = "\n".join(f"{number}. {layer}" for number, layer in enumerate(LAYERS, 1))
    kinds = dict.fromkeys(convention.kind for convention in CONVENTIONS.values())
    return _TEXT.format(layers=layers, tables="\n\n".join(map(_section, kinds))).rstrip() + "\n"


def _section(kind: str) -> str:
    lines = [f"## {kind[0].upper()}{kind[1:]}"]
    for name, convention in CONVENTIONS.items():
        if convention.kind != kind:
            continue
        values = "integers" if convention.integer else "floats"
        lines.append(
            f"### `{name}`\n\n{fill(convention.doc, _WIDTH, break_on_hyphens=False)}\n\n"
            f"- Published by: {convention.publishers}.\n"
            f"- Source: {convention.source}.\n"
            f"- Values: {values}{', in ' + convention.unit if convention.unit else ''}.\n"
            f"- Worked number: `{convention.example}`"
        )
    return "\n\n".join(lines)


def main(arguments: list[str]) -> int:
    """Exit code 1 if `--check` found the page out of date."""
    current = PAGE.exists() and PAGE.read_text(encoding="utf-8") == page()
    if current:
        return 0
    if "--check" in arguments:
        sys.stderr.write("out of date: conventions.md; run python docs/conventions_page.py\n")
        return 1
    PAGE.write_text(page(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
