"""A counted model: rows and totals as data, and one file for each output format.

Imports `conventions`, `bits`, `records` and what is below them; no torch.
"""

from bopscount.report.report import Report, Row, Uncounted

__all__ = ["Report", "Row", "Uncounted"]
