"""What `import bopscount` offers, and what it says where its core was not built."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import bopscount

PACKAGE = Path(bopscount.__file__).parent
FROM_A_FOLDER = """
import runpy, sys
sys.path.insert(0, {folder!r})
# An editable installation has a finder of its own, which would find that one first.
sys.meta_path = [finder for finder in sys.meta_path if "editable" not in repr(finder).lower()]
{statement}
"""


def test_dir_lists_every_public_name_also_those_imported_on_first_use():
    names = dir(bopscount)
    assert names == sorted(names)
    assert {*bopscount.__all__, "map", "stat", "scan", "trace"} <= {*names}


def test_a_star_import_brings_every_name_of_all_and_leaves_map_alone():
    namespace = {}
    exec("from bopscount import *", namespace)
    assert {*bopscount.__all__} <= namespace.keys()
    assert "map" not in namespace
    assert bopscount.map is not map


def test_an_unknown_name_is_an_attribute_error():
    assert not hasattr(bopscount, "no_such_name")


@pytest.mark.parametrize(
    "statement",
    ["import bopscount", "runpy.run_module('bopscount', run_name='__main__')"],
    ids=["import", "python -m"],
)
def test_source_without_its_core_says_what_to_do(statement, tmp_path):
    shutil.copytree(
        PACKAGE, tmp_path / "bopscount", ignore=shutil.ignore_patterns("*.so", "__pycache__")
    )
    program = FROM_A_FOLDER.format(folder=str(tmp_path), statement=statement)
    done = subprocess.run(
        [sys.executable, "-c", program],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
        cwd=tmp_path,
    )
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith(f"ImportError: {tmp_path / 'bopscount'} is bopscount's source")
    assert "pip install -e ." in last
