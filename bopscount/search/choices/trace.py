"""Choice tables from modules: the inputs of each slot, and the costs of each module at them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from bopscount.bits.by_path import Measure, UserBits, Widths, with_bits
from bopscount.errors import InputError, TraceError
from bopscount.records.rule_sets import check_rules
from bopscount.records.totals import METRIC_NAMES
from bopscount.records.uncounted import uncounted_ops
from bopscount.search.choices.slots import NO_STATE, ChoiceSlot
from bopscount.tracing.driver import Driver
from bopscount.tracing.inputs import ForwardCall, device_and_dtype
from bopscount.tracing.model import module_of
from bopscount.tracing.options import TraceOptions
from bopscount.tracing.recording import ValuesAsked, record
from bopscount.tracing.table import build_table

MAX_STATES = 4096
_PARAMETER_COLUMNS = [METRIC_NAMES.index("params"), METRIC_NAMES.index("logical_params")]


class Signal(NamedTuple):
    """Output of one slot, which is the input of the next.

    Attributes:
        shape: Shape of the tensor, batch included.
        dtype: Dtype of the tensor.
        bits: Bit width of its values, 0 if unknown.
    """

    shape: tuple[int, ...]
    dtype: torch.dtype
    bits: int

    def __str__(self) -> str:
        bits = f" and {self.bits} bits" if self.bits else ""
        return f"an input of shape {self.shape}, {self.dtype}{bits}"


class State(NamedTuple):
    """State of a slot, as left by the slots before it.

    Attributes:
        signal: Input of the slot.
        counted: Ids of the parameters that are counted already and shared with later slots.
    """

    signal: Signal
    counted: frozenset[int]


@dataclass(frozen=True, slots=True)
class _Traced:
    """Alternative traced at one input.

    Attributes:
        costs: Costs in the order of `METRIC_NAMES`.
        output: Output of the alternative; None in the last slot.
        notes: Sentences on ops without a rule, and on assumptions.
        why_not: Reason why it cannot take the input, "" if it can.
    """

    costs: tuple[int, ...] = (0,) * len(METRIC_NAMES)
    output: Signal | None = None
    notes: tuple[str, ...] = ()
    why_not: str = ""


def trace_slots(
    slots: Any, options: TraceOptions, rules: str
) -> tuple[Sequence[str], list[ChoiceSlot], list[str]]:
    """Return metrics, slots and notes; see `ChoiceTable.trace`."""
    check_rules(rules)
    modules = _modules_of(slots)
    first = next((module for row in modules for module in row if module is not None), nn.Identity())
    call = options.call_of(first)
    if len(call.args) != 1:
        raise InputError(
            f"input_size must be one shape, slots take one tensor, got {options.input_size!r}"
        )
    tracer = _Tracer(modules, call, options, rules)
    found = tracer.trace()
    return METRIC_NAMES, found, list(dict.fromkeys(tracer.notes))


def _modules_of(slots: Any) -> list[list[nn.Module | None]]:
    """Return the modules of every slot's alternatives; callables are called."""
    if not isinstance(slots, (list, tuple)) or not slots:
        raise InputError(
            "slots must be a list with a list of alternative modules for each slot, got "
            f"{'an empty one' if isinstance(slots, (list, tuple)) else type(slots).__name__}"
        )
    found: list[list[nn.Module | None]] = []
    for index, slot in enumerate(slots):
        several = isinstance(slot, (list, tuple, nn.ModuleList))
        alternatives = list(slot) if several else [slot]
        if not alternatives:
            raise InputError(f"slots must have one alternative at least, got none for slot {index}")
        row: list[nn.Module | None] = []
        for choice, given in enumerate(alternatives):
            try:
                row.append(None if given is None else module_of(given))
            except InputError as error:
                raise InputError(
                    f"slots must hold modules, callables that build one, or None to skip; slot "
                    f"{index}, alternative {choice}: {error}"
                ) from error
        found.append(row)
    return found


class _Tracer:
    """Tracer that follows the inputs from slot to slot."""

    def __init__(
        self,
        modules: list[list[nn.Module | None]],
        call: ForwardCall,
        options: TraceOptions,
        rules: str,
    ) -> None:
        self._modules, self._call, self._options, self._rules = modules, call, options, rules
        self._bits = None if options.bits is None else _PathBits(options.bits)
        self._traced: dict[Any, _Traced] = {}
        self._asked = ValuesAsked()
        self._shared = _Shared(modules)
        self.notes: list[str] = []

    def trace(self) -> list[ChoiceSlot]:
        tensor = self._call.args[0]
        states = [State(Signal(tuple(tensor.shape), tensor.dtype, 0), frozenset())]
        slots = []
        for index in range(len(self._modules)):
            slot, states = self._slot(index, states)
            slots.append(slot)
        if self._bits is not None:
            self._bits.check_all_matched()
        return slots

    def _slot(self, index: int, states: list[State]) -> tuple[ChoiceSlot, list[State]]:
        alternatives = self._modules[index]
        shape = len(states), len(alternatives)
        costs = np.zeros((*shape, len(METRIC_NAMES)), np.int64)
        next_states = np.full(shape, NO_STATE, np.int32)
        reasons: dict[tuple[int, int], str] = {}
        following: dict[State | None, int] = {}
        for (at, choice), _ in np.ndenumerate(next_states):
            state, module = states[at], alternatives[choice]
            traced = self._alternative(index, choice, state.signal)
            if traced.why_not:
                reasons[at, choice] = traced.why_not
                continue
            self.notes += traced.notes
            counted = self._shared.parameters_counted(module, state.counted)
            row = [
                cost - counted if column in _PARAMETER_COLUMNS else cost
                for column, cost in enumerate(traced.costs)
            ]
            _check_fit(row, index, choice)
            costs[at, choice] = row
            beyond = None
            if traced.output is not None:
                beyond = State(traced.output, self._shared.after(index, module, state.counted))
            next_states[at, choice] = following.setdefault(beyond, len(following))
        if not following:
            where, reason = next(iter(reasons.items()))
            raise InputError(
                f"slots must fit each other, but no alternative of slot {index} can take what "
                f"reaches it, such as {states[where[0]].signal}: {reason}"
            )
        if len(following) > MAX_STATES:
            raise InputError(
                f"slots may hand on up to {MAX_STATES} different inputs, or choices of modules "
                f"that share parameters with later slots; after slot {index} there are more"
            )
        inputs = tuple(str(state.signal) for state in states)
        return ChoiceSlot(costs, next_states, inputs, reasons), list(following)  # type: ignore[arg-type]

    def _alternative(self, index: int, choice: int, signal: Signal) -> _Traced:
        """Trace once per module and input; per position, too, if the user gives bit widths."""
        module, is_last = self._modules[index][choice], index == len(self._modules) - 1
        if module is None:
            return _Traced(output=None if is_last else signal)
        key = (id(module), signal, is_last, (index, choice) if self._bits else None)
        if key not in self._traced:
            self._traced[key] = self._trace_one(module, index, choice, signal, is_last)
        return self._traced[key]

    def _trace_one(
        self, module: nn.Module, index: int, choice: int, signal: Signal, is_last: bool
    ) -> _Traced:
        outputs: list[Any] = []

        def forward(driver: Driver, args: Any, kwargs: Any) -> None:
            if signal.bits:
                driver.tracer.set_bits(args[0], signal.bits)
            output = driver.model(*args, **kwargs)
            outputs[:] = [output]
            if isinstance(output, Tensor):
                bits = driver.tracer.bits_of(output)
                outputs[:] = [Signal(tuple(output.shape), output.dtype, bits)]

        name = f"slot {index}, alternative {choice}"
        try:
            driver = record(
                module, self._input(module, index, signal), self._asked, run=self._options.run,
                training=self._options.training, forward=forward,
            )  # fmt: skip
        except TraceError as error:
            return _Traced(why_not=str(error))
        output = outputs[0]
        if not is_last and not isinstance(output, Signal):
            raise InputError(
                f"slots must return one tensor, which the next one takes; {name} returns "
                f"{type(output).__name__}"
            )
        table = build_table(driver.tracer, batch_size=self._call.batch_size)
        missing = uncounted_ops(table)
        if missing and self._options.strict:
            raise TraceError(f"{name}: {missing[0].op} has no rule; strict=False counts the rest")
        if self._bits is not None:
            table = with_bits(table, self._bits.at(index, choice), module)
        notes = [f"{op.op} has no rule and is not counted" for op in missing]
        notes += driver.assumptions
        if driver.real:
            notes.append("what it does depends on values, so it was run once")
        return _Traced(
            table.totals(self._rules).costs(),
            None if is_last else output,
            tuple(f"{name}: {note}" for note in notes),
        )

    def _input(self, module: nn.Module, index: int, signal: Signal) -> ForwardCall:
        """Return the given input for the first slot, a meta tensor of the signal for others."""
        device, _ = device_and_dtype(module)
        first = self._call.args[0]
        if index == 0:
            tensor = first
        else:
            tensor = torch.empty(signal.shape, dtype=signal.dtype, device="meta")
        return ForwardCall((tensor,), {}, self._call.batch_size, device)


class _Shared:
    """Parameters shared by alternatives of several slots, each to be counted once.

    Parameters are identified by id. The ids that are counted already are part of a slot's
    state, as long as a later slot shares them.
    """

    def __init__(self, modules: list[list[nn.Module | None]]) -> None:
        self._elements: dict[int, int] = {}
        self._of: dict[int, frozenset[int]] = {id(None): frozenset()}
        for module in (module for row in modules for module in row if module is not None):
            own = [parameter for parameter in module.parameters() if not is_lazy(parameter)]
            self._elements.update((id(parameter), parameter.numel()) for parameter in own)
            self._of[id(module)] = frozenset(map(id, own))
        in_slots = [frozenset().union(*(self._of[id(module)] for module in row)) for row in modules]
        self._later = [frozenset().union(*in_slots[index + 1 :]) for index in range(len(modules))]

    def parameters_counted(self, module: nn.Module | None, counted: frozenset[int]) -> int:
        """Return the number of a module's parameters that earlier slots have counted."""
        return sum(self._elements[key] for key in self._of[id(module)] & counted)

    def after(
        self, index: int, module: nn.Module | None, counted: frozenset[int]
    ) -> frozenset[int]:
        """Return the ids counted after slot `index` that later slots share."""
        return (counted | self._of[id(module)]) & self._later[index]


class _PathBits:
    """User-given bit widths, by "<slot>.<alternative>.<path in the module>"."""

    def __init__(self, bits: UserBits) -> None:
        if not callable(bits) and not isinstance(bits, Mapping):
            raise InputError(
                "bits must be a dict of path patterns to (weight bits, input bits), or a callable "
                f"(path, module) that returns such a pair or None, got {type(bits).__name__}"
            )
        self._bits = bits
        self._unmatched = set() if callable(bits) else set(bits)

    def at(self, index: int, choice: int) -> Callable[[str, nn.Module], Widths | Measure | None]:
        """Return the bit widths of one alternative, as `with_bits` takes them."""

        def widths(path: str, module: nn.Module) -> Widths | Measure | None:
            whole = f"{index}.{choice}.{path}" if path else f"{index}.{choice}"
            if callable(self._bits):
                return self._bits(whole, module)
            found = None
            for pattern, pair in self._bits.items():
                if fnmatchcase(whole, pattern):
                    self._unmatched.discard(pattern)
                    found = pair
            return found

        return widths

    def check_all_matched(self) -> None:
        """Raise InputError if a pattern matched no path."""
        if self._unmatched:
            raise InputError(
                f"bits[{min(self._unmatched)!r}] matches no layer with MACs; paths are "
                "<slot>.<alternative>.<path in the module>, such as '3.0.conv1'"
            )


def _check_fit(row: list[int], index: int, choice: int) -> None:
    for metric, cost in zip(METRIC_NAMES, row, strict=True):
        if cost > np.iinfo(np.int64).max:
            raise OverflowError(f"{metric} of slot {index}, alternative {choice} is over 2**63 - 1")
