"""Report on a counted model: rows and totals as data, and one file per output format.

Imports `conventions`, `bits`, `records` and what is below them; no torch.
"""

from bopscount.records.uncounted import Uncounted
from bopscount.report.report import Report
from bopscount.report.rows import Row

__all__ = ["Report", "Row", "Uncounted"]
