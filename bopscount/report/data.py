"""Data of a report: rows, groups, totals, uncounted ops."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from bopscount.conventions import ConventionTable, all_conventions
from bopscount.errors import InputError
from bopscount.records.modules import Node, shown_nodes
from bopscount.records.table import Records
from bopscount.records.totals import Totals, sum_costs
from bopscount.records.uncounted import Uncounted
from bopscount.report.bit_summary import BitSummary, bit_summary, has_new_low_bits
from bopscount.report.rows import Row, group_rows, sum_durations


@dataclass(slots=True, repr=False)
class ReportData:
    """Counted model without output formats.

    Attributes:
        layers: Finest rows: one per leaf module, and those with a parenthesised role.
        totals: Sums over all layers.
        nodes: Modules of the model, for coarser rows.
        rules: "torchstat" or "full".
        query_granularity: Height of the modules in `rows`.
        batch_size: Number of samples; the memory(MB) column is per sample.
        kinds: Sums by op kind.
        uncounted: Ops without a rule; if there are any, the numbers are lower bounds.
        left_out: Ops that the chosen rules do not count -> number of calls.
        ran_model: Whether the model's arithmetic was run.
        notes: Further sentences for the footer.
        assumptions: Sentences on unreadable attributes and the values assumed for them.
        warnings: Sentences on contradictory bit widths and the ones that were counted.
        columns: Headers of the table, or "default" and "bits" for sets of them.
        shown_convention: Convention whose total is printed below the table.
        discount_zeros: Whether zero weights cost no MACs and no memory.
        table: Counted layers; None for a report read from data.
    """

    layers: list[Row]
    totals: Totals
    nodes: list[Node]
    rules: str = "torchstat"
    query_granularity: int = 1
    batch_size: int = 1
    kinds: dict[str, Totals] = field(default_factory=dict)
    uncounted: list[Uncounted] = field(default_factory=list)
    left_out: dict[str, int] = field(default_factory=dict)
    ran_model: bool = False
    notes: list[str] = field(default_factory=list)
    assumptions: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    columns: tuple[str, ...] = ("default",)
    shown_convention: str | None = None
    discount_zeros: bool = False
    table: Records | None = field(default=None, repr=False, compare=False)
    _bits: BitSummary | None = field(default=None, repr=False, compare=False)
    _conventions: ConventionTable | None = field(default=None, repr=False, compare=False)
    _shows_bits: bool | None = field(default=None, repr=False, compare=False)

    @property
    def status(self) -> str:
        """Either "complete", or "lower bound" if an op has no rule."""
        return "lower bound" if self.uncounted else "complete"

    @property
    def timed(self) -> bool:
        """Whether the rows have durations."""
        return any(row.duration is not None for row in self.layers)

    @property
    def rows(self) -> list[Row]:
        """Rows at `query_granularity`, in module order; they sum to the totals."""
        shown = shown_nodes(self.nodes, self.query_granularity)

        def row_of(row: Row) -> tuple[int, str]:
            node = shown[row.node]
            if node < 0 or self.nodes[node].is_leaf:
                return row.node, row.module_path
            return node, ""

        return [
            row
            for row in group_rows(self.layers, row_of, self._merge)
            if not row.module_path.endswith("(functional)") or any(row.costs())
        ]

    def _merge(self, key: Any, rows: list[Row]) -> Row:
        """Return one row for the rows of a subtree."""
        node = self.nodes[key[0]]
        if key[1]:
            return rows[0]
        called = [row for row in rows if self.nodes[row.node].is_leaf and row.calls]
        called = called or [row for row in rows if row.calls] or rows
        return Row(
            **sum_costs(rows),
            module_path=node.path or node.class_name,
            kind="module",
            input_shape=called[0].input_shape,
            output_shape=called[-1].output_shape,
            calls=node.calls,
            param_bits=sum(row.param_bits for row in rows),
            duration=sum_durations(rows),
            node=key[0],
        )

    def by_kind(self) -> dict[str, Totals]:
        """Return the sums by op kind."""
        return dict(self.kinds)

    def by_module(self, depth: int = 1) -> dict[str, Totals]:
        """Return the sums by module path, truncated to `depth` names.

        Rows of the model itself keep their names, such as "(functional)".

        Raises:
            InputError: If depth is not a positive integer.
        """
        if isinstance(depth, bool) or not isinstance(depth, int) or depth < 1:
            raise InputError(f"depth must be a positive integer, got {depth!r}")
        return dict(
            group_rows(
                self.layers,
                lambda row: ".".join(row.module_path.split(".")[:depth]),
                lambda key, rows: (key, Totals(**sum_costs(rows))),
            )
        )

    @property
    def bit_summary(self) -> BitSummary:
        """MACs, parameters and memory by bit width; `str()` of it is a table.

        Raises:
            InputError: If the report was read from data without a bit summary.
        """
        if self._bits is None:
            self._bits = bit_summary(self._counted_table("bit_summary"), self.discount_zeros)
        return self._bits

    @property
    def shows_bits(self) -> bool:
        """Whether the bit summary is printed: a layer outside the legacy classes is low-bit."""
        if self._shows_bits is None:
            self._shows_bits = self.table is not None and has_new_low_bits(self.table)
        return self._shows_bits

    def conventions(self) -> ConventionTable:
        """Return the values in all published conventions, as a table to print or iterate over.

        Example: `report.conventions()["reactnet"].parts["BOPs"]`.

        Raises:
            InputError: If the report was read from data without conventions.
        """
        if self._conventions is None:
            self._conventions = all_conventions(self._counted_table("conventions()"))
        return self._conventions

    def convention(self, name: str) -> int | float | dict[str, int]:
        """Return the value in one convention; see docs/conventions.md.

        Args:
            name: One of `bopscount.CONVENTIONS`, such as "reactnet".

        Returns:
            An int if the rule is exact, else a float; a dict of ints for conventions that
            never merge their numbers.

        Raises:
            InputError: If the name is unknown, or the network has no such number.

        Example: for ReActNet-A, `convention("reactnet")` is 87,126,016.0.
        """
        return self.conventions().value(name)

    @property
    def knows_bits(self) -> bool:
        """Whether there is a bit summary; data from older versions has none."""
        return self.table is not None or not (self._bits is None or self._conventions is None)

    def _counted_table(self, what: str) -> Records:
        if self.table is None:
            raise InputError(
                f"{what} needs the layers that were counted, and this report was read from "
                "data without it; count the model again"
            )
        return self.table
