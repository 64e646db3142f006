"""Counts of blocks of records, one row per candidate."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

import bopscount._core as _core
from bopscount.errors import InputError
from bopscount.records.metrics import check_metrics
from bopscount.records.rule_sets import check_rules
from bopscount.records.totals import METRIC_NAMES
from bopscount.search.threads import thread_count


def count_layers(
    records: npt.NDArray[Any],
    *,
    rules: str = "torchstat",
    metrics: str | Sequence[str] | None = None,
    n_threads: int | None = None,
    python_ints: bool = False,
) -> dict[str, npt.NDArray[Any]]:
    """Count a block of candidates' records; every field may differ between candidates.

    Nothing is copied or converted: memory-mapped and strided blocks are read in place. Results
    do not depend on the number of threads.

    Args:
        records: Records of `LAYER_DTYPE`, of shape (n_candidates, n_layers) as in
            `Candidates.records`, or (n_layers,) for one candidate.
        rules: "torchstat" or "full", see `count`.
        metrics: A name or names of `Totals`, such as ("macs", "params"); None for all
            integer metrics.
        n_threads: Number of threads; None for one per core.
        python_ints: Return arbitrary-precision Python integers (dtype object).

    Returns:
        An int64 array of n_candidates totals for each metric. Example: two candidates of
        a linear layer, 3 -> 4 and 3 -> 8, have {"macs": [12, 24]}.

    Raises:
        InputError: For an invalid argument; for a record that cannot be counted, naming
            candidate and layer.
        OverflowError: If a cost of one layer is over 2**63 - 1, or if a total is and
            python_ints is False; it names the candidate, and the layer if it is one.
    """
    block = check_block(records)
    check_rules(rules)
    names = check_metrics(metrics, METRIC_NAMES, default=METRIC_NAMES)
    threads = thread_count(n_threads)
    try:
        totals = _core.count_candidates(block, rules, names, threads, python_ints)
    except ValueError as error:
        raise InputError(f"records cannot be counted: {error}") from error
    return {
        name: np.array(values, object) if python_ints else values
        for name, values in zip(names, totals, strict=True)
    }


def check_block(records: Any) -> npt.NDArray[Any]:
    """Return `records` with two dimensions; raise InputError for anything else."""
    if not isinstance(records, np.ndarray) or records.dtype != _core.LAYER_DTYPE:
        raise InputError(
            "records must be a numpy array of bopscount.LAYER_DTYPE, "
            f"got {getattr(records, 'dtype', type(records).__name__)}"
        )
    if records.ndim not in (1, 2):
        raise InputError(
            f"records must be (n_candidates, n_layers) or (n_layers,), got {records.shape}"
        )
    block = records if records.ndim == 2 else records[None]  # noqa: PLR2004 - as the text says
    if records.ctypes.data % 8 or any(stride % 8 for stride in block.strides):
        raise InputError("records must be aligned to 8 bytes: pass a .copy() of them")
    return block
