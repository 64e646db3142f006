"""The corpus: whole model libraries, `pytest -m corpus`.

Without `-m corpus` each library is one skipped test. The outcomes are written to the file
that the environment's BOPSCOUNT_CORPUS_RESULTS names, by default results.json beside this
file; `python tests/corpus/readme_section.py` puts them into the README.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from corpus.comparing import OUTCOMES, RESULTS, causes, counts, write_results

LIBRARIES = []


def _selected(config: pytest.Config) -> bool:
    expression = config.option.markexpr
    return "corpus" in expression and "not corpus" not in expression


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "model_name" not in metafunc.fixturenames:
        return
    library = metafunc.module.LIBRARY
    if _selected(metafunc.config):
        LIBRARIES.append(library)
        metafunc.parametrize("model_name", library.names())
    else:
        skip = pytest.mark.skip(reason=f"all models of {library.title}: pytest -m corpus")
        metafunc.parametrize("model_name", [pytest.param("all", marks=skip)])


def _results_path() -> Path:
    return Path(os.environ.get("BOPSCOUNT_CORPUS_RESULTS", RESULTS))


def pytest_sessionfinish() -> None:
    if any(library.outcomes for library in LIBRARIES):
        write_results(LIBRARIES, _results_path())


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for library in LIBRARIES:
        if not library.outcomes:
            continue
        write = terminalreporter.write_line
        terminalreporter.section(f"{library.title}: {len(library.outcomes)} models")
        for kind, number in counts(library.outcomes.values()).items():
            write(f"{number:6} {kind:10} {OUTCOMES[kind]}")
        models = library.as_dict()["models"]
        for name, model in models.items():
            if model["outcome"] == "differing":
                write(f"differs: {name}: {model['macs']}, not {model['reference_macs']}")
        raising = {
            name: model
            for name, model in models.items()
            if model["outcome"] in ("failed", "neither")
        }
        for cause, names in causes(raising, "our_error"):
            write(f"{len(names):4} raise {cause}: {', '.join(names)}")
