"""Recorded layers of one model, with their names."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

import bopscount._core as _core
from bopscount.errors import InputError
from bopscount.records.kinds import KIND_NAMES
from bopscount.records.modules import Node
from bopscount.records.nonzero import check_zeros_known
from bopscount.records.rule_sets import check_rules
from bopscount.records.totals import Totals

if TYPE_CHECKING:
    from typing_extensions import Self

LEAF = ""
"""Role of an owner that is a leaf module itself."""


@dataclass(frozen=True, slots=True)
class Owner:
    """Owner of a record: a leaf module, or a parenthesised row of an inner module.

    Attributes:
        node: Index of the module in `Records.nodes`.
        role: "" for a leaf module, else "parameters", "functional", or a MAC op's kind.
    """

    node: int
    role: str


@dataclass(slots=True, repr=False)
class Records:
    """Recorded layers of one model at one input; needs no torch and can be pickled.

    Attributes:
        records: One record per executed op, of `LAYER_DTYPE`.
        owners: Owners in row order, indexed by `records["owner"]`.
        nodes: Modules of the model, in module order.
        input_shapes: Shape of each record's first operand, batch included.
        output_shapes: Shape of each record's output, batch included.
        ops: Torch name of each record's op ("conv2d", "aten.add.Tensor").
        producers: Indices of the records that made the operands of record i, -1 for inputs,
            parameters and constants: `producers[producer_starts[i]:producer_starts[i + 1]]`.
        producer_starts: Start of each record's operands in `producers`, and the end of the last.
        input_numbers: Number of the model's tensor input that each operand is or views, -1 for
            none; laid out as `producers`.
        viewed: Whether each operand is a view of a produced tensor, possibly transposed, sliced
            or reshaped; laid out as `producers`.
        network_inputs: Shapes of the model's tensor inputs, batch included.
        batch_size: Samples in the input; the memory(MB) column is per sample.
        ran_model: Whether the model's arithmetic was run.
        notes: Footnotes for every table of this model.
        trainable_params: Registered parameters that require a gradient; None if unknown.
        assumptions: Sentences on values that could not be read, and the assumed ones.
        warnings: Sentences on contradictory values, and the counted ones.
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
            f"<{type(self).__name__} of {len(self)} records, {len(self.nodes)} modules, batch size "
            f"{self.batch_size}; count it with bopscount.count>"
        )

    @classmethod
    def from_array(cls, array: Any) -> Self:
        """Return records around a bare array, each owner being a leaf "layer <owner>".

        Args:
            array: One-dimensional, C-contiguous, of `LAYER_DTYPE`; owners are numbered from 0
                without gaps.

        Raises:
            InputError: For any other array.
        """
        if not isinstance(array, np.ndarray) or array.dtype != _core.LAYER_DTYPE:
            raise InputError(
                "layers must be a LayerTable or a numpy array of bopscount.LAYER_DTYPE, "
                f"got {getattr(array, 'dtype', type(array).__name__)}"
            )
        if array.ndim != 1 or not array.flags.c_contiguous:
            raise InputError("layers must be one-dimensional and C-contiguous")
        owners = array["owner"]
        if len(owners) and owners.min() < 0:
            raise InputError(f"layers must have owners of 0 and more, got {owners.min()}")
        n_owners = int(owners.max()) + 1 if len(owners) else 0
        if n_owners > max(1, len(owners)):
            raise InputError(
                f"layers must have owners numbered without gaps, got {n_owners - 1} "
                f"for {len(owners)} records"
            )
        nodes = [Node("", "layers", -1, 2 if n_owners else 1, not n_owners, 1)]
        nodes += [Node(f"layer {index}", "layer", 0, 1, True, 1) for index in range(n_owners)]
        kind_names = [
            KIND_NAMES[kind] if kind < len(KIND_NAMES) else "invalid" for kind in array["kind"]
        ]
        return cls(
            records=array,
            owners=[Owner(index + 1, LEAF) for index in range(n_owners)],
            nodes=nodes,
            input_shapes=_shapes(array, "in"),
            output_shapes=_shapes(array, "out"),
            ops=kind_names,
        )

    def totals(self, rules: str = "torchstat", discount_zeros: bool = False) -> Totals:
        """Return exact sums over all layers, optionally without the costs of zero weights.

        Raises:
            InputError: If zeros are to be discounted and the table does not know them.
        """
        if discount_zeros:
            check_zeros_known(self)
        return Totals(
            *name_layer(_core.count_totals, self, self.records, check_rules(rules), discount_zeros)
        )

    def owner_path(self, owner: int) -> str:
        """Return the module path of a row, with its role in parentheses."""
        node, role = self.nodes[self.owners[owner].node], self.owners[owner].role
        if role == LEAF:
            return node.path
        return f"{node.path}.({role})" if node.path else f"({role})"


def as_records(layers: Records | Any) -> Records:
    """Return `layers` if they are records, else wrap a bare array (see `from_array`)."""
    return layers if isinstance(layers, Records) else Records.from_array(layers)


def _shapes(records: Any, side: str) -> list[tuple[int, ...]]:
    columns = (records["batch"], records[f"{side}_channels"], records[f"{side}_positions"])
    return list(zip(*(column.tolist() for column in columns), strict=True))


def name_layer(function: Any, records: Records | None, *args: Any, **options: Any) -> Any:
    """Call a function of the core and name the layer in its errors.

    Raises:
        InputError: If a record cannot be counted.
        OverflowError: If a cost of a layer is over 2**63 - 1.
    """
    try:
        return function(*args, **options)
    except (OverflowError, ValueError) as error:
        index = getattr(error, "layer_index", None)
        if index is None or records is None:
            raise
        owner = records.owner_path(int(records.records["owner"][index]))
        text = f"{owner or 'the model'}: {error.args[0]}"
        if isinstance(error, ValueError):
            raise InputError(text) from None
        error.args = (text,)
        raise
