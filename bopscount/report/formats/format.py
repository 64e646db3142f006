"""What an output format is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from bopscount.report.data import ReportData


@dataclass(frozen=True, slots=True)
class Format:
    """One output format of a report.

    Attributes:
        name: Format specification, `format(report, name)`, and option of the command line.
        doc: What is written, for the help of the command line.
        write: From a report to its text, which ends with a line break.
    """

    name: str
    doc: str
    write: Callable[[ReportData], str]
