"""A layer array is counted where torch is never imported."""

import subprocess
import sys
from pathlib import Path

PROGRAM = """
import sys
import bopscount

layers = bopscount.new_layers(1)
layers["kind"] = bopscount._core.KINDS["conv"]
layers["in_channels"], layers["in_positions"] = 3, 224 * 224
layers["out_channels"], layers["out_positions"] = 64, 112 * 112
layers["kernel"] = (7, 7, 1)
layers["weight_elements"] = layers["params"] = 64 * 3 * 49
report = bopscount.count(layers)
print(report.totals.macs, report.totals.madd, report.totals.params, len(str(report)) > 0)
print([name for name in sys.modules if name.partition(".")[0] == "torch"])
"""


def run(program):
    # Away from the checkout, whose ./bopscount has no extension if another one is installed.
    return subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
        cwd=Path(sys.executable).anchor,
    ).stdout.splitlines()


def test_counting_an_array_does_not_import_torch():
    assert run(PROGRAM) == ["118013952 235225088 9408 True", "[]"]


def test_tracing_does_import_torch():
    program = "import sys, bopscount\nbopscount.trace\nprint('torch' in sys.modules)"
    assert run(program) == ["True"]
