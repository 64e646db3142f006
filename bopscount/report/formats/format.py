"""Type of an output format."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from bopscount.report.data import ReportData


@dataclass(frozen=True, slots=True)
class Format:
    """Output format of a report.

    Attributes:
        name: Name for `format(report, name)`, and of the command line's option.
        doc: Description of the output, for the help of the command line.
        write: Function from a report to its text, which ends with a line break.
    """

    name: str
    doc: str
    write: Callable[[ReportData], str]
