"""From recorded layers to a Report; the arithmetic is the core's."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from bopscount import _core
from bopscount.conventions import check_convention
from bopscount.errors import InputError
from bopscount.layer_table import LEAF, LayerTable, Owner, check_rules, name_layer
from bopscount.records.modules import Node
from bopscount.records.nonzero import discounted_costs
from bopscount.records.parameters import MAC_KINDS, stored_parameters
from bopscount.records.totals import METRIC_NAMES, Totals, named_costs
from bopscount.report.formats.table_text import check_columns
from bopscount.report.report import Report, Row, Uncounted

_KIND_NAMES = [row["name"] for row in _core.OP_TABLE]
_UNCOUNTED = _core.KINDS["uncounted"]
_FUNCTIONAL = _core.LAYER_FLAGS["functional"]
_SOURCES = {number: name for name, number in _core.BIT_SOURCES.items()}
_NO_COST = [_core.KINDS[name] for name in ("uncalled", "parameters", "uncounted")]


def check_granularity(query_granularity: Any) -> int:
    """A height of at least 1, or InputError."""
    value = query_granularity
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise InputError(f"query_granularity must be a positive integer, got {value!r}")
    return value


def count(
    layers: LayerTable | Any,
    *,
    rules: str = "torchstat",
    query_granularity: int = 1,
    durations: list[float | None] | None = None,
    columns: str | Sequence[str] = "default",
    convention: str | None = None,
    discount_zeros: bool = False,
) -> Report:
    """Counts recorded layers.

    Args:
        layers: What `trace` returned, or a bare record array of `LAYER_DTYPE` (no torch
            is needed for that), one row per value of `owner`.
        rules: "torchstat", the predecessor's table, or "full", everything.
        query_granularity: Height of the modules that get a row; 1 shows the leaves.
        durations: Seconds per node, from a timed run.
        columns: What the printed table shows: its headers in any order, "W bits",
            "A bits", "W bits source" and "A bits source" among them; "default" stands
            for the usual columns, "bits" for those four.
        convention: Name of a published convention, whose total then stands under the
            table; see `bopscount.CONVENTIONS`.
        discount_zeros: Zero weights of convolutions and linear layers cost no MACs and
            no memory; for a table that was traced with discount_zeros=True.

    Raises:
        InputError: For an argument that cannot be used.
        OverflowError: If a cost of one layer is over 2**63 - 1.
    """
    table = as_table(layers)
    check_rules(rules)
    check_granularity(query_granularity)
    shown = check_columns(columns)
    if convention is not None:
        check_convention(convention)
    records = table.records
    owners, kinds = np.ascontiguousarray(records["owner"]), records["kind"].astype(np.int32)
    group_sums = _sums_without_zeros if discount_zeros else _sums
    by_owner = group_sums(table, owners, len(table.owners), rules)
    by_kind = group_sums(table, kinds, len(_KIND_NAMES), rules)
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
        query_granularity=query_granularity,
        batch_size=table.batch_size,
        kinds={
            _KIND_NAMES[kind]: Totals(*by_kind[kind])
            for kind in np.unique(kinds)
            if kind not in _NO_COST or any(by_kind[kind])
        },
        uncounted=uncounted_ops(table),
        left_out=dict(left_out),
        ran_model=table.ran_model,
        notes=list(table.notes),
        assumptions=list(table.assumptions),
        warnings=list(table.warnings),
        columns=shown,
        shown_convention=convention,
        discount_zeros=discount_zeros,
        table=table,
    )


def _sums(
    table: LayerTable, groups: npt.NDArray[np.int32], n_groups: int, rules: str
) -> list[tuple[int, ...]]:
    """Costs by group, summed by the core."""
    sums: list[tuple[int, ...]] = name_layer(
        _core.count_groups, table, table.records, groups, n_groups, rules
    )
    return sums


def _sums_without_zeros(
    table: LayerTable, groups: npt.NDArray[np.int32], n_groups: int, rules: str
) -> list[tuple[int, ...]]:
    """The same without zero weights, which the core does not know of."""
    sums = [[0] * len(METRIC_NAMES) for _ in range(n_groups)]
    for group, costs in zip(groups.tolist(), discounted_costs(table, rules), strict=True):
        sums[group] = [total + cost for total, cost in zip(sums[group], costs, strict=True)]
    return [tuple(costs) for costs in sums]


def as_table(layers: LayerTable | Any) -> LayerTable:
    """A LayerTable, also of a bare record array, or InputError."""
    return layers if isinstance(layers, LayerTable) else bare_table(layers)


def bare_table(records: Any) -> LayerTable:
    """A table around a bare array: every owner is a leaf "layer <owner>"."""
    if not isinstance(records, np.ndarray) or records.dtype != _core.LAYER_DTYPE:
        raise InputError(
            "layers must be a LayerTable or a numpy array of bopscount.LAYER_DTYPE, "
            f"got {getattr(records, 'dtype', type(records).__name__)}"
        )
    if records.ndim != 1 or not records.flags.c_contiguous:
        raise InputError("layers must be one-dimensional and C-contiguous")
    owners = records["owner"]
    if len(owners) and owners.min() < 0:
        raise InputError(f"layers must have owners of 0 and more, got {owners.min()}")
    n_owners = int(owners.max()) + 1 if len(owners) else 0
    if n_owners > max(1, len(owners)):
        raise InputError(
            f"layers must have owners numbered without gaps, got {n_owners - 1} "
            f"for {len(owners)} records"
        )
    nodes = [Node("", "layers", -1, 2 if n_owners else 1, not n_owners, 1)]
    nodes += [Node(f"layer {index}", "layer", 0, 1, True, 1) for index in range(n_owners)]
    kind_names = [
        _KIND_NAMES[kind] if kind < len(_KIND_NAMES) else "invalid" for kind in records["kind"]
    ]
    return LayerTable(
        records=records,
        owners=[Owner(index + 1, LEAF) for index in range(n_owners)],
        nodes=nodes,
        input_shapes=_shapes(records, "in"),
        output_shapes=_shapes(records, "out"),
        ops=kind_names,
    )


def _shapes(records: Any, side: str) -> list[tuple[int, ...]]:
    columns = (records["batch"], records[f"{side}_channels"], records[f"{side}_positions"])
    return list(zip(*(column.tolist() for column in columns), strict=True))


def _rows(
    table: LayerTable,
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
        names = {_KIND_NAMES[kinds[index]] for index in own}
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


def uncounted_ops(table: LayerTable) -> list[Uncounted]:
    """Ops without a rule, by op and module."""
    kinds = table.records["kind"]
    found: Counter[tuple[str, str]] = Counter()
    for index in np.flatnonzero(kinds == _UNCOUNTED):
        owner = table.owners[table.records["owner"][index]]
        found[table.ops[index], table.nodes[owner.node].path] += int(table.records["calls"][index])
    return [Uncounted(op, path, calls) for (op, path), calls in found.items()]
