"""Bit widths of code that nobody has an adapter for, from a run of the model."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from bopscount.bits.findings import Finding, Measured, ValueBits
from bopscount.bits.value_bits import value_bits
from bopscount.errors import InputError
from bopscount.records.kinds import MAC_KINDS
from bopscount.records.table import Records
from bopscount.tracing.driver import Driver
from bopscount.tracing.model import on_meta
from bopscount.tracing.operands import Operand, operands_of
from bopscount.tracing.table import build_table

if TYPE_CHECKING:
    from torch import nn

    from bopscount.tracing.inputs import ForwardCall

_FLOAT = ValueBits(Finding.FLOAT)
UNSEEN = ValueBits(Finding.FEW)


@dataclass(frozen=True, slots=True)
class _Seen:
    """The operands of one ATen op, with the number of elements of each."""

    input: ValueBits
    weight: ValueBits
    input_elements: int
    weight_elements: int


class Meter:
    """Looks at the values that products multiply, while a model is run for real."""

    def __init__(self) -> None:
        self._seen: defaultdict[int, list[_Seen]] = defaultdict(list)

    def look(self, product: int, func: Any, args: tuple[Any, ...]) -> None:
        """Before an ATen op runs: of record number `product` among the products, if it is one."""
        with torch._C.DisableTorchFunction():
            operands = operands_of(func, args)
            if operands is None:
                return
            inputs, weights = operands
            self._seen[product].append(
                _Seen(_bits(inputs), _bits(weights), _elements(inputs), _elements(weights))
            )

    def of(self, product: int, weight_elements: int) -> Measured:
        """What was seen of a record whose weight has so many elements."""
        seen = self._seen.get(product)
        if not seen:
            return Measured(UNSEEN, UNSEEN)
        inputs, weights = [], []
        for one in seen:
            # Torch turns a matrix times a batch of matrices round, and runs the transposes.
            turned = one.input_elements == weight_elements != one.weight_elements
            inputs.append(one.weight if turned else one.input)
            weights.append(one.input if turned else one.weight)
        return Measured(_together(weights), _together(inputs))


def _elements(parts: Operand) -> int:
    return sum(part.numel() for part in parts if part is not None)


def _bits(parts: Operand) -> ValueBits:
    return _together([_FLOAT if part is None else value_bits(part) for part in parts])


_WORST_FIRST = (Finding.FLOAT, Finding.FEW, Finding.WIDTH)


def _together(several: Iterable[ValueBits]) -> ValueBits:
    """What holds for all of them: the widest; silent ones say nothing."""
    speaking = [one for one in several if one.finding is not Finding.SILENT]
    for finding in _WORST_FIRST:
        found = [one for one in speaking if one.finding is finding]
        if found:
            return max(found, key=lambda one: (not one.is_code_book, one.levels))
    return ValueBits(Finding.SILENT)


def measure(
    model: nn.Module, call: ForwardCall, table: Records, *, training: bool
) -> dict[int, Measured]:
    """Runs the model once and says what the operands of the table's products look like.

    Args:
        model: The model, which is left as it was.
        call: Its inputs; random ones come from a generator of their own.
        table: The trace of the same call, on meta tensors or not.
        training: Keep the `training` flags.

    Returns:
        By index of record. Where a module ran other products than were recorded on meta
        (attention and recurrent layers have rules of their own there), each of its records
        gets what holds for all of them.

    Raises:
        InputError: If the weights or inputs have no values.
        TraceError: If the forward raises.
    """
    if on_meta(model) or call.is_on_meta:
        what = "weights" if on_meta(model) else "inputs"
        raise InputError(
            f"bits='measured' needs {what} with values, but these are on the meta device; "
            "give a model that holds its weights, and input_size or inputs with values"
        )
    meter = Meter()
    driver = Driver(model, real=True, watch=meter.look)
    # Quantisers of both signs show all their levels only on values of both signs.
    driver.run(call.with_values(signed=True), training)
    ran = build_table(driver.tracer)
    measured: dict[int, Measured] = {}
    seen: dict[int, list[tuple[int, Measured]]] = {}
    for number, index in enumerate(_products(ran)):
        elements = int(ran.records["weight_elements"][index])
        seen.setdefault(_node(ran, index), []).append((elements, meter.of(number, elements)))
    recorded: dict[int, list[int]] = {}
    for index in _products(table):
        recorded.setdefault(_node(table, index), []).append(index)
    for node, indices in recorded.items():
        own = seen.get(node, [])
        if [int(table.records["weight_elements"][index]) for index in indices] == [
            elements for elements, _ in own
        ]:
            measured |= zip(indices, (one for _, one in own), strict=True)
            continue
        all_of_it = Measured(
            _together([one.weight for _, one in own] or [UNSEEN]),
            _together([one.input for _, one in own] or [UNSEEN]),
        )
        measured |= dict.fromkeys(indices, all_of_it)
    return measured


def _products(table: Records) -> list[int]:
    products: list[int] = np.flatnonzero(MAC_KINDS[table.records["kind"]]).tolist()
    return products


def _node(table: Records, index: int) -> int:
    return table.owners[int(table.records["owner"][index])].node
