"""Bit-width candidates one by one, the slow way, and tables to try them on. Needs no torch."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

import bopscount
from bopscount import _core
from bopscount.layer_table import LayerTable
from bopscount.records.parameters import stored_weights
from bopscount.report.bit_summary import bit_summary

KIND_NAMES = [row["name"] for row in _core.OP_TABLE]
MAC_KINDS = [row["name"] for row in _core.OP_TABLE if row["macs"]]
OTHER_KINDS = [name for name in KIND_NAMES if name not in MAC_KINDS and name != "invalid"]
SOURCES = list(_core.BIT_SOURCES.values())
TOTALS = (*_core.METRICS, "ops")


def changed_table(table, patterns, weights, inputs):
    """The table with the widths of one candidate; None for an operand that keeps its."""
    n = len(patterns)
    bits = {}
    for of_column, w, a in zip(patterns, weights or [None] * n, inputs or [None] * n, strict=True):
        bits.update(dict.fromkeys(of_column, (w, a)))
    return table.with_bits(bits)


def activation_bytes(table):
    """Every operand of a product that is no parameter, at its width."""
    stored = stored_weights(table).tolist()
    bits = 0
    for record, n_stored in zip(table.records, stored, strict=True):
        kind = KIND_NAMES[record["kind"]]
        if kind not in MAC_KINDS:
            continue
        first = int(record["batch"]) * int(record["in_channels"]) * int(record["in_positions"])
        read = (first + int(record["extra_elements"])) * int(record["input_bits"])
        if kind in ("matmul", "attention") and n_stored == 0:
            read += int(record["weight_elements"]) * int(record["weight_bits"])
        bits += int(record["calls"]) * read
    return -(-bits // 8)


def cost(table, metric, rules):
    """A metric of a table as it is."""
    if metric == "weight_bytes":
        return -(-bit_summary(table).size_bits // 8)
    if metric == "activation_bytes":
        return activation_bytes(table)
    if metric in TOTALS:
        return getattr(table.totals(rules), metric)
    return bopscount.convention_value(table, metric)


def rows(bits, n):
    """What an argument says of each of n candidates."""
    if bits is None:
        return [None] * n
    return [bits.tolist()] * n if bits.ndim == 1 else bits.tolist()


def count_slowly(table, weights, inputs, metrics, rules="torchstat", patterns=None):
    """Metric -> list of values."""
    patterns = [[name] for name in table.mac_layers] if patterns is None else patterns
    n = next((len(bits) for bits in (weights, inputs) if bits is not None and bits.ndim == 2), 1)
    tables = [
        changed_table(table, patterns, w, a)
        for w, a in zip(rows(weights, n), rows(inputs, n), strict=True)
    ]
    return {metric: [cost(each, metric, rules) for each in tables] for metric in metrics}


def _sizes(largest):
    return st.one_of(st.integers(0, 12), st.sampled_from([16, 64, largest]))


@st.composite
def _fields(draw):
    groups = draw(st.sampled_from([1, 1, 1, 2, 3]))
    fields = {
        "kind": _core.KINDS[draw(st.sampled_from(MAC_KINDS * 2 + OTHER_KINDS))],
        "groups": groups,
        "in_channels": groups * draw(_sizes(1000)),
        "out_channels": groups * draw(_sizes(1000)),
        "in_positions": draw(_sizes(3136)),
        "out_positions": draw(_sizes(3136)),
        "batch": draw(st.integers(0, 3)),
        "calls": draw(st.integers(0, 3)),
        "kernel": (draw(st.integers(0, 5)), draw(st.integers(1, 5)), 1),
        "weight_elements": draw(_sizes(1 << 20)),
        "bias_elements": draw(_sizes(1000)),
        "extra_elements": draw(st.sampled_from([0, 0, 5])),
        "params": draw(_sizes(1 << 20)),
        "logical_params": draw(_sizes(1 << 20)),
        "flags": draw(st.integers(0, 127)),
        "weight_item_bytes": draw(st.sampled_from([1, 2, 4, 8])),
    }
    for operand in ("weight", "input", "output"):
        fields[f"{operand}_bits"] = draw(st.sampled_from([1, 4, 8, 16, 32]))
        fields[f"{operand}_bits_source"] = draw(st.sampled_from(SOURCES))
    return fields


@st.composite
def tables(draw):
    """Tables of any kinds of records, some of which share an owner."""
    list_of_fields = draw(st.lists(_fields(), max_size=8))
    records = _core.new_layers(len(list_of_fields))
    owner = -1
    for record, fields in zip(records, list_of_fields, strict=True):
        owner += draw(st.integers(0, 1)) if owner >= 0 else 1
        for name, value in {**fields, "owner": owner}.items():
            record[name] = value
    return LayerTable.from_array(records)


WIDTHS = st.one_of(st.integers(1, 17), st.integers(1, 64))


@st.composite
def width_arrays(draw, n_rows, n_columns):
    """None, one row, or rows in any memory layout."""
    form = draw(st.sampled_from(["none", "row", "rows", "rows", "rows"]))
    if form == "none":
        return None
    shape = (n_columns,) if form == "row" else (n_rows, n_columns)
    n = int(np.prod(shape))
    values = draw(st.lists(WIDTHS, min_size=n, max_size=n))
    array = np.array(values, np.uint8).reshape(shape)
    layout = draw(st.sampled_from(["C", "F", "steps", "backwards", "read-only"]))
    if layout == "F":
        array = np.asfortranarray(array)
    elif layout == "steps":  # between the widths stands what is none
        wide = np.zeros(tuple(3 * size for size in shape), np.uint8)
        view = wide[tuple(slice(1, None, 3) for _ in shape)]
        view[...] = array
        array = view
    elif layout == "backwards":
        array = array[tuple(slice(None, None, -1) for _ in shape)]
    elif layout == "read-only":
        array.flags.writeable = False
    return array
