"""Bit widths of modules without an adapter, measured in a run of the model."""

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
    """Findings on the operands of one ATen op, with their numbers of elements."""

    input: ValueBits
    weight: ValueBits
    input_elements: int
    weight_elements: int


class Meter:
    """Inspects the operand values of products while a model is run for real."""

    def __init__(self) -> None:
        self._seen: defaultdict[int, list[_Seen]] = defaultdict(list)

    def look(self, product: int, func: Any, args: tuple[Any, ...]) -> None:
        """Inspect the operands of an ATen op before it runs, if it is a product.

        Args:
            product: Number of the op's record among the records of products.
            func: The op.
            args: Its arguments.
        """
        with torch._C.DisableTorchFunction():
            operands = operands_of(func, args)
            if operands is None:
                return
            inputs, weights = operands
            self._seen[product].append(
                _Seen(_bits(inputs), _bits(weights), _elements(inputs), _elements(weights))
            )

    def of(self, product: int, weight_elements: int) -> Measured:
        """Return the findings for a product, whose weight has `weight_elements` elements."""
        seen = self._seen.get(product)
        if not seen:
            return Measured(UNSEEN, UNSEEN)
        inputs, weights = [], []
        for one in seen:
            # torch computes a matrix times a batch of matrices as the product of the transposes.
            swapped = one.input_elements == weight_elements != one.weight_elements
            inputs.append(one.weight if swapped else one.input)
            weights.append(one.input if swapped else one.weight)
        return Measured(_combine(weights), _combine(inputs))


def _elements(parts: Operand) -> int:
    return sum(part.numel() for part in parts if part is not None)


def _bits(parts: Operand) -> ValueBits:
    return _combine([_FLOAT if part is None else value_bits(part) for part in parts])


_WORST_FIRST = (Finding.FLOAT, Finding.FEW, Finding.WIDTH)


def _combine(several: Iterable[ValueBits]) -> ValueBits:
    """Return the finding that holds for all values, the widest; `Finding.SILENT` is ignored."""
    informative = [one for one in several if one.finding is not Finding.SILENT]
    for finding in _WORST_FIRST:
        found = [one for one in informative if one.finding is finding]
        if found:
            return max(found, key=lambda one: (not one.is_code_book, one.levels))
    return ValueBits(Finding.SILENT)


def measure(
    model: nn.Module, call: ForwardCall, table: Records, *, training: bool
) -> dict[int, Measured]:
    """Run the model once and measure the operands of the table's products.

    Args:
        model: The model, which is restored afterwards.
        call: Its inputs; random ones are drawn from a separate generator.
        table: Trace of the same call, on meta tensors or not.
        training: Keep the `training` flags.

    Returns:
        Record index -> findings. If a module's products differ from those recorded on meta
        (attention and recurrent layers have rules of their own there), each of its records
        gets the combined finding of all of them.

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
    # Signed quantisers use all their levels only on values of both signs.
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
        combined = Measured(
            _combine([one.weight for _, one in own] or [UNSEEN]),
            _combine([one.input for _, one in own] or [UNSEEN]),
        )
        measured |= dict.fromkeys(indices, combined)
    return measured


def _products(table: Records) -> list[int]:
    products: list[int] = np.flatnonzero(MAC_KINDS[table.records["kind"]]).tolist()
    return products


def _node(table: Records, index: int) -> int:
    return table.owners[int(table.records["owner"][index])].node
