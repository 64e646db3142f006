"""The benchmark suite: `python bench` runs everything, `python bench --quick` within two minutes.

Prints one table of what was measured beside its goals. A full run also writes
docs/benchmarks/results.json, and from it docs/benchmarks.md and the plots, which need matplotlib;
what `--only` leaves out stays there as it was.
A wrong answer ends a benchmark and fails the run; a missed goal fails a full run only.
"""

from __future__ import annotations

import argparse
import sys
from contextlib import redirect_stdout
from dataclasses import asdict
from importlib import import_module
from pathlib import Path
from time import perf_counter

import machine
import page
from peers import absent
from rows import Curve, Row, table_text

BENCHMARKS = (
    "counting",
    "tracing",
    "large",
    "fresh",
    "soak",
    "search_bits",
    "search_blocks",
    "search_choices",
    "adapters",
)
"""Files of this folder with a `measure(quick: bool)` that yields rows, curves and notes; the first
line of their text is the title. Whoever adds a benchmark adds it here."""


def run(name: str, quick: bool) -> dict[str, object]:
    """One benchmark's results, as they are written."""
    module = import_module(name)
    title = module.__doc__.splitlines()[0].rstrip(".:")
    print(f"{title} ...", file=sys.stderr, flush=True)
    start, circumstances = perf_counter(), machine.now()
    with redirect_stdout(sys.stderr):  # the table stands alone
        results = list(module.measure(quick))
    print(f"  {perf_counter() - start:.0f} s", file=sys.stderr)
    return {
        "title": title,
        "about": page.about(module.__doc__),
        **circumstances,
        "rows": [asdict(result) for result in results if isinstance(result, Row)],
        "curves": [asdict(result) for result in results if isinstance(result, Curve)],
        "notes": [result for result in results if isinstance(result, str)],
    }


def main() -> int:
    parser = argparse.ArgumentParser(prog="python bench", description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="less of everything, for CI")
    parser.add_argument("--only", metavar="NAME", nargs="+", choices=BENCHMARKS, default=BENCHMARKS,
                        help=", ".join(BENCHMARKS))  # fmt: skip
    parser.add_argument("--json", type=Path, metavar="FILE", help="keep the results there instead")
    arguments = parser.parse_args()
    sys.stdout.reconfigure(line_buffering=True)
    print(machine.text(machine.now()))
    if absent():
        print(f"not installed, so not compared: {', '.join(absent())}")
    kept = arguments.json or (None if arguments.quick else page.RESULTS)
    measured, wrong = {}, False
    for name in (name for name in BENCHMARKS if name in arguments.only):
        try:
            measured[name] = run(name, arguments.quick)
        except AssertionError as error:
            print(f"WRONG ANSWER in {name}: {error}")
            wrong = True
        if kept:
            page.write_results(kept, measured, BENCHMARKS)
    rows = {found["title"]: [Row(**row) for row in found["rows"]] for found in measured.values()}
    print("\n" + table_text(rows))
    for found in measured.values():
        for note in found["notes"]:
            print(f"{found['title']}: {note}")
    if kept == page.RESULTS:
        try:
            page.write()
        except ModuleNotFoundError:
            print("matplotlib is not installed: python bench/page.py writes the page with it")
    missed = [row for section in rows.values() for row in section if row.failed]
    if missed:
        print(f"\n{len(missed)} goals missed" + (", on a quick run" if arguments.quick else ""))
    return int(wrong or (bool(missed) and not arguments.quick))
