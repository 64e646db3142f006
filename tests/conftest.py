"""What holds for every test, what every run says first, helpers that spell out assertions."""

import sys
from importlib.metadata import PackageNotFoundError, version

import pytest

pytest.register_assert_rewrite("support.low_bit.libraries", "support.op_cases", "support.untouched")

LIBRARIES = (
    "brevitas", "torchao", "optimum-quanto", "bitsandbytes", "compressed-tensors",
    "transformers", "gptqmodel", "autoawq", "hqq", "nvidia-modelopt", "nni",
)  # fmt: skip


def pytest_report_header():
    """Which of the libraries that adapters are tested against are installed."""
    found, absent = [], []
    for name in LIBRARIES:
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            absent.append(name)
    return f"low-bit libraries: {', '.join(found) or 'none'}; not installed: {', '.join(absent)}"


@pytest.fixture(autouse=True)
def paths_of_imports(monkeypatch):
    """The command line adds the user's folder to them, and test_map's workers inherit them all."""
    monkeypatch.setattr(sys, "path", list(sys.path))


def pytest_collection_modifyitems(config, items):
    """A build takes minutes: only where it is asked for."""
    if "extending" in config.option.markexpr:
        return
    for item in items:
        if item.get_closest_marker("extending"):
            item.add_marker(pytest.mark.skip(reason="a build of its own: pytest -m extending"))
