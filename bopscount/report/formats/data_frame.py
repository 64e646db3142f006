"""Conversion of the rows to a pandas DataFrame."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bopscount.errors import InputError
from bopscount.report.columns import raw_columns
from bopscount.report.data import ReportData

if TYPE_CHECKING:
    import pandas


def to_pandas(report: ReportData) -> pandas.DataFrame:
    """Return the rows of `report` as a DataFrame; see `Report.to_pandas`."""
    try:
        import pandas
    except ImportError as error:
        raise InputError("to_pandas needs pandas: pip install 'bopscount[pandas]'") from error
    return pandas.DataFrame(raw_columns(report))
