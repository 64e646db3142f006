"""Costs of candidate assignments of bit widths."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

import bopscount._core as _core
from bopscount.conventions import CONVENTIONS
from bopscount.conventions.facts import Facts
from bopscount.errors import InputError
from bopscount.records.metrics import check_metrics
from bopscount.records.rule_sets import check_rules
from bopscount.records.table import Records, as_records, name_layer
from bopscount.search.bits.columns import Groups, find_columns
from bopscount.search.bits.sums import (
    METRICS,
    SIZES,
    SumBuilder,
    add_convention,
    add_size,
    check_priced,
)
from bopscount.search.threads import thread_count

Bits = npt.NDArray[np.uint8]
Costs = dict[str, npt.NDArray[Any]]
_BLOCK = 1 << 16
"""Candidates per block of work in Python."""
_FEW = 256
"""Number of candidates up to which one thread is the default."""


class BitSearch:
    """Network prepared for counting at very many assignments of bit widths.

    Counts as `count_batch` does, but prepares once, which takes a millisecond or two for a
    network such as ResNet-50. Later changes of the table have no effect.

    Args:
        layers: Table returned by `trace`, or a record array of `LAYER_DTYPE`.
        metrics: One or more of "bops", "ops", "ops_x64", "macs", "flops", "madd", "mem_read",
            "mem_write", "memory_bytes", "params", "logical_params" (sums of `Records.totals`);
            "weight_bytes" (all parameters at their bit widths, as in `Report.bit_summary`);
            "activation_bytes" (MAC operands that are not parameters, at their bit widths).
        convention: Published convention to count in as well, see `bopscount.CONVENTIONS`.
        groups: Name -> path pattern or patterns of the layers that share a bit width; `...`
            makes the name the pattern. Layers in no group keep their traced widths.
        rules: "torchstat" or "full"; applies to all but the last two metrics.

    Attributes:
        columns: Names of the columns of candidate arrays: `Records.mac_layers`, or the names
            of the groups.

    Raises:
        InputError: For an invalid argument.

    Example: for a 64 -> 64, 3x3 convolution on 56x56 positions, 115,605,504 macs,
    `BitSearch(table).count(np.uint8([[1], [2]]), np.uint8([[1], [4]]))["bops"]` is
    [115605504, 924844032].
    """

    def __init__(
        self,
        layers: Records | Any,
        *,
        metrics: str | Sequence[str] = ("bops",),
        convention: str | None = None,
        groups: Groups | None = None,
        rules: str = "torchstat",
    ) -> None:
        table = as_records(layers)
        self._metrics = check_metrics(metrics, METRICS, may_be_empty=convention is not None)
        self._convention = None if convention is None else check_priced(convention)
        self._rules = check_rules(rules)
        self._table = replace(table, records=table.records.copy())
        self._columns = find_columns(table, groups)
        self._real_rest: float | None = None
        self._searches: dict[tuple[bool, bool], _core.BitSearch] = {}

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns of candidate arrays."""
        return self._columns.names

    def count(
        self,
        weight_bits: Bits | None = None,
        input_bits: Bits | None = None,
        *,
        n_threads: int | None = None,
        python_ints: bool = False,
    ) -> Costs:
        """Count candidates; see `count_batch`."""
        key = weight_bits is not None, input_bits is not None
        search = self._searches.get(key) or self._prepare(key)
        n = self._check(weight_bits, input_bits)
        few = n_threads is None and n <= _FEW
        threads = 1 if few else thread_count(n_threads)
        try:
            arrays: list[npt.NDArray[Any]]
            if python_ints:
                arrays = [*_exact(search, weight_bits, input_bits, n, threads)]
            else:
                arrays = [*search.count(weight_bits, input_bits, threads)]
        except ValueError as error:
            raise InputError(str(error)) from None
        return self._finish(dict(zip(search.sums, arrays, strict=True)))

    def _check(self, weight_bits: Any, input_bits: Any) -> int:
        """Return the number of candidates; raise InputError for invalid arrays."""
        n_columns, n_rows = len(self._columns.names), None
        for name, bits in (("weight_bits", weight_bits), ("input_bits", input_bits)):
            if bits is None:
                continue
            if not isinstance(bits, np.ndarray) or bits.dtype != np.uint8:
                raise InputError(
                    f"{name} must be a numpy array of uint8, got "
                    f"{getattr(bits, 'dtype', type(bits).__name__)}"
                )
            if bits.ndim not in (1, 2) or bits.shape[-1] != n_columns:
                raise InputError(
                    f"{name} must have shape (n_candidates, {n_columns}) or ({n_columns},), a "
                    f"column for each of {_names(self._columns.names)}, got {bits.shape}"
                )
            if bits.ndim != 1:
                if n_rows is not None and n_rows != len(bits):
                    raise InputError(
                        "weight_bits and input_bits must have as many candidates, got "
                        f"{n_rows} and {len(bits)}"
                    )
                n_rows = len(bits)
        return 1 if n_rows is None else n_rows

    def _prepare(self, key: tuple[bool, bool]) -> _core.BitSearch:
        table, columns = self._table, self._columns
        search = _core.BitSearch(list(columns.names), *key)
        core_metrics = dict.fromkeys(
            "ops_x64" if name == "ops" else name for name in self._metrics if name not in SIZES
        )
        name_layer(
            search.add_layers,
            table,
            table.records,
            columns.of_record,
            self._rules,
            list(core_metrics),
        )
        builder = SumBuilder(search, columns, *key)
        for name in SIZES:
            if name in self._metrics:
                add_size(builder, table, name)
        if self._convention is not None:
            facts = Facts(table)
            add_convention(builder, facts, self._convention)
            price = CONVENTIONS[self._convention].price
            if price is not None and price.real_rest is not None:
                self._real_rest = price.real_rest(facts)
        self._searches[key] = search
        return search

    def _finish(self, costs: Costs) -> Costs:
        if "ops" in self._metrics:
            ops_x64 = costs["ops_x64"]
            costs["ops"] = _floats(ops_x64, np.empty(len(ops_x64)), lambda sums: sums / 64)
        name = self._convention
        if name is not None:
            price, rest = CONVENTIONS[name].price, self._real_rest
            assert price is not None
            if price.divisor != 1 or rest is not None:
                sums = costs[name]
                # In place where the items have as many bytes.
                out = np.empty(len(sums)) if sums.dtype == object else sums.view(np.float64)
                costs[name] = _floats(sums, out, lambda sums: price.finish(sums, rest))
        return costs


def _floats(sums: Any, out: Any, function: Callable[[Any], Any]) -> Any:
    """Write function(sums) to `out` block by block; both may be the same memory."""
    for start in range(0, len(sums), _BLOCK):
        out[start : start + _BLOCK] = function(sums[start : start + _BLOCK])
    return out


def _exact(
    search: _core.BitSearch, weight_bits: Any, input_bits: Any, n_candidates: int, n_threads: int
) -> list[npt.NDArray[np.object_]]:
    """Return the sums as Python integers."""
    arrays = [np.empty(n_candidates, object) for _ in search.sums]
    for start in range(0, n_candidates, _BLOCK):
        stop = min(n_candidates, start + _BLOCK)
        halves = search.count_wide(weight_bits, input_bits, start, stop, n_threads)
        for array, high, low in zip(arrays, *halves, strict=True):
            array[start:stop] = (high.astype(object) << 64) | low.astype(object)
    return arrays


_SHOWN = 3


def _names(names: Sequence[str]) -> str:
    shown = ", ".join(map(repr, names[:_SHOWN])) or "no layer with MACs"
    return f"{shown} and so on" if len(names) > _SHOWN else shown


def count_batch(
    table: Records | Any,
    weight_bits: Bits | None = None,
    input_bits: Bits | None = None,
    *,
    metrics: str | Sequence[str] = ("bops",),
    convention: str | None = None,
    groups: Groups | None = None,
    rules: str = "torchstat",
    n_threads: int | None = None,
    python_ints: bool = False,
) -> Costs:
    """Count very many assignments of bit widths to the layers of one network.

    A candidate costs the same as `table.with_bits({path: (weight bits, input bits), ...})`. A
    layer is low-bit, with Bops, if both widths are 16 or less; 32 is full precision.

    Args:
        table: Table returned by `trace`, or a record array of `LAYER_DTYPE`.
        weight_bits: Bit widths of 1 to 64, uint8, of shape (n_candidates, n_columns) with a
            column for each of `table.mac_layers` or each group, or of shape (n_columns,) for
            all candidates alike. None keeps the traced widths. Arrays of any strides,
            memory-mapped ones included, are read in place.
        input_bits: Bit widths of the layers' inputs, given like `weight_bits`.
        metrics: See `BitSearch`.
        convention: See `BitSearch`.
        groups: See `BitSearch`.
        rules: See `BitSearch`.
        n_threads: Number of threads, by default all available cores. Results do not depend
            on it.
        python_ints: Return arbitrary-precision Python integers (dtype object).

    Returns:
        An array of shape (n_candidates,) for each metric and for the convention, by name:
        exact integers, except for "ops", which is "ops_x64" / 64 in float64 and comes with
        "ops_x64", and for conventions with non-integer values.

    Raises:
        InputError: For an invalid argument, naming it; for an invalid width, also naming the
            layer and the candidate.
        OverflowError: If a cost of one layer is over 2**63 - 1, or if a sum is and python_ints
            is False; it names the candidate, and the layer or the metric.

    Example: see `BitSearch`, which is faster for frequent calls with few candidates.
    """
    search = BitSearch(table, metrics=metrics, convention=convention, groups=groups, rules=rules)
    return search.count(weight_bits, input_bits, n_threads=n_threads, python_ints=python_ints)
