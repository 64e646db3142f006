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

Papers and tools publish different sizes for the same network. Each convention below is one
published way of counting, with a name. `rules=` sets the columns of the table; a convention only
adds a named total:

```python
report = bopscount.stat(model, (3, 224, 224), convention="reactnet")  # printed with its name
report.convention("reactnet")  # an int, a float, or a dict of numbers that are never merged
report.conventions()  # all of them, side by side
report.conventions()["reactnet"].parts  # the exact integers behind the number
bopscount.convention_value(table, "product")  # of a traced table, or of some of its records
```

From a shell: `bopscount binary_resnet18 --convention reactnet`, or `--conventions`.

"Values" says whether a rule gives exact integers (an `int`, `ConventionValue.exact`) or a float
(`ConventionValue.approximate`; its integer `parts` are exact). Full precision means any float
dtype. A layer is low-bit if both operands are quantised to 16 bits or fewer. Sizes in MiB are in
units of 2^20 bytes, which the original tables print as "MB"; GBOPs, GFLOPs and MMACs are powers of
ten.

"Convolutions and linear layers" are the op kinds `conv`, `conv_transpose` and `linear`; a MAC op is
any kind with MACs (docs/counting.md). The library `fvcore` does not count attention as one fused
op, as in `nn.MultiheadAttention`; the convention counts its products.

## Bit widths in the report

- Each row has `weight_bits` and `input_bits`, and their sources, `weight_bits_source` and
  `input_bits_source`: `user`, `adapter`, `producer`, `dtype`, `measured`, or `floating` for a float
  dtype. `columns=("default", "bits")` shows them; `columns=` takes any of the table's
  headers, `MACs` and `ParamMem(B)` too, and `to_pandas` and `--csv` follow it.
- `report.bit_summary` has MACs by (weight bits, input bits), parameters and their memory by
  width, the model's size in MiB at the true widths, with its remaining float parameters at 8
  bits, and with everything at 32 bits, the compression ratio (32-bit size / size; larq prints the
  inverse), and the share of binarised MACs. It is printed under the table if a layer other than
  `HardBinaryConv` and `BinaryActivation` has low-bit weights. A weight that several ops read is
  stored once; buffers, such as a batch norm's statistics, are not counted.
- `discount_zeros=True` omits the MACs of zero weights, and their share of the bytes read and of the
  weight memory. It is exact for convolutions and linear layers, which use each weight equally
  often: of 36,864 MACs of 576 weights, 144 of them not zero, 9,216 remain. `params` stays, and so
  do the conventions, except those with their own rule for zeros. The weights are examined as the
  module stores them, or as it returns them after quantisation; `report.assumptions` says if the two
  may differ, or if no weight was found. One-bit weights have no zero.

## The network of the worked numbers

The worked numbers are for one small network, with a batch of 1:

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
