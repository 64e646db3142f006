"""Op kinds of the core's op table."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

import bopscount._core as _core

KIND_NAMES: list[str] = [row["name"] for row in _core.OP_TABLE]
"""Kind names, indexed by kind number."""
MAC_KINDS: npt.NDArray[np.bool_] = np.array([bool(row["macs"]) for row in _core.OP_TABLE])
"""Mask of the kinds that have MACs, indexed by kind number."""
