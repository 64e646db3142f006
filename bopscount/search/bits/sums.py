"""Metrics of a bit-width search, as sums for the core."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

import bopscount._core as _core
from bopscount.conventions import CONVENTIONS
from bopscount.conventions.facts import Facts, exact_sum
from bopscount.errors import InputError
from bopscount.records.parameters import activation_elements, stored_parameters
from bopscount.records.table import Records
from bopscount.records.totals import METRIC_NAMES
from bopscount.records.widths import MAX_BITS
from bopscount.search.bits.columns import KEPT, Columns

SIZES = ("weight_bytes", "activation_bytes")
METRICS = (*METRIC_NAMES, "ops", *SIZES)
"""Names that `metrics=` accepts."""
PRICED = tuple(name for name, convention in CONVENTIONS.items() if convention.price)
"""Conventions that a search can count in."""
_TO_BYTES = 3
Widths = Sequence[int]
Price = Callable[[int, int], int]


def check_priced(convention: Any) -> str:
    """Return `convention`; raise InputError unless a search can count in it."""
    if convention not in PRICED:
        why = (
            " (it is no sum of prices by layer, or does not depend on bit widths)"
            if isinstance(convention, str) and convention in CONVENTIONS
            else ""
        )
        raise InputError(
            f"convention must be one of {', '.join(PRICED)} for a search, got {convention!r}{why}"
        )
    return str(convention)


class SumBuilder:
    """Builder of sums of prices for a search of the core.

    Args:
        search: Search that the sums are appended to.
        columns: Column of each record's bit widths.
        weights_vary: Whether candidates give the weight bits.
        inputs_vary: Whether candidates give the input bits.
    """

    def __init__(
        self, search: _core.BitSearch, columns: Columns, weights_vary: bool, inputs_vary: bool
    ) -> None:
        self._search = search
        self._columns: list[int] = columns.of_record.tolist()
        self._varies = weights_vary, inputs_vary

    def add(
        self,
        name: str,
        pieces: Iterable[tuple[Sequence[int], Price]],
        kept: tuple[Widths, Widths],
        constant: int = 0,
        shift: int = 0,
    ) -> None:
        """Append (constant + elements x price at each layer's widths) / 2**shift, rounded up.

        Args:
            name: Name of the sum.
            pieces: Elements of each record, with the price of one element by its weight bits
                and input bits.
            kept: Traced weight bits and input bits of each record.
            constant: Part of the sum that does not depend on bit widths.
            shift: Base-2 logarithm of the divisor.
        """
        grids = []
        for elements, price in pieces:
            shares: defaultdict[tuple[int | None, ...], list[tuple[int, int]]] = defaultdict(list)
            for n, column, *widths in zip(elements, self._columns, *kept, strict=True):
                if column == KEPT:
                    constant += n * price(*widths)
                elif n:
                    key = (
                        None if varies else width
                        for varies, width in zip(self._varies, widths, strict=True)
                    )
                    shares[tuple(key)].append((column, n))
            for (weight, inputs), of_widths in shares.items():
                cells = [[price(w, a) for a in _every(inputs)] for w in _every(weight)]
                grids.append((np.array(cells, np.int64), np.array(of_widths, np.int64)))
        self._search.add_sum(name, shift, constant, grids)


def _every(width: int | None) -> Iterable[int]:
    return range(1, MAX_BITS + 1) if width is None else (width,)


def add_size(builder: SumBuilder, table: Records, name: str) -> None:
    """Append the sum `weight_bytes` or `activation_bytes`.

    `weight_bytes`: all parameters, weights at their bit widths and the rest as stored; equals
    `Report.bit_summary.size_bits` / 8. `activation_bytes`: MAC operands that are not parameters,
    at their bit widths. Both are rounded up once, at the end.
    """
    records = table.records
    kept = records["weight_bits"].tolist(), records["input_bits"].tolist()
    if name == "weight_bytes":
        stored = stored_parameters(table)
        constant = exact_sum(stored.others * stored.other_bits)
        pieces: list[tuple[list[int], Price]] = [(stored.weights.tolist(), lambda w, _: w)]
    else:
        first, second = activation_elements(table)
        constant = 0
        pieces = [(first, lambda _, a: a), (second, lambda w, _: w)]
    builder.add(name, pieces, kept, constant, shift=_TO_BYTES)


def add_convention(builder: SumBuilder, facts: Facts, name: str) -> None:
    """Append a convention's sum, before its division."""
    price = CONVENTIONS[name].price
    assert price is not None, name
    kept = facts.weight_bits.tolist(), facts.input_bits.tolist()
    elements = [int(n) for n in price.elements(facts)]
    builder.add(name, [(elements, price.price)], kept, price.rest(facts))
