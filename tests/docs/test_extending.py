"""The examples of docs/extending.md apply to the tree, in as many files as they claim, and work."""

import json
import re
import shutil
import subprocess
import sys

import pytest
from support.paths import DOCS, ROOT

PAGE = DOCS / "extending.md"
SOURCES = ("bopscount", "csrc")
CLAIMED = {
    "An activation": 3, "A norm": 3, "An op of two operands": 4, "A cost metric": 2,
    "An output format": 1, "A convention": 1, "An adapter": 2,
}  # fmt: skip

pytestmark = pytest.mark.skipif(
    not all((ROOT / name).is_dir() for name in SOURCES) or shutil.which("git") is None,
    reason="needs the sources and git",
)

PROGRAM = """
import json, sys
sys.path.insert(0, {folder!r})
sys.meta_path = [finder for finder in sys.meta_path if "editable" not in repr(finder).lower()]
import torch
from torch import nn
import bopscount

def rows(model, *shapes):
    report = bopscount.count(bopscount.trace(model.eval(), list(shapes), run="never"), rules="full")
    return report, [[row.kind, row.macs, row.flops] for row in report.layers]

class Similar(nn.Module):
    def forward(self, x, y):
        return nn.functional.cosine_similarity(x, y)

class MadeUpLinear(nn.Linear):
    bits = 2

MadeUpLinear.__module__ = "somebody"
report, linear = rows(nn.Linear(8, 4), (8,))
print(json.dumps({{
    "file": bopscount.__file__,
    "activation": rows(nn.RReLU(), (6,))[1],
    "function": rows(nn.Sequential(nn.RReLU(), nn.Flatten()), (6,))[1],
    "norm": rows(nn.CrossMapLRN2d(3), (4, 5, 5))[1],
    "operands": rows(Similar(), (6,), (6,))[1],
    "metric": [report.totals.param_bytes, "param_bytes" in bopscount.COST_DTYPE.names],
    "format": format(report, "markdown").splitlines()[0][:16],
    "convention": report.convention("mega_macs"),
    "adapter": [[row.weight_bits, row.weight_bits_source]
                for row in rows(MadeUpLinear(8, 4), (8,))[0].layers],
}}))
"""


def examples():
    """Each heading with its diff."""
    parts = re.split(r"^## (.+)$", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
    for heading, body in zip(parts[::2], parts[1::2], strict=True):
        yield heading, re.search(r"^```diff\n(.*?)^```$", body, re.MULTILINE | re.DOTALL)[1]


def apply_all(folder):
    """A copy of the sources with every example; the number of files that each touched."""
    for name in SOURCES:
        shutil.copytree(
            ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__", "*.so")
        )
    touched = {}
    for heading, diff in examples():
        done = subprocess.run(
            ["git", "apply", "-p1", "--recount", "-C1", "-"], check=False, input=diff, text=True,
            cwd=folder, capture_output=True, timeout=60,
        )  # fmt: skip
        assert done.returncode == 0, f"{heading}: {done.stderr}"
        touched[heading] = len(re.findall(r"^diff --git ", diff, re.MULTILINE))
    return touched


def test_every_example_applies_and_touches_as_many_files_as_it_claims(tmp_path, capsys):
    touched = apply_all(tmp_path)
    with capsys.disabled():
        print("\nsource files:", ", ".join(f"{name} {n}" for name, n in touched.items()))
    assert touched == CLAIMED
    table = re.findall(r"^\| \[(.+?)\]\(.*?\) \|.*\| (\d)", PAGE.read_text(), re.MULTILINE)
    assert [int(number) for _, number in table][:-1] == list(CLAIMED.values())[:-1]


@pytest.mark.extending
def test_every_example_works_in_a_build_of_its_own(tmp_path):
    pybind11 = pytest.importorskip("pybind11")
    if shutil.which("cmake") is None or shutil.which("ninja") is None:
        pytest.skip("needs cmake and ninja")  # .ci/run installs both
    apply_all(tmp_path)
    shutil.copy(ROOT / "CMakeLists.txt", tmp_path)
    configure = [
        "cmake", "-S", str(tmp_path), "-B", str(tmp_path / "build"), "-G", "Ninja",
        "-DCMAKE_BUILD_TYPE=Debug", f"-Dpybind11_DIR={pybind11.get_cmake_dir()}",
        "-DPYBIND11_FINDPYTHON=ON", f"-DPython_EXECUTABLE={sys.executable}",
        f"-DCMAKE_LIBRARY_OUTPUT_DIRECTORY={tmp_path / 'bopscount'}",
        "-DCMAKE_CXX_FLAGS_DEBUG=-O0",
    ]  # fmt: skip
    for command in (configure, ["cmake", "--build", str(tmp_path / "build")]):
        done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=1800)
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    program = PROGRAM.format(folder=str(tmp_path))
    done = subprocess.run(
        [sys.executable, "-c", program], check=False, capture_output=True, text=True, timeout=300,
        cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout.strip().splitlines()[-1])
    assert found.pop("file").startswith(str(tmp_path))
    assert found == {
        "activation": [["rrelu", 0, 6]],
        "function": [["rrelu", 0, 6], ["identity", 0, 0]],
        "norm": [["map_norm", 0, 400]],
        "operands": [["cosine_similarity", 0, 36]],
        "metric": [4 * (32 + 4), True],
        "format": "| module name   ",
        "convention": 32 / 10**6,
        "adapter": [[2, "adapter"]],
    }
