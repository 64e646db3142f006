"""A counted model as data: rows, groups, totals, what was not counted."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field, fields
from typing import TYPE_CHECKING, Any

from bopscount.errors import InputError
from bopscount.records.modules import Node, shown_nodes
from bopscount.records.totals import METRIC_NAMES, Totals, costs_in_words, sum_costs

if TYPE_CHECKING:
    import pandas

    from bopscount.conventions import ConventionTable
    from bopscount.layer_table import LayerTable
    from bopscount.report.bit_summary import BitSummary

SCHEMA_VERSION = 1
_NEW_IN_ROWS = {"param_bits": 0, "weight_bits_source": None, "input_bits_source": None}
"""Fields that rows did not have from the start, with what they are in older data."""


@dataclass(frozen=True, slots=True, repr=False)
class Row(Totals):
    """One row of the table.

    Attributes:
        module_path: Path of the module, with a parenthesised role where the row is a
            part of an inner module.
        kind: Op kind; "composite" for several in one row, "module" for an inner node.
        input_shape: Of the first call, without the batch; (0, 0, 0) if never called.
        output_shape: Of the last call, likewise.
        calls: How often the module (or the op) ran.
        weight_bits: Stored bits of a weight of the row's MAC op, None without one.
        input_bits: Stored bits of an element of its input, likewise.
        duration: Seconds of a forward pass, None where not timed.
        node: Index of the row's module in `Report.nodes`.
        param_bits: Bits that the row's parameters take, each at its true width; a weight
            stands on the row that reads it.
        weight_bits_source: Where the weight's width comes from: "floating" (its dtype: full
            precision), "user", "adapter", "producer", "dtype" or "measured"; None without one.
        input_bits_source: The same of the input's.
    """

    module_path: str = ""
    kind: str = ""
    input_shape: tuple[int, ...] = (0, 0, 0)
    output_shape: tuple[int, ...] = (0, 0, 0)
    calls: int = 0
    weight_bits: int | None = None
    input_bits: int | None = None
    duration: float | None = None
    node: int = 0
    param_bits: int = 0
    weight_bits_source: str | None = None
    input_bits_source: str | None = None

    def __repr__(self) -> str:
        return f"<Row {self.module_path!r}, {self.kind}: {costs_in_words(self)}>"


@dataclass(frozen=True, slots=True)
class Uncounted:
    """An op that has no rule.

    Attributes:
        op: What torch calls it.
        module_path: Path of the module that called it.
        calls: How often.
    """

    op: str
    module_path: str
    calls: int


@dataclass(slots=True, repr=False)
class Report:
    """What `stat` and `count` return; `str(report)` is the table.

    Attributes:
        layers: The finest rows: one a leaf module, and the parenthesised ones.
        totals: Sums over all layers.
        nodes: The model's modules, for coarser rows.
        rules: "torchstat" or "full".
        query_granularity: Height of the nodes that `rows` shows.
        batch_size: Samples; the memory(MB) column is per sample.
        kinds: Sums by op kind.
        uncounted: Ops without a rule: where there are any, numbers are lower bounds.
        left_out: Ops that the chosen rules count as nothing, with their calls.
        ran_model: Whether the model's arithmetic was run.
        notes: Further sentences for the footer.
        assumptions: What could not be read and what was taken instead, as sentences.
        warnings: What contradicts itself, and which of it was counted, as sentences.
        columns: What the table shows: headers, or "default" and "bits" for several at once.
        shown_convention: The convention whose total stands under the table.
        discount_zeros: Whether zero weights cost nothing.
        table: What was counted; None for a report that was read from data.
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
    table: LayerTable | None = field(default=None, repr=False, compare=False)
    _bits: BitSummary | None = field(default=None, repr=False, compare=False)
    _conventions: ConventionTable | None = field(default=None, repr=False, compare=False)
    _shows_bits: bool | None = field(default=None, repr=False, compare=False)

    @property
    def status(self) -> str:
        """Either "complete" or, where an op has no rule, "lower bound"."""
        return "lower bound" if self.uncounted else "complete"

    @property
    def timed(self) -> bool:
        """Whether the rows have durations."""
        return any(row.duration is not None for row in self.layers)

    @property
    def rows(self) -> list[Row]:
        """The rows at `query_granularity`, in module order; they sum to the totals."""
        shown = shown_nodes(self.nodes, self.query_granularity)

        def row_of(row: Row) -> tuple[int, str]:
            node = shown[row.node]
            if node < 0 or self.nodes[node].is_leaf:
                return row.node, row.module_path
            return node, ""

        return [
            row
            for row in _grouped(self.layers, row_of, self._merge)
            if not row.module_path.endswith("(functional)") or any(row.costs())
        ]

    def _merge(self, key: Any, rows: list[Row]) -> Row:
        """One row for a whole subtree."""
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
            duration=_sum_durations(rows),
            node=key[0],
        )

    def by_kind(self) -> dict[str, Totals]:
        """Sums by op kind."""
        return dict(self.kinds)

    def by_module(self, depth: int = 1) -> dict[str, Totals]:
        """Sums by module path, cut off after `depth` names.

        Rows of the model itself stand under their own names, e.g. "(functional)".
        """
        if isinstance(depth, bool) or not isinstance(depth, int) or depth < 1:
            raise InputError(f"depth must be a positive integer, got {depth!r}")
        return dict(
            _grouped(
                self.layers,
                lambda row: ".".join(row.module_path.split(".")[:depth]),
                lambda key, rows: (key, Totals(**sum_costs(rows))),
            )
        )

    @property
    def bit_summary(self) -> BitSummary:
        """MACs, parameters and memory by bit width; `str()` of it is a table.

        Raises:
            InputError: For a report read from data that has none.
        """
        if self._bits is None:
            from bopscount.report.bit_summary import bit_summary

            self._bits = bit_summary(self._counted_table("bit_summary"), self.discount_zeros)
        return self._bits

    @property
    def shows_bits(self) -> bool:
        """Whether the bit summary stands under the table: a low-bit layer of a new class."""
        if self._shows_bits is None:
            from bopscount.report.bit_summary import has_new_low_bits

            self._shows_bits = self.table is not None and has_new_low_bits(self.table)
        return self._shows_bits

    def conventions(self) -> ConventionTable:
        """The network under every published convention, side by side; print it, or iterate.

        Example: `report.conventions()["reactnet"].parts["BOPs"]`.

        Raises:
            InputError: For a report read from data that has none.
        """
        if self._conventions is None:
            from bopscount.conventions import all_conventions

            self._conventions = all_conventions(self._counted_table("conventions()"))
        return self._conventions

    def convention(self, name: str) -> int | float | dict[str, int]:
        """The network's number in one convention; see docs/conventions.md.

        Args:
            name: One of `bopscount.CONVENTIONS`, such as "reactnet".

        Returns:
            An int where the rule is one of integers, else a float; a dict of ints for the
            conventions that never merge their numbers.

        Raises:
            InputError: For a name that is none, or a network that has no such number.

        Example: of ReActNet-A, `convention("reactnet")` is 87,126,016.0.
        """
        return self.conventions().value(name)

    def _counted_table(self, what: str) -> LayerTable:
        if self.table is None:
            raise InputError(
                f"{what} needs the layers that were counted, and this report was read from "
                "data without it; count the model again"
            )
        return self.table

    def __repr__(self) -> str:
        return (
            f"<Report of {len(self.layers)} layers, rules {self.rules!r}, {self.status}: "
            f"{costs_in_words(self.totals)}; print it for the table>"
        )

    def __str__(self) -> str:
        from bopscount.report.formats.table_text import render

        return render(self)

    def to_pandas(self) -> pandas.DataFrame:
        """The rows as a DataFrame: the table's columns, raw numbers, no total row.

        Raises:
            InputError: Where pandas is not installed.
        """
        try:
            import pandas
        except ImportError as error:
            raise InputError("to_pandas needs pandas: pip install 'bopscount[pandas]'") from error
        from bopscount.report.formats.table_text import columns

        return pandas.DataFrame(columns(self))

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON; `Report.from_dict` reads it back."""
        return {
            "schema_version": SCHEMA_VERSION,
            "rules": self.rules,
            "query_granularity": self.query_granularity,
            "batch_size": self.batch_size,
            "status": self.status,
            "ran_model": self.ran_model,
            "totals": _plain(self.totals),
            "rows": [_plain(row) for row in self.rows],
            "layers": [_plain(row) for row in self.layers],
            "nodes": [asdict(node) for node in self.nodes],
            "kinds": {kind: _plain(total) for kind, total in self.kinds.items()},
            "uncounted": [asdict(op) for op in self.uncounted],
            "left_out": dict(self.left_out),
            "notes": list(self.notes),
            "assumptions": list(self.assumptions),
            "warnings": list(self.warnings),
            "columns": list(self.columns),
            "shown_convention": self.shown_convention,
            "discount_zeros": self.discount_zeros,
            **self._bits_to_dict(),
        }

    def _bits_to_dict(self) -> dict[str, Any]:
        if self.table is None and (self._bits is None or self._conventions is None):
            return {}
        return {
            "shows_bits": self.shows_bits,
            "bit_summary": self.bit_summary.to_dict(),
            "conventions": [value.to_dict() for value in self.conventions()],
        }

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Report:
        """The report that `to_dict` wrote.

        Raises:
            InputError: For another schema version, or data of another form.
        """
        version = data.get("schema_version") if isinstance(data, dict) else None
        if version != SCHEMA_VERSION:
            raise InputError(
                f"schema_version must be {SCHEMA_VERSION}, got {version!r}; "
                "write the report again with this version of bopscount"
            )
        try:
            return cls(
                layers=[_row(row) for row in data["layers"]],
                totals=_totals(data["totals"]),
                nodes=[Node(**node) for node in data["nodes"]],
                rules=data["rules"],
                query_granularity=data["query_granularity"],
                batch_size=data["batch_size"],
                kinds={kind: _totals(total) for kind, total in data["kinds"].items()},
                uncounted=[Uncounted(**op) for op in data["uncounted"]],
                left_out=dict(data["left_out"]),
                ran_model=data["ran_model"],
                notes=list(data["notes"]),
                assumptions=list(data.get("assumptions", ())),
                warnings=list(data.get("warnings", ())),
                columns=tuple(data.get("columns", ("default",))),
                shown_convention=data.get("shown_convention"),
                discount_zeros=data.get("discount_zeros", False),
                **_bits_from_dict(data),
            )
        except KeyError as error:
            raise InputError(f"data is no report: {error} is missing") from error
        except (TypeError, ValueError, AttributeError) as error:
            raise InputError(f"data is no report: {error}") from error


def _bits_from_dict(data: dict[str, Any]) -> dict[str, Any]:
    """Fields of a Report; none where an older version wrote the data."""
    if "bit_summary" not in data:
        return {}
    from bopscount.conventions import ConventionTable, ConventionValue
    from bopscount.report.bit_summary import BitSummary

    values = [ConventionValue.from_dict(value) for value in data["conventions"]]
    return {
        "_shows_bits": data["shows_bits"],
        "_bits": BitSummary.from_dict(data["bit_summary"]),
        "_conventions": ConventionTable(values),
    }


def _grouped(
    rows: Iterable[Row], key: Callable[[Row], Any], merge: Callable[..., Any]
) -> list[Any]:
    """merge(key, rows) for the rows of each key, in order of first appearance."""
    groups: dict[Any, list[Row]] = {}
    for row in rows:
        groups.setdefault(key(row), []).append(row)
    return [merge(name, members) for name, members in groups.items()]


def _sum_durations(rows: list[Row]) -> float | None:
    durations = [row.duration for row in rows if row.duration is not None]
    return sum(durations) if durations else None


def _plain(totals: Totals) -> dict[str, Any]:
    values = {item.name: getattr(totals, item.name) for item in fields(totals)}
    for name, value in values.items():
        if isinstance(value, tuple):
            values[name] = list(value)
    return {**values, "ops": totals.ops}


def _totals(data: dict[str, Any]) -> Totals:
    return Totals(**{name: int(data[name]) for name in METRIC_NAMES})


def _row(data: dict[str, Any]) -> Row:
    known = {**_NEW_IN_ROWS, **data}
    values = {item.name: known[item.name] for item in fields(Row)}
    for name in ("input_shape", "output_shape"):
        values[name] = tuple(values[name])
    return Row(**values)
