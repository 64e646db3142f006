"""Counting of recorded layers into a report; the core does the arithmetic."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import numpy.typing as npt

import bopscount._core as _core
from bopscount.records.kinds import KIND_NAMES, MAC_KINDS
from bopscount.records.nonzero import check_zeros_known
from bopscount.records.parameters import stored_parameters
from bopscount.records.table import LEAF, Records, name_layer
from bopscount.records.totals import Totals, named_costs
from bopscount.records.uncounted import uncounted_ops
from bopscount.report.options import ReportOptions
from bopscount.report.report import Report
from bopscount.report.rows import Row

_UNCOUNTED = _core.KINDS["uncounted"]
_FUNCTIONAL = _core.LAYER_FLAGS["functional"]
_SOURCES = {number: name for name, number in _core.BIT_SOURCES.items()}
_NO_COST = [_core.KINDS[name] for name in ("uncalled", "parameters", "uncounted")]


def count_records(
    table: Records, options: ReportOptions, durations: list[float | None] | None = None
) -> Report:
    """Count recorded layers.

    Args:
        table: Recorded layers.
        options: Rules, rows and columns.
        durations: Seconds per node, from a timed run.

    Raises:
        InputError: If zeros are to be discounted but the table has no data on them.
        OverflowError: If a cost of one layer exceeds 2**63 - 1.
    """
    rules, discount_zeros = options.rules, options.discount_zeros
    records = table.records
    owners, kinds = np.ascontiguousarray(records["owner"]), records["kind"].astype(np.int32)
    if discount_zeros:
        check_zeros_known(table)

    def sums(groups: npt.NDArray[np.int32], n_groups: int) -> list[tuple[int, ...]]:
        found: list[tuple[int, ...]] = name_layer(
            _core.count_groups, table, records, groups, n_groups, rules, discount_zeros
        )
        return found

    by_owner, by_kind = sums(owners, len(table.owners)), sums(kinds, len(KIND_NAMES))
    functional = (records["flags"] & _FUNCTIONAL) != 0
    left_out: Counter[str] = Counter()
    if rules == "torchstat":
        for index in np.flatnonzero(functional & ~MAC_KINDS[kinds] & (kinds != _UNCOUNTED)):
            left_out[table.ops[index]] += int(records["calls"][index])
    return Report(
        layers=_rows(table, by_owner, durations, discount_zeros),
        totals=table.totals(rules, discount_zeros),
        nodes=table.nodes,
        rules=rules,
        query_granularity=options.query_granularity,
        batch_size=table.batch_size,
        kinds={
            KIND_NAMES[kind]: Totals(*by_kind[kind])
            for kind in np.unique(kinds)
            if kind not in _NO_COST or any(by_kind[kind])
        },
        uncounted=uncounted_ops(table),
        left_out=dict(left_out),
        ran_model=table.ran_model,
        notes=list(table.notes),
        assumptions=list(table.assumptions),
        warnings=list(table.warnings),
        columns=tuple(options.columns),
        shown_convention=options.convention,
        discount_zeros=discount_zeros,
        table=table,
    )


def _rows(
    table: Records,
    by_owner: list[tuple[int, ...]],
    durations: list[float | None] | None,
    discount_zeros: bool,
) -> list[Row]:
    records = table.records
    param_bits = stored_parameters(table, discount_zeros).memory_bits.tolist()
    kinds, calls = records["kind"].tolist(), records["calls"].tolist()
    members: list[list[int]] = [[] for _ in table.owners]
    for index, owner in enumerate(records["owner"].tolist()):
        members[owner].append(index)
    rows = []
    for number, (owner, own) in enumerate(zip(table.owners, members, strict=True)):
        names = {KIND_NAMES[kinds[index]] for index in own}
        product = next((index for index in own if MAC_KINDS[kinds[index]]), None)
        node = table.nodes[owner.node]
        is_leaf = owner.role == LEAF
        rows.append(
            Row(
                **named_costs(by_owner[number]),
                module_path=table.owner_path(number) or node.class_name,
                kind=names.pop() if len(names) == 1 else "composite",
                input_shape=table.input_shapes[own[0]][1:],
                output_shape=table.output_shapes[own[-1]][1:],
                calls=node.calls if is_leaf else sum(calls[index] for index in own),
                weight_bits=None if product is None else int(records["weight_bits"][product]),
                input_bits=None if product is None else int(records["input_bits"][product]),
                param_bits=sum(param_bits[index] for index in own),
                weight_bits_source=_source(records, "weight", product),
                input_bits_source=_source(records, "input", product),
                duration=durations[owner.node] if durations and is_leaf else None,
                node=owner.node,
            )
        )
    return rows


def _source(records: Any, operand: str, index: int | None) -> str | None:
    return None if index is None else _SOURCES[int(records[f"{operand}_bits_source"][index])]
