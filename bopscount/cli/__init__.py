"""The command line. Imports the public functions, and nothing imports it."""

from bopscount.cli.main import main

__all__ = ["main"]
