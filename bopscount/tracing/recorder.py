"""The seam between watching a model and everything else.

A tracer walks the model however it likes and tells a Recorder which op ran in
which module, on which shapes; `finish` turns that into a LayerTable.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from bopscount._core import BIT_SOURCES, KINDS, LAYER_FLAGS, OP_TABLE, new_layers
from bopscount.layer_table import LEAF, LayerTable, Owner
from bopscount.module_tree import Node

if TYPE_CHECKING:
    import torch
    from torch import nn

PARAMETERS, FUNCTIONAL = "parameters", "functional"
MAC_KINDS = frozenset(row["name"] for row in OP_TABLE if row["macs"])
NO_SHAPE = (0, 0, 0, 0)
"""What the table shows for a module that was never called."""
_ROLE_ORDER = {LEAF: 0, PARAMETERS: 1}


@dataclass(slots=True)
class Record:
    """One op on its way into the table: its owner, names, shapes, and record fields."""

    node: int
    role: str
    op: str
    operand_shape: tuple[int, ...]
    output_shape: tuple[int, ...]
    fields: dict[str, Any]


def sizes(shape: tuple[int, ...], channel_axis: int, batched: bool = True) -> tuple[int, int, int]:
    """(batch, channels, positions) of a tensor; the three multiply to its elements.

    Args:
        shape: Dimensions of the tensor.
        channel_axis: 1 for channels-first, -1 for features-last.
        batched: Whether dimension 0 is the batch.

    Example: (2, 64, 56, 56) with channels first is (2, 64, 3136).
    """
    if not batched:
        shape = (1, *shape)
    rank = len(shape)
    if rank == 0:
        return 1, 1, 1
    if rank == 1:
        return (1, shape[0], 1) if channel_axis < 0 else (shape[0], 1, 1)
    batch, channels = shape[0], shape[channel_axis]
    others = shape[2:] if channel_axis == 1 else shape[1:-1]
    return batch, channels, prod(others)


def three(value: int | tuple[int, ...] | list[int]) -> tuple[int, int, int]:
    """A window attribute in three dimensions, filled up with what 1-D layers have."""
    values = (value,) if isinstance(value, int) else tuple(value)
    return (*values, 1, 1, 1)[:3]  # type: ignore[return-value]


def three_paddings(value: int | tuple[int, ...] | list[int]) -> tuple[int, int, int]:
    """The same for paddings, where what is missing is 0."""
    values = (value,) if isinstance(value, int) else tuple(value)
    return (*values, 0, 0, 0)[:3]  # type: ignore[return-value]


class Recorder:
    """Collects ops in the order they ran.

    Attributes:
        nodes: The model's modules; `calls` of each is counted here.
        node: Index of the module that runs now.
    """

    def __init__(self, nodes: list[Node], modules: list[nn.Module]) -> None:
        self.nodes = nodes
        self.modules = modules
        self.node = 0
        self._records: list[Record] = []

    def __len__(self) -> int:
        return len(self._records)

    def add(
        self,
        kind: str,
        op: str,
        operand: torch.Tensor,
        output: torch.Tensor,
        *,
        channel_axis: int = 1,
        batched: bool = True,
        **fields: Any,
    ) -> None:
        """Records one op in the running module.

        Args:
            kind: Name of an op table row.
            op: What torch calls it.
            operand: First operand; its shape, width and item size are recorded.
            output: Output, likewise.
            channel_axis: Where the channels are, 1 or -1.
            batched: Whether dimension 0 is the batch.
            fields: Further fields of the record, or others in place of these.
        """
        node = self.nodes[self.node]
        if node.is_leaf:
            role = LEAF
        else:
            role = kind if kind in MAC_KINDS else FUNCTIONAL
            fields["flags"] = fields.get("flags", 0) | LAYER_FLAGS["functional"]
        operand_shape, output_shape = tuple(operand.shape), tuple(output.shape)
        batch, in_channels, in_positions = sizes(operand_shape, channel_axis, batched)
        out_batch, out_channels, out_positions = sizes(output_shape, channel_axis, batched)
        if out_batch != batch:
            # A reshaping op: keep both element counts true.
            batch, in_positions, out_positions = 1, in_positions * batch, out_positions * out_batch
        record = {
            "kind": kind,
            "batch": batch,
            "in_channels": in_channels,
            "in_positions": in_positions,
            "out_channels": out_channels,
            "out_positions": out_positions,
            "input_bits": min(255, 8 * operand.itemsize),
            "output_bits": min(255, 8 * output.itemsize),
            "input_item_bytes": operand.itemsize,
            "output_item_bytes": output.itemsize,
            **fields,
        }
        self.put(Record(self.node, role, op, operand_shape, output_shape, record))

    def put(self, record: Record) -> None:
        """Appends a record."""
        self._records.append(record)

    def take(self, mark: int) -> list[Record]:
        """Takes back everything from index `mark` on."""
        taken = self._records[mark:]
        del self._records[mark:]
        return taken

    def finish(self, **about: Any) -> LayerTable:
        """The table of everything recorded, with parameters on their first owners."""
        params = self._params_by_node()
        first: set[int] = set()
        for record in self._records:
            if record.role == LEAF and record.node not in first:
                first.add(record.node)
                owned = params[record.node]
                record.fields["params"] = record.fields["logical_params"] = owned
        for index, node in enumerate(self.nodes):
            if index in first or not (node.is_leaf or params[index]):
                continue
            kind, role = ("uncalled", LEAF) if node.is_leaf else (PARAMETERS, PARAMETERS)
            fields = {
                "kind": kind,
                "calls": 0,
                "params": params[index],
                "logical_params": params[index],
            }
            self.put(Record(index, role, kind, NO_SHAPE, NO_SHAPE, fields))
        return self._build_table(**about)

    def _params_by_node(self) -> list[int]:
        seen: set[int] = set()
        counts = []
        for node, module in zip(self.nodes, self.modules, strict=True):
            own = module.parameters() if node.is_leaf else module._parameters.values()
            count = 0
            for parameter in own:
                if parameter is not None and id(parameter) not in seen:
                    seen.add(id(parameter))
                    count += parameter.numel()
            counts.append(count)
        return counts

    def _build_table(self, **about: Any) -> LayerTable:
        keys = {(record.node, record.role) for record in self._records}
        ordered = sorted(keys, key=lambda key: (key[0], _ROLE_ORDER.get(key[1], 2), key[1]))
        owner_of = {key: index for index, key in enumerate(ordered)}
        layers = new_layers(len(self._records))
        columns: dict[str, list[tuple[int, Any]]] = {}
        for index, record in enumerate(self._records):
            layers["owner"][index] = owner_of[record.node, record.role]
            record.fields["kind"] = KINDS[record.fields["kind"]]
            for name, value in record.fields.items():
                columns.setdefault(name, []).append((index, value))
        for name, entries in columns.items():
            where, values = zip(*entries, strict=True)
            layers[name][list(where)] = np.array(values)
        return LayerTable(
            records=layers,
            owners=[Owner(*key) for key in ordered],
            nodes=self.nodes,
            ops=[record.op for record in self._records],
            input_shapes=[record.operand_shape for record in self._records],
            output_shapes=[record.output_shape for record in self._records],
            **about,
        )


def quantised(source: str, **bits: int | None) -> dict[str, Any]:
    """Record fields for bit widths that come from one source, such as "user"."""
    fields: dict[str, Any] = {}
    for name, width in bits.items():
        if width is not None:
            fields[name] = width
            fields[name + "_source"] = BIT_SOURCES[source]
    return fields
