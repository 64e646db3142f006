"""Choice tables: costs of candidates that choose one alternative per slot."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from math import isfinite
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from bopscount.errors import InputError
from bopscount.records.metrics import check_metrics
from bopscount.search.choices.costs import slots_from_costs
from bopscount.search.choices.counting import Counter, check_rows
from bopscount.search.choices.samples import (
    Budget,
    NothingFoundError,
    Sampler,
    budget_of,
)
from bopscount.search.choices.slots import (
    ChoiceSlot,
    best_path,
    count_paths,
    slot_from_dict,
    slot_to_dict,
)
from bopscount.search.threads import thread_count

if TYPE_CHECKING:
    import torch

_OPS, _OPS_X64, _SCALE = "ops", "ops_x64", 64
_FEW = 4096
"""Number of candidates up to which one thread is the default."""


class ChoiceTable:
    """Slots x alternatives with costs, for single-path and once-for-all search spaces.

    A network is a chain of slots with several alternatives each; a candidate is one alternative
    number per slot. Built by `ChoiceTable.trace` from modules, or by `ChoiceTable.from_costs`
    from numbers; needs no torch afterwards, and can be pickled.

    Attributes:
        metrics: Names of the metrics, in order; "ops" is available along with "ops_x64".
        slots: Costs and states of each slot.
        notes: Sentences on ops without a rule, and on assumptions.

    Example: `ChoiceTable.from_costs({"macs": [[1, 2], [10, 20, 30]]}).count([[1, 2]])` is
    {"macs": array([32])}.
    """

    def __init__(
        self, metrics: Sequence[str], slots: Sequence[ChoiceSlot], notes: Sequence[str] = ()
    ) -> None:
        self.metrics, self.slots, self.notes = tuple(metrics), tuple(slots), tuple(notes)
        self.n_candidates: int = count_paths(self.slots)
        """Number of candidates that can be run."""
        if self.n_candidates == 0:
            reasons = [reason for slot in self.slots for reason in slot.reasons.values()]
            raise InputError(f"slots have no candidate that can be run: {reasons[0]}")
        self._counter = Counter(self.metrics, self.slots)
        self._sampler: tuple[Any, Sampler] | None = None

    @classmethod
    def from_costs(cls, costs: Mapping[str, Any]) -> ChoiceTable:
        """Build a table from numbers.

        Args:
            costs: For each metric an array of shape (n_slots, n_alternatives), or a sequence
                of n_slots sequences if slots differ in length: integers of at least 0. A
                metric is one of `Totals` or any other name, such as "energy_nj".

        Raises:
            InputError: For invalid costs, naming metric, slot and value.
        """
        return cls(tuple(costs), slots_from_costs(costs))

    @classmethod
    def trace(
        cls,
        slots: Sequence[Any],
        input_size: Any,
        *,
        batch_size: int = 1,
        dtype: torch.dtype | None = None,
        rules: str = "torchstat",
        training: bool = False,
        run: str = "auto",
        strict: bool = False,
        bits: Any = None,
    ) -> ChoiceTable:
        """Build a table from modules, each traced at the inputs that reach its slot.

        A candidate costs the same as `scan(nn.Sequential(*chosen), input_size)`. If alternatives
        of a slot return different shapes, dtypes or bit widths, those of later slots are traced
        for each of them, once per module and input. Parameters that several slots share are
        counted where they are chosen first.

        Args:
            slots: For each slot a list of alternatives: modules, callables that build one
                (see `scan`), or None to skip the slot. A module alone is a slot without a choice.
            input_size: Shape of one sample of the first slot's input, (3, 224, 224).
            batch_size: Number of samples.
            dtype: Dtype of the first slot's input; by default that of the first parameters.
            rules: "torchstat" or "full".
            training: See `bopscount.trace`.
            run: See `bopscount.trace`.
            strict: Raise TraceError for an op without a rule, instead of listing it in `notes`.
            bits: Known bit widths, by glob patterns of "<slot>.<alternative>.<path in the
                module>" such as "*.conv2", or a callable; see `bopscount.trace`.

        Raises:
            InputError: For an invalid argument, or if no candidate can be run. An alternative
                that cannot take one of the inputs is an error once it is chosen.
            TraceError: Under `strict`, for an op without a rule.
        """
        from bopscount.search.choices.trace import trace_slots
        from bopscount.tracing.options import TraceOptions

        options = TraceOptions(
            input_size=input_size, batch_size=batch_size, dtype=dtype, training=training, run=run,
            strict=strict, bits=bits,
        )  # fmt: skip
        return cls(*trace_slots(slots, options, rules))

    @property
    def n_slots(self) -> int:
        """Number of slots."""
        return len(self.slots)

    @property
    def n_alternatives(self) -> tuple[int, ...]:
        """Number of alternatives of each slot."""
        return tuple(slot.n_alternatives for slot in self.slots)

    def __repr__(self) -> str:
        return (
            f"<ChoiceTable of {self.n_slots} slots, {self.n_candidates:,} candidates, "
            f"metrics {', '.join(self.metrics)}>"
        )

    # --- counting ----------------------------------------------------------

    def count(
        self,
        choices: Any,
        metrics: str | Sequence[str] | None = None,
        *,
        n_threads: int | None = None,
        python_ints: bool = False,
        out: Mapping[str, npt.NDArray[np.int64]] | None = None,
    ) -> dict[str, npt.NDArray[Any]]:
        """Count very many candidates.

        Args:
            choices: Numbers of the chosen alternatives, from 0: integers of any type, of shape
                (n_candidates, n_slots), or (n_slots,) for one candidate. Read in place with any
                strides, also if memory-mapped; uint8 is fastest.
            metrics: A name or names of metrics; all of `metrics` by default.
            n_threads: Number of threads, by default all available cores. Results do not
                depend on it.
            python_ints: Return arbitrary-precision Python integers (dtype object).
            out: int64 arrays of n_candidates to fill, by metric, instead of new ones.

        Returns:
            An array of n_candidates exact integers for each metric; "ops" is "ops_x64" / 64 in
            float64.

        Raises:
            InputError: For an invalid argument; for a choice that is out of range or cannot
                take the input that reaches its slot, naming candidate and slot.
            OverflowError: If a sum is over 2**63 - 1 and python_ints is False.
        """
        names = check_metrics(metrics, self._known, default=self.metrics)
        _check_out(out, names, python_ints)
        rows = check_rows(choices, self.n_slots)
        threads = 1 if n_threads is None and len(rows) <= _FEW else thread_count(n_threads)
        stored = names
        if _OPS in names:
            stored = tuple(dict.fromkeys(_OPS_X64 if name == _OPS else name for name in names))
        if python_ints:
            arrays: list[npt.NDArray[Any]] = [
                self._counter.count_python_ints(rows, name, threads) for name in stored
            ]
        else:
            given, n = out or {}, len(rows)
            arrays = [given[name] if name in given else np.empty(n, np.int64) for name in stored]
            self._counter.count(rows, stored, threads, arrays)
        found = dict(zip(stored, arrays, strict=True))
        if _OPS not in names:
            return found
        found[_OPS] = np.asarray(found[_OPS_X64] / _SCALE, np.float64)
        return {name: found[name] for name in names}

    @property
    def _known(self) -> tuple[str, ...]:
        """Names that `metrics=` and `metric=` take."""
        return (*self.metrics, *([_OPS] if _OPS_X64 in self.metrics else []))

    def _check_metric(self, name: Any) -> tuple[int, int]:
        """Return the index of a metric, and the divisor of its sums."""
        if name == _OPS and _OPS_X64 in self.metrics:
            return self.metrics.index(_OPS_X64), _SCALE
        if name not in self.metrics:
            raise InputError(f"metric must be one of {', '.join(self._known)}, got {name!r}")
        return self.metrics.index(name), 1

    # --- searching ---------------------------------------------------------

    def cheapest(self, metric: str) -> tuple[npt.NDArray[Any], int | float]:
        """Return the cheapest candidate, exactly, and its cost.

        Args:
            metric: One of `metrics`, or "ops".

        Returns:
            Choices of shape (n_slots,), the first on ties; their cost as a Python integer
            ("ops" as a float).

        Raises:
            InputError: For a metric that the table does not have.
        """
        return self._best(metric, 1)

    def dearest(self, metric: str) -> tuple[npt.NDArray[Any], int | float]:
        """Return the most expensive candidate and its cost; see `cheapest`."""
        return self._best(metric, -1)

    def _best(self, metric: str, sign: int) -> tuple[npt.NDArray[Any], int | float]:
        index, scale = self._check_metric(metric)
        choices, cost = best_path(self.slots, index, sign)
        return np.array(choices, self._choice_dtype), cost if scale == 1 else cost / scale

    @property
    def _choice_dtype(self) -> type:
        return np.uint8 if max(self.n_alternatives) <= 1 << 8 else np.int64

    def expected(
        self,
        logits: torch.Tensor | Sequence[torch.Tensor] | None = None,
        *,
        probabilities: torch.Tensor | Sequence[torch.Tensor] | None = None,
        metric: str = _OPS,
    ) -> torch.Tensor:
        """Return the expected cost if each slot chooses independently, for gradient-based search.

        Exact up to rounding, also if alternatives return different shapes, and differentiable
        by torch.

        Args:
            logits: Logits of shape (n_slots, n_alternatives), or a sequence of one tensor per
                slot; their softmax gives the probabilities.
            probabilities: Probabilities instead of logits; each slot's add up to 1.
            metric: One of `metrics`, or "ops": full-precision MACs + Bops / 64.

        Returns:
            A scalar in float64 (on devices without it, in the tensors' own dtype).

        Raises:
            InputError: For an invalid argument; if an alternative has a non-zero probability
                with an input that it cannot take.
        """
        index, scale = self._check_metric(metric)
        if (logits is None) == (probabilities is None):
            both = "neither" if logits is None else "both"
            raise InputError(f"give either logits or probabilities, got {both}")
        from bopscount.search.choices.expectation import expected_cost

        given = probabilities if logits is None else logits
        total = expected_cost(self.slots, index, given, logits is not None)
        return total if scale == 1 else total / scale

    def sample(
        self,
        n: int,
        *,
        rng: np.random.Generator | int | None = None,
        **budgets: float,
    ) -> npt.NDArray[Any]:
        """Draw independent candidates uniformly from all within budgets.

        Args:
            n: Number of candidates.
            rng: NumPy Generator, or a seed.
            budgets: Budgets named "max_" plus a metric's name, such as
                `max_bops=10**9, max_params=5_000_000`.

        Returns:
            Choices of shape (n, n_slots), uint8 if no slot has over 256 alternatives.

        Raises:
            InputError: For an invalid argument; if no candidate is within the budgets, naming
                the cheapest possible; if several budgets are so tight together that a quarter
                of a million draws near them were all rejected.
        """
        if type(n) is not int or n < 0:
            raise InputError(f"n must be a whole number of at least 0, got {n!r}")
        try:
            generator = np.random.default_rng(rng)
        except (TypeError, ValueError) as error:
            raise InputError(f"rng must be a numpy Generator or a seed, got {rng!r}") from error
        limits = {name: self._limit(name, value) for name, value in budgets.items()}
        key = tuple(sorted(limits.items()))
        try:
            if self._sampler is None or self._sampler[0] != key:
                self._sampler = key, Sampler(self.slots, self._budgets(limits))
            drawn = self._sampler[1].draw(n, generator)
            return drawn.astype(self._choice_dtype)
        except NothingFoundError:
            asked = ", ".join(f"{name}={value!r}" for name, value in budgets.items())
            cheapest = ", ".join(
                f"{name} {self.cheapest(name.removeprefix('max_'))[1]:,}" for name in budgets
            )
            raise InputError(
                f"no candidate was found within {asked}; the cheapest possible, each by itself: "
                f"{cheapest}"
            ) from None

    def _limit(self, name: str, value: Any) -> tuple[int, int]:
        """Return (metric index, budget) of a keyword."""
        if not name.startswith("max_"):
            raise InputError(f"sample takes budgets such as max_macs=, got {name}=")
        index, scale = self._check_metric(name.removeprefix("max_"))
        try:
            number = value if isinstance(value, int) else float(value)
        except (TypeError, ValueError):
            number = float("nan")
        if isinstance(value, bool) or not isfinite(number):
            raise InputError(f"{name} must be a number, got {value!r}")
        return index, int(Fraction(number) * scale // 1)

    def _budgets(self, limits: Mapping[str, tuple[int, int]]) -> list[Budget]:
        found = [budget_of(self.slots, *limit) for limit in limits.values()]
        return [budget for budget in found if budget is not None]

    # --- as data -----------------------------------------------------------

    def to_dict(self) -> dict[str, Any]:
        """Return the table as plain data; `from_dict` reverses it."""
        return {
            "metrics": list(self.metrics),
            "slots": [slot_to_dict(slot) for slot in self.slots],
            "notes": list(self.notes),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> ChoiceTable:
        """Return the table of a `to_dict` result."""
        return cls(data["metrics"], [slot_from_dict(slot) for slot in data["slots"]], data["notes"])

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle without the prepared counter and sampler."""
        return type(self), (self.metrics, self.slots, self.notes)


def _check_out(out: Any, names: Sequence[str], python_ints: bool) -> None:
    if out is None:
        return
    if not isinstance(out, Mapping) or python_ints:
        raise InputError(
            "out must be a dict of metric -> int64 array, without python_ints, got "
            f"{type(out).__name__}{' and python_ints' * python_ints}"
        )
    for name in out:
        if name not in names or name == _OPS:
            raise InputError(f"out has {name!r}, which is not counted as an integer")
