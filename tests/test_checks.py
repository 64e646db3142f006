"""The checks before a commit and nox run what .ci/run runs."""

import re

import pytest
from support.paths import ROOT

SCRIPT = ROOT / ".ci" / "run"
STEPS = set(re.findall(r"^step_(\w+)\(\)", SCRIPT.read_text(encoding="utf-8"), re.MULTILINE))
PIN = re.compile(r"\b([a-z-]+)==([\d.]+)")


def pins(*path):
    return dict(PIN.findall(ROOT.joinpath(*path).read_text(encoding="utf-8")))


def test_a_commit_is_checked_with_the_versions_of_ci():
    before_commit = pins(".pre-commit-config.yaml")
    assert {"ruff", "clang-format"} <= before_commit.keys()
    assert before_commit.items() <= pins(".ci", "requirements.txt").items()


def test_nox_has_a_session_for_every_step():
    nox = pytest.importorskip("nox")
    from nox.registry import get

    namespace = {"__file__": str(ROOT / "noxfile.py")}
    exec((ROOT / "noxfile.py").read_text(encoding="utf-8"), namespace)
    assert STEPS
    assert set(get()) == STEPS
    assert set(nox.options.sessions) <= STEPS
