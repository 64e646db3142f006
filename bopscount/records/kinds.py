"""Op kinds, as the core's op table has them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

import bopscount._core as _core

KIND_NAMES: list[str] = [row["name"] for row in _core.OP_TABLE]
"""Name of the kind of each number."""
MAC_KINDS: npt.NDArray[np.bool_] = np.array([bool(row["macs"]) for row in _core.OP_TABLE])
"""Whether the kind of each number has MACs."""
