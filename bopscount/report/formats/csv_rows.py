"""CSV format: rows with the table's headers and raw numbers, without the total row."""

from __future__ import annotations

import csv
import io

from bopscount.report.columns import raw_columns
from bopscount.report.data import ReportData
from bopscount.report.formats.format import Format


def write(report: ReportData) -> str:
    """Return the rows of `report` as CSV text."""
    table = raw_columns(report)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(table)
    writer.writerows(zip(*table.values(), strict=True))
    return text.getvalue()


FORMAT = Format("csv", "the rows as CSV", write)
