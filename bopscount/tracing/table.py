"""Construction of `Records` from a finished trace."""

from __future__ import annotations

from typing import Any

from bopscount._core import KINDS, OP_TABLE, Tracer
from bopscount.records.modules import Node
from bopscount.records.table import LEAF, Owner, Records

PARAMETERS, FUNCTIONAL = "parameters", "functional"
_ROLE_ORDER = {LEAF: 0, PARAMETERS: 1}
_ROLES = [row["name"] if row["macs"] else FUNCTIONAL for row in OP_TABLE]
_ROLES[KINDS["parameters"]] = PARAMETERS


def build_table(tracer: Tracer, **about: Any) -> Records:
    """Return the `Records` of a finished trace; `about` are further fields."""
    data = tracer.finish()
    nodes = _nodes(data["nodes"])
    records = data["records"]
    keys = [
        (node, LEAF if nodes[node].is_leaf else _ROLES[kind])
        for node, kind in zip(data["record_nodes"].tolist(), records["kind"].tolist(), strict=True)
    ]
    ordered = sorted(set(keys), key=lambda key: (key[0], _ROLE_ORDER.get(key[1], 2), key[1]))
    owner_of = {key: index for index, key in enumerate(ordered)}
    records["owner"] = [owner_of[key] for key in keys]
    return Records(
        records=records,
        owners=[Owner(*key) for key in ordered],
        nodes=nodes,
        input_shapes=data["input_shapes"],
        output_shapes=data["output_shapes"],
        ops=data["ops"],
        producers=data["producers"],
        producer_starts=data["producer_starts"],
        input_numbers=data["input_numbers"],
        viewed=data["viewed"],
        **about,
    )


def _nodes(listed: list[tuple[str, str, int, int, bool, int]]) -> list[Node]:
    nodes: list[Node] = []
    for name, class_name, parent, height, is_leaf, calls in listed:
        above = nodes[parent].path if parent >= 0 else ""
        path = f"{above}.{name}" if above else name
        nodes.append(Node(path, class_name.rpartition(".")[2], parent, height, is_leaf, calls))
    return nodes
