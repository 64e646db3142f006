"""The C++ core. Costs are exact: a cost that does not fit raises, nothing wraps."""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from bopscount.tracing.host import TraceHost

LAYER_DTYPE: Final[np.dtype[np.void]]
COST_DTYPE: Final[np.dtype[np.void]]
METRICS: Final[tuple[str, ...]]
KINDS: Final[dict[str, int]]
FULL_PRECISION: Final[int]
"""Bits of a float operand in every rule about bit widths, whatever its dtype."""
MAX_LOW_BITS: Final[int]
"""The most bits of an operand of a low-bit layer."""
MAX_BITS: Final[int]
"""The most bits of an operand that can be stated."""
BIT_SOURCES: Final[dict[str, int]]
LAYER_FLAGS: Final[dict[str, int]]
OP_TABLE: Final[tuple[dict[str, str], ...]]
"""Row i of the op table describes kind i: what the op is and costs, and how it behaves.

- `name`, `doc`, `source`: what the op is, and where its formulas come from.
- `macs`, `full_flops`, `full_madd`, `torchstat_flops`, `torchstat_madd`, `torchstat_read`,
  `torchstat_write`, `backward`: formulas; "" where there is none.
- `shape`: how the output's shape follows from the first operand's ("same", "product", "window",
  "adaptive", "resize", "reduce", "by_rule").
- `axis`: where the channels are ("channels_first", "last", "any").
- `weights`: how many weights there are ("none", "per_channel", "trailing", "product", "operand",
  "by_rule").
- `keeps_bits`: "yes" where the output has the bit width of the input, else "".
- `saves`: what autograd keeps for the backward pass ("none", "input", "output", "both", "mask",
  "statistics"; "" where it is not stated).

Words and formulas are explained in csrc/core/op_table.hpp and docs/counting.md.
"""
LEAF_RULES: Final[tuple[str, ...]]
build_type: Final[str]

def new_layers(n_layers: int) -> NDArray[np.void]:
    """An array of n_layers records of LAYER_DTYPE, every field at its default."""

def layer_costs(
    layers: NDArray[np.void],
    rules: str = "torchstat",
    out: NDArray[np.void] | None = None,
    discount_zeros: bool = False,
) -> NDArray[np.void]:
    """Return the costs of every record as an array of COST_DTYPE (`out` if given).

    With `discount_zeros` a record of a kind of weights "product" whose `nonzero_weights` are
    known (0 or more) costs what these weights cost.
    """

def count_totals(
    layers: NDArray[np.void], rules: str = "torchstat", discount_zeros: bool = False
) -> tuple[int, ...]:
    """Return exact sums over all records, one int per metric in the order of METRICS."""

def count_groups(
    layers: NDArray[np.void],
    groups: NDArray[np.int32],
    n_groups: int,
    rules: str = "torchstat",
    discount_zeros: bool = False,
) -> list[tuple[int, ...]]:
    """Return exact sums by group: record i belongs to groups[i] (int32), or to none at -1."""

def count_candidates(
    records: NDArray[np.void],
    rules: str,
    metrics: tuple[Any, ...],
    n_threads: int,
    python_ints: bool = False,
) -> list[Any]:
    """Sums over each row of records: one int64 array, or list of ints, a metric."""

def changed_shapes(
    layers: NDArray[np.void], spatial: int, inputs: NDArray[np.int64]
) -> tuple[Any, ...]:
    """Output shapes (n, rank) of windowed and linear layers, and the first that does not fit."""

def set_sizes(
    layers: NDArray[np.void],
    inputs: NDArray[np.int64],
    outputs: NDArray[np.int64],
    channel_axis: int,
    batched: bool,
) -> int:
    """Sets the sizes of records from shapes (n, rank); the first that cannot be counted, or -1."""

def empty_call() -> None:
    """Does nothing; what a call into the core costs."""

def torch_function() -> Any:
    """Return the method that is a function mode's __torch_function__."""

def handle_torch_function(public_api: Any, relevant_args: Any, *args: Any, **kwargs: Any) -> Any:
    """Answer for the active tracer; without one, as torch.overrides.handle_torch_function."""

def emit(
    kind: int,
    op: str,
    operands: tuple[Any, ...],
    shape: object | None = None,
    dtype: object | None = None,
    *,
    channel_axis: int = ...,
    batched: bool = True,
    fields: dict[str, Any] | None = None,
    into: object | None = None,
) -> Any:
    """Record an op; return `into`, or a new meta tensor of `shape`, or None.

    Sizes follow from the first operand's shape, the output's, and `channel_axis`: 1 or -1, by
    default what the kind's row says; for kinds of vectors such as softmax the dimension of the
    vectors. Those of a matrix product follow from both operands. `fields` go before all that.
    """

def alias(tensor: object, base: object) -> None:
    """Record that `tensor` is a view of `base`, or `base` itself."""

def answer(
    rule: int,
    op: str,
    input: object,
    attributes: dict[Any, Any],
    weight: object | None = None,
    bias: object | None = None,
    dtype: object | None = None,
    others: tuple[Any, ...] | None = None,
) -> Any:
    """Return the output by the leaf rule for a module with such attributes, recorded, or None.

    The output has the input's dtype unless `dtype` is given; `others` are further operands.
    """

def broadcast_shape(left: tuple[int, ...], right: tuple[int, ...]) -> tuple[int, ...] | None:
    """Return the shape that two shapes broadcast to, or None if they do not."""

class BitSearch:
    """Sums over layers for rows of bit widths."""

    def __init__(
        self, columns: list[str], weights_vary: bool, inputs_vary: bool, portable: bool = False
    ) -> None:
        """Columns by name; an operand that does not vary keeps its widths."""
    def add_layers(
        self,
        layers: NDArray[np.void],
        columns: NDArray[np.int32],
        rules: str,
        metrics: list[str],
    ) -> None:
        """Appends a sum a metric: of all layers, layer i at the widths of columns[i]."""
    def add_sum(
        self,
        name: str,
        shift: int,
        constant: int,
        grids: list[tuple[NDArray[np.int64], NDArray[np.int64]]],
    ) -> None:
        """Appends (constant + the sum of scale * cells[w - 1, a - 1]) / 2**shift, rounded up."""
    @property
    def sums(self) -> list[str]:
        """The names of the sums."""
    def count(
        self,
        weight_bits: NDArray[np.uint8] | None,
        input_bits: NDArray[np.uint8] | None,
        n_threads: int,
    ) -> list[NDArray[np.int64]]:
        """An int64 array a sum, of one entry a candidate."""
    def count_wide(
        self,
        weight_bits: NDArray[np.uint8] | None,
        input_bits: NDArray[np.uint8] | None,
        begin: int,
        end: int,
        n_threads: int,
    ) -> tuple[list[NDArray[np.int64]], list[NDArray[np.uint64]]]:
        """Of candidates from begin to end, for sums of any size."""

class Snapshot:
    """The contents of a model's modules."""

    def __init__(self, model: object) -> None: ...
    def set_eval(self) -> None:
        """Set `training` of every module to False; `restore` undoes it."""
    def restore(self) -> None:
        """Put back whatever has changed."""

class Answers:
    """How the tracer answers each torch function; built once, for all traces."""

    def __init__(
        self,
        free: object,
        reshaping: object,
        views: object,
        makers: object,
        rules: dict[Any, Any],
        resizing: dict[Any, bool],
        fast: dict[Any, tuple[str, int, str, int]],
        entry_points: list[tuple[Any, Any, bool]],
        plain_types: set[type],
    ) -> None: ...

class Tracer:
    """The tracer of one model in one thread."""

    def __init__(self, host: TraceHost, answers: Answers, real: bool) -> None: ...
    def walk(self, model: object) -> None:
        """List the model's modules, parents before children."""
    def run(
        self,
        model: object,
        body: object,
        tidy: object,
        mode: object,
        patches: list[Any],
        training: bool,
    ) -> None:
        """Run body() under the tracer, then, whatever happened, tidy()."""
    def release(self) -> None:
        """Drop the host, the tensors and the errors of a trace that is over."""
    @property
    def node(self) -> int:
        """Index of the module that runs now."""
    def __len__(self) -> int: ...
    def input(self, tensor: object) -> None:
        """Record that a tensor is the network's next input; before anything else is recorded."""
    @property
    def n_products(self) -> int:
        """Number of records with MACs."""
    def another(self, shape: object, dtype: object) -> Any:
        """Return a further output of the last record."""
    def set_bits(self, tensor: object, bits: int) -> None:
        """Set the bit width of a tensor's values."""
    def bits_of(self, tensor: object) -> int:
        """Return the bit width of a tensor's values, or 0 if unknown."""
    def rewrite(self, mark: int, fields: dict[Any, Any]) -> int:
        """Keep the products since `mark`, or else the look-ups, with `fields`; their number."""
    def producer_of(self, tensor: object) -> int:
        """Return the index of the record that made a tensor, -1 for an input or constant."""
    def totals(self, rules: str = "torchstat") -> tuple[int, ...]:
        """Return exact sums so far, parameters included."""
    def finish(self) -> dict[str, Any]:
        """Return everything recorded, as data for a LayerTable."""
    def failure(self) -> Any:
        """Return (node, input shapes) of the module that raised, or None."""
    def path(self, node: int) -> str:
        """Return the dotted path of a module."""

class ChoiceTable:
    """Slots of alternatives with costs; a row a pair of state and choice."""

    def __init__(
        self,
        n_states: NDArray[np.int64],
        n_choices: NDArray[np.int64],
        next_states: NDArray[np.int32],
        costs: NDArray[np.int64],
    ) -> None: ...
    def count(
        self, choices: NDArray[Any], out: list[Any], n_threads: int = 1, kernel: str = "best"
    ) -> None:
        """Writes every candidate's sums to the int64 arrays in `out`, one a metric."""
