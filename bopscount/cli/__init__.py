"""Command line: its options, and how it finds the model that they name.

Imports `api` and what is below it; only `__main__` imports it.
"""

from bopscount.cli.main import main

__all__ = ["main"]
