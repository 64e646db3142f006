"""Report: a counted model with its output formats."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bopscount.errors import InputError
from bopscount.records.totals import costs_in_words
from bopscount.report.data import ReportData
from bopscount.report.formats import FORMATS
from bopscount.report.formats.data_frame import to_pandas
from bopscount.report.formats.json_data import report_fields, to_dict

if TYPE_CHECKING:
    import pandas


@dataclass(slots=True, repr=False)
class Report(ReportData):
    """Counted model, as returned by `stat` and `count`; `str(report)` is the table.

    Attributes are those of `ReportData`. `format(report, name)` returns the text of an output
    format: "table", "csv" or "json".
    """

    def __repr__(self) -> str:
        return (
            f"<Report of {len(self.layers)} layers, rules {self.rules!r}, {self.status}: "
            f"{costs_in_words(self.totals)}; print it for the table>"
        )

    def __str__(self) -> str:
        return FORMATS["table"].write(self)

    def __format__(self, name: str) -> str:
        """Return the text of an output format, by default the table.

        Raises:
            InputError: If the name is unknown.
        """
        if name not in FORMATS and name != "":
            raise InputError(f"format must be one of {', '.join(FORMATS)}, got {name!r}")
        return FORMATS[name or "table"].write(self)

    def to_pandas(self) -> pandas.DataFrame:
        """Return the rows as a DataFrame, with the table's columns and without the total row.

        Values are raw numbers.

        Raises:
            InputError: If pandas is not installed.
        """
        return to_pandas(self)

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON; `Report.from_dict` reads it back."""
        return to_dict(self)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Report:
        """Return the report that `to_dict` wrote.

        Raises:
            InputError: If the schema version differs, or the data is malformed.
        """
        return cls(**report_fields(data))
