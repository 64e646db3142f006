"""Costs of PyTorch networks, counted without running them.

Bops, Flops, MAdd, MACs, parameters, memory and memory traffic, per layer and in
total, for binary, quantised and full-precision models:

    import bopscount
    bopscount.stat(model, (3, 224, 224))
"""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

try:
    from bopscount._core import COST_DTYPE, LAYER_DTYPE, new_layers
except ModuleNotFoundError as error:
    if error.name != "bopscount._core":
        raise
    raise ImportError(
        f"{__path__[0]} is bopscount's source without its compiled core: run `pip install -e .` "
        "in the folder above it, or change to another folder to import the installed package"
    ) from None

from bopscount.bits.registered_classes import register_layer, unregister_layer
from bopscount.conventions import (
    CONVENTIONS,
    Convention,
    ConventionTable,
    ConventionValue,
    convention_value,
)
from bopscount.counting import count
from bopscount.errors import BopscountError, InputError, TraceError
from bopscount.former_paths import install as _install_former_paths
from bopscount.layer_table import LayerTable
from bopscount.parallel import map as map
from bopscount.records.totals import Totals
from bopscount.report import Report, Row, Uncounted
from bopscount.report.bit_summary import BitSummary
from bopscount.search.bits.search import BitSearch, count_batch
from bopscount.search.candidates.record_blocks import count_layers
from bopscount.search.choices.table import ChoiceTable

if TYPE_CHECKING:
    from bopscount.api import scan, stat, trace

_install_former_paths()

__version__ = version("bopscount")
__all__ = [
    "CONVENTIONS",
    "COST_DTYPE",
    "LAYER_DTYPE",
    "BitSearch",
    "BitSummary",
    "BopscountError",
    "ChoiceTable",
    "Convention",
    "ConventionTable",
    "ConventionValue",
    "InputError",
    "LayerTable",
    "Report",
    "Row",
    "Totals",
    "TraceError",
    "Uncounted",
    "convention_value",
    "count",
    "count_batch",
    "count_layers",
    "new_layers",
    "register_layer",
    "scan",
    "stat",
    "trace",
    "unregister_layer",
]

# `map` is public and not in __all__: `from bopscount import *` must not hide Python's own.
_NEEDS_TORCH = ("scan", "stat", "trace")


def __getattr__(name: str) -> Any:
    """Import `scan`, `stat` and `trace` on first access, and keep them.

    They import torch, which counting arrays does not need.
    """
    if name in _NEEDS_TORCH:
        globals()[name] = found = getattr(import_module("bopscount.api"), name)
        return found
    raise AttributeError(f"module 'bopscount' has no attribute {name!r}")


def __dir__() -> list[str]:
    """List the names of the module, those imported on first access included."""
    return sorted({*globals(), *__all__})
