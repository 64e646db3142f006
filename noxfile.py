"""The steps of .ci/run as nox sessions, each alone: `nox --list`, then `nox -s lint`.

.ci/run is the one place that says what a step does and installs; a session runs it by name.
"""

import re
from pathlib import Path

import nox

SCRIPT = Path(__file__).parent / ".ci" / "run"
STEP = re.compile(r"^# (?P<doc>.+)\nstep_(?P<name>\w+)\(\)", re.MULTILINE)

nox.options.sessions = ["lint", "types"]


def add_session(name: str, doc: str) -> None:
    """Make a session of one step."""

    @nox.session(name=name, venv_backend="none")
    def session(session: nox.Session) -> None:
        session.run("bash", str(SCRIPT), name, external=True)

    session.__doc__ = doc


for found in STEP.finditer(SCRIPT.read_text(encoding="utf-8")):
    add_session(found["name"], found["doc"])
