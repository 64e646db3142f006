"""Propagation of changed fields through a recorded network.

Records are visited in execution order. If an operand of a record or the record itself differs
from the trace, its shape rule is applied again and its sizes, weights and parameters are set;
other records stay. If the trace does not determine the result, InputError is raised.
"""

from __future__ import annotations

from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

import bopscount._core as _core
from bopscount.errors import InputError
from bopscount.records.kinds import KIND_NAMES
from bopscount.records.table import LEAF, Records
from bopscount.search.candidates import follow
from bopscount.search.candidates.shapes import (
    Mismatch,
    Shape,
    Size,
    Traced,
    Unknown,
    columns,
    is_fixed,
    only,
    size_of,
    through_view,
)
from bopscount.search.candidates.walk import Operand


class Dataflow:
    """Producers, consumers and weight owners of a table, the same for every candidate."""

    def __init__(self, table: Records) -> None:
        self.table = table
        self.kinds = [KIND_NAMES[kind] for kind in table.records["kind"].tolist()]
        starts = table.producer_starts.tolist()
        if len(starts) != len(table) + 1:
            raise InputError(
                "the table does not know which layer feeds which: it must come from trace()"
            )
        columns_of = (table.producers, table.input_numbers, table.viewed)
        sources: list[Operand] = list(zip(*(part.tolist() for part in columns_of), strict=True))
        self.operands = [sources[a:b] for a, b in pairwise(starts)]
        self.constant: list[bool] = []  # for each record
        for operands in self.operands:
            self.constant.append(all(map(self.is_constant, operands)))
        self.input_shapes: dict[int, Traced] = dict(enumerate(table.network_inputs))
        self.first_of_owner: dict[int, int] = {}
        for index, owner in enumerate(table.records["owner"].tolist()):
            self.first_of_owner.setdefault(owner, index)

    def is_constant(self, operand: Operand) -> bool:
        """Return whether an operand does not depend on the network's inputs."""
        producer, number, _ = operand
        if number >= 0:
            return False
        return producer < 0 or self.constant[producer]

    def is_leaf(self, index: int) -> bool:
        """Return whether the record belongs to a leaf module, which owns its parameters."""
        return self.table.owners[int(self.table.records["owner"][index])].role == LEAF

    def first_call(self, index: int) -> int:
        """Return the first record of the same module, which holds its parameters."""
        return self.first_of_owner[int(self.table.records["owner"][index])]

    @cached_property
    def borrowed_weights(self) -> set[int]:
        """Sizes, in elements, of weights whose parameters belong to an unknown other module."""
        records = self.table.records
        return {
            int(records["weight_elements"][index])
            for index, kind in enumerate(self.kinds)
            if kind in follow.WEIGHTED
            and self.is_leaf(index)
            and self.first_call(index) == index
            and records["params"][index] == 0 < records["weight_elements"][index]
        }


class Propagation:
    """Pass over the records of a block of candidates."""

    def __init__(
        self,
        flow: Dataflow,
        block: npt.NDArray[Any],
        changed: dict[int, npt.NDArray[Any]],
        given: set[tuple[int, str]],
        inputs: dict[int, Shape],
    ) -> None:
        """Prepare a pass.

        Args:
            flow: Dataflow of the table.
            block: Records of shape (n_candidates, n_layers), read only.
            changed: Columns of candidates for the records whose own fields were changed.
            given: Changed fields, by record, which must not follow from others.
            inputs: Shapes of the network's inputs that differ from the traced ones.
        """
        self.flow, self.table, self.block = flow, flow.table, block
        self.n_candidates = len(block)
        self.columns, self.given, self.inputs = changed, given, inputs
        self.shapes: dict[int, Shape] = {}
        self._weights_set: set[int] = set()

    def run(self, again: set[int]) -> None:
        """Fill `columns` and `shapes`; `again` holds the records that differed before."""
        own = again | self.columns.keys()
        for index, operands in enumerate(self.flow.operands):
            moved = any(
                producer in self.shapes or number in self.inputs for producer, number, _ in operands
            )
            if index in own or moved:
                self._follow(index)
        self._check_calls()

    def _follow(self, index: int) -> None:
        try:
            rule = follow.FOLLOW_RULES.get(self.flow.kinds[index])
            if rule is None:
                raise Unknown("this kind of operation is not followed")
            out = rule(self, index)
        except Unknown as error:
            raise InputError(
                f"{self.name(index)}: what becomes of it cannot be told from the trace: {error}"
            ) from None
        except Mismatch as error:
            bad = int(np.argmax(np.broadcast_to(error.bad, self.n_candidates)))
            raise InputError(f"candidate {bad}, {self.name(index)}: {error}") from None
        traced = self.table.output_shapes[index]
        self._set_sizes(index, self.operand(index, 0), out)
        if any(not is_fixed(size) for size in out) or out != traced:
            self.shapes[index] = out

    def name(self, index: int) -> str:
        """Return the name of a record for an error."""
        path = self.table.owner_path(int(self.table.records["owner"][index]))
        return f"{path or 'the model'} (layer {index}, {self.table.ops[index]})"

    # --- queries by rules --------------------------------------------------------

    def column(self, index: int) -> npt.NDArray[Any]:
        """Return the record of every candidate, writable."""
        if index not in self.columns:
            self.columns[index] = self.block[:, index].copy()
        return self.columns[index]

    def current(self, index: int) -> npt.NDArray[Any]:
        """Return the record of every candidate, read only."""
        return self.columns.get(index, self.block[:, index])

    def operand(self, index: int, number: int) -> Shape:
        """Return the current shape of an operand, or raise Unknown."""
        operands = self.flow.operands[index]
        if number == 0:
            seen = self.table.input_shapes[index]
            if not operands:
                return seen
            base, now = self._base(operands[0], seen)
            if operands[0][2]:
                return only(through_view(base, now, seen), "a view changes the shape")
            if base != seen:
                raise Unknown(f"it reads {seen} where {base} was made")
            return now
        base, now = self._base(operands[number], None)
        if operands[number][2]:
            raise Unknown("an operand is a view")
        return now

    def _base(self, operand: Operand, seen: Traced | None) -> tuple[Traced, Shape]:
        """Return the traced and the current shape of the tensor that an operand is or views."""
        producer, number, _ = operand
        if producer >= 0:
            traced = self.table.output_shapes[producer]
            return traced, self.shapes.get(producer, traced)
        if number in self.flow.input_shapes:
            traced = self.flow.input_shapes[number]
            return traced, self.inputs.get(number, traced)
        if seen is None:
            raise Unknown("it reads a parameter or constant")
        return seen, seen

    def is_still(self, index: int, number: int) -> bool:
        """Return whether an operand is unchanged in every candidate."""
        producer, number, _ = self.flow.operands[index][number]
        return producer not in self.shapes and number not in self.inputs

    def base_of(self, index: int, number: int) -> tuple[Traced, Shape]:
        """Return the traced and the current shape of the tensor that an operand is or views."""
        return self._base(self.flow.operands[index][number], None)

    def window_shape(self, index: int, spatial: int, shape: Shape) -> Shape:
        """Return the output shape of a convolution, pooling or linear layer."""
        shapes, bad = _core.changed_shapes(
            self.column(index), spatial, columns(shape, self.n_candidates)
        )
        if bad >= 0:
            sizes = tuple(columns(shape, self.n_candidates)[bad].tolist())
            raise Mismatch(f"does not take the shape {sizes}", np.arange(self.n_candidates) == bad)
        traced = self.table.output_shapes[index]
        return tuple(size_of(shapes[:, axis].copy(), size) for axis, size in enumerate(traced))

    # --- updates ------------------------------------------------------------------

    def set_weights(self, index: int, weights: Size, biases: Size) -> None:
        """Set weight and bias elements of a layer, and its parameters accordingly."""
        traced, column = self.table.records[index], self.column(index)
        old = int(traced["weight_elements"] + traced["bias_elements"])
        column["weight_elements"], column["bias_elements"] = weights, biases
        column["nonzero_weights"] = -1
        if old == 0:
            return
        first = self.flow.first_call(index)
        if not self.flow.is_leaf(index):
            raise Unknown("its weight is a parameter of a module that is no layer")
        if int(traced["weight_elements"]) in self.flow.borrowed_weights:
            raise Unknown("its weight may be shared with another layer")
        self._weights_set.add(first)
        if first != index:
            if self.flow.kinds[first] != self.flow.kinds[index]:
                raise Unknown("its module does several things")
            return
        further = int(traced["params"]) - old
        # Fewer further parameters than channels are scalars, such as a quantiser's step.
        scalars = 0 <= further < min(traced["in_channels"], traced["out_channels"])
        if not (scalars or further == 0):
            raise Unknown("its parameters are not its weight and bias alone")
        for field in ("params", "logical_params"):
            column[field] = traced[field] - old + weights + biases

    def _check_calls(self) -> None:
        """Raise InputError if the calls of one module differ in their weight."""
        owners = self.table.records["owner"]
        for first in sorted(self._weights_set):
            for index in np.flatnonzero(owners == owners[first]).tolist():
                for field in ("weight_elements", "bias_elements", "in_channels"):
                    differs = self.current(index)[field] != self.current(first)[field]
                    if differs.any():
                        raise InputError(
                            f"candidate {int(np.argmax(differs))}, {self.name(index)}: {field} "
                            "differ between the calls of one module"
                        )

    def _set_sizes(self, index: int, given: Shape, out: Shape) -> None:
        n = self.n_candidates
        kind, traced = self.flow.kinds[index], self.table.records[index]
        before = (self.table.input_shapes[index], self.table.output_shapes[index])
        results: list[npt.NDArray[Any]] = []
        for axis, batched in follow.layouts(kind):
            record = np.array([traced])
            _core.set_sizes(record, columns(before[0], 1), columns(before[1], 1), axis, batched)
            if record.tobytes() != traced.tobytes():
                continue
            column = self.column(index).copy()
            bad = _core.set_sizes(column, columns(given, n), columns(out, n), axis, batched)
            if bad >= 0:
                raise InputError(f"candidate {bad}, {self.name(index)}: its sizes are too large")
            results.append(column)
            if kind not in follow.ANY_LAYOUT:
                break
        if len({column.tobytes() for column in results}) != 1:
            raise InputError(
                f"{self.name(index)}: what becomes of it cannot be told from the trace: its sizes "
                "do not follow from its shapes"
            )
        self.columns[index] = results[0]
