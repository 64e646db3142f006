"""What a trace yields: the flat layer array and the names that go with it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from bopscount import _core
from bopscount.errors import InputError
from bopscount.records.modules import Node
from bopscount.records.totals import Totals

if TYPE_CHECKING:
    from bopscount.bits.by_path import Widths
    from bopscount.search.candidates.candidates import ByLayer, Candidates, Values

RULES = ("torchstat", "full")
LEAF = ""
"""Role of an owner that is a leaf module itself."""


@dataclass(frozen=True, slots=True)
class Owner:
    """Who a record belongs to: a leaf module, or a parenthesised row of an inner one.

    Attributes:
        node: Index of the module in `LayerTable.nodes`.
        role: "" for a leaf module, else "parameters", "functional", or a MAC op's kind.
    """

    node: int
    role: str


@dataclass(slots=True, repr=False)
class LayerTable:
    """Recorded layers of one model at one input; needs no torch and pickles.

    Attributes:
        records: One record per executed op, of `LAYER_DTYPE`.
        owners: `records["owner"]` indexes it; in row order.
        nodes: The model's modules in module order.
        input_shapes: Shape of each record's first operand, batch included.
        output_shapes: Shape of each record's output, batch included.
        ops: What each record was called in torch ("conv2d", "aten.add.Tensor").
        producers: Which records made the operands of record i, -1 for inputs, parameters
            and constants: `producers[producer_starts[i]:producer_starts[i + 1]]`.
        producer_starts: See `producers`.
        input_numbers: As `producers`: which of the model's tensor inputs the operand is, or a
            view of, -1 for none.
        viewed: As `producers`: whether the operand is a view of what was produced, which may
            have turned, cut or reshaped it.
        network_inputs: Shapes of the model's tensor inputs, batch included.
        batch_size: Samples in the input; the memory(MB) column is per sample.
        ran_model: Whether the model's arithmetic was run.
        notes: Sentences that belong under every table of this model.
        trainable_params: Registered parameters that require a gradient; None where
            nobody looked.
        assumptions: Sentences on what could not be read and what was taken instead.
        warnings: Sentences on what contradicts itself, and which of it was counted.
    """

    records: npt.NDArray[Any]
    owners: list[Owner]
    nodes: list[Node]
    input_shapes: list[tuple[int, ...]]
    output_shapes: list[tuple[int, ...]]
    ops: list[str]
    producers: npt.NDArray[Any] = field(default_factory=lambda: np.zeros(0, np.int32))
    producer_starts: npt.NDArray[Any] = field(default_factory=lambda: np.zeros(1, np.int64))
    input_numbers: npt.NDArray[Any] = field(default_factory=lambda: np.zeros(0, np.int32))
    viewed: npt.NDArray[Any] = field(default_factory=lambda: np.zeros(0, np.bool_))
    network_inputs: list[tuple[int, ...]] = field(default_factory=list)
    batch_size: int = 1
    ran_model: bool = False
    notes: list[str] = field(default_factory=list)
    trainable_params: int | None = None
    assumptions: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.records)

    def __repr__(self) -> str:
        return (
            f"<LayerTable of {len(self)} records, {len(self.nodes)} modules, batch size "
            f"{self.batch_size}; count it with bopscount.count>"
        )

    def totals(self, rules: str = "torchstat", discount_zeros: bool = False) -> Totals:
        """Exact sums over all layers, on demand without what zero weights cost.

        Raises:
            InputError: If zeros are to be discounted and the table does not know them.
        """
        if discount_zeros:
            from bopscount.records.nonzero import check_zeros_known, discounted_costs

            check_zeros_known(self)
            check_rules(rules)
            columns = zip(*discounted_costs(self, rules), strict=True)
            return Totals(*map(sum, columns))
        return Totals(*name_layer(_core.count_totals, self, self.records, check_rules(rules)))

    def with_bits(self, bits: Mapping[str, Widths]) -> LayerTable:
        """A copy in which the layers with these paths have these (weight, input) bit widths.

        Args:
            bits: {"layer*.conv2": (1, 1), "fc": (8, 8)}: globs of module paths, of which the
                last one that matches counts; None for a width leaves it.

        Raises:
            InputError: For a width outside 1-64, or a pattern that matches nothing.
        """
        from bopscount.bits.by_path import with_bits

        return with_bits(self, bits)

    @property
    def mac_layers(self) -> tuple[str, ...]:
        """Paths of the layers with MACs, in row order; the columns of a bit-width search.

        One for each row that runs a convolution, linear or recurrent layer or matrix product,
        however often: a leaf module's path, or that of a row such as "attn.(matmul)". Each is
        a pattern that `with_bits` takes.
        """
        from bopscount.bits.by_path import mac_owners

        return tuple(row for _, (_, row) in mac_owners(self))

    def candidates(self, n_candidates: int) -> Candidates:
        """A block of n_candidates x layers records, all as traced, to be changed and counted.

        Raises:
            InputError: If the table was not traced, and so does not know which layer feeds which.
        """
        from bopscount.search.candidates.candidates import Candidates

        return Candidates(self, n_candidates)

    def replace(
        self,
        *,
        out_channels: ByLayer | None = None,
        kernel_size: ByLayer | None = None,
        stride: ByLayer | None = None,
        groups: ByLayer | None = None,
        input_size: Values | None = None,
        batch: Values | None = None,
    ) -> Candidates:
        """Candidates of this network with other widths, windows or sizes; see `Candidates.change`.

        There are as many as the values have entries.

        Example: `table.replace(out_channels={"conv1": [8, 16, 32]}, input_size=160).count()`.

        Raises:
            InputError: As `Candidates.change`.
        """
        from bopscount.search.candidates.candidates import number_of_candidates

        n_candidates = number_of_candidates(
            out_channels, kernel_size, stride, groups, input_size, batch
        )
        return self.candidates(n_candidates).change(
            out_channels=out_channels,
            kernel_size=kernel_size,
            stride=stride,
            groups=groups,
            input_size=input_size,
            batch=batch,
        )

    def owner_path(self, owner: int) -> str:
        """Module path of a row, with its role in parentheses."""
        node, role = self.nodes[self.owners[owner].node], self.owners[owner].role
        if role == LEAF:
            return node.path
        return f"{node.path}.({role})" if node.path else f"({role})"


def check_rules(rules: str) -> str:
    """`rules`, or InputError."""
    if rules not in RULES:
        raise InputError(f"rules must be 'torchstat' or 'full', got {rules!r}")
    return rules


def name_layer(function: Any, table: LayerTable | None, *args: Any) -> Any:
    """Calls the core; its errors get the path of the layer they are about."""
    try:
        return function(*args)
    except (OverflowError, ValueError) as error:
        index = getattr(error, "layer_index", None)
        if index is None or table is None:
            raise
        owner = table.owner_path(int(table.records["owner"][index]))
        error.args = (f"{owner or 'the model'}: {error.args[0]}",)
        raise
