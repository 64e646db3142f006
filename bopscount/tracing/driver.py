"""Runs one forward call under the tracer, on meta tensors or for real.

Modules are answered or entered by the core's Tracer (their classes' `__call__`);
torch functions called in between come in through a TorchFunctionMode and are answered
by a rule of `functions`, or else run by torch itself, on meta, under a dispatch mode
that sees every ATen op.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from threading import RLock, get_ident
from typing import Any

import torch
from torch import Tensor, nn
from torch._C._functorch import is_functorch_wrapped_tensor

import bopscount._core as _core
from bopscount.bits.adapters import adapter_for, at_path
from bopscount.bits.adapters.tensors import bits_of_product
from bopscount.bits.layer_bits import LayerBits
from bopscount.bits.registered_classes import rule_of
from bopscount.errors import TraceError
from bopscount.progress import progress_bar
from bopscount.tracing.classes import classify
from bopscount.tracing.emitter import Emitter
from bopscount.tracing.functions import ANSWERS
from bopscount.tracing.guard import (
    TensorGuard,
    arguments_kept,
    closing_modes,
    global_states,
    storage_key,
    untouched,
)
from bopscount.tracing.host import Rule
from bopscount.tracing.inputs import CONSTANT_ELEMENTS, ForwardCall, map_tensors, tensors_of
from bopscount.tracing.modes import FUNCTION_MODE, Dispatched, Guarded, handlers
from bopscount.tracing.registered import answer_by_shape, record_registered

TRACING = RLock()
"""One trace at a time in a process: class attributes and `training` flags are shared."""

_REGULAR = (Tensor, nn.Parameter)


MASK_ELEMENTS = 2**24
"""Up to this size a constant mask, often a small one expanded, is looked into."""


Forward = Callable[["Driver", Any, Any], Any]
"""Calls the driver's model with positional and keyword arguments, and may look at both ends."""
Watch = Callable[[int, Any, tuple[Any, ...]], None]
"""(number of the product's record among those of products, ATen op, its arguments)."""


class Driver:
    """One trace of one model, the `TraceHost` of its tracer.

    `watch` sees every ATen op of a run for real before it runs.

    Attributes:
        tracer: The core's recorder.
        real: Whether the model's arithmetic is run.
        keeps_values: Whether small tensors that the forward makes from shapes alone keep their
            values, for the forward may ask for them; drawing a mask for real is dear.
        dropped_values: Whether there was such a tensor, and it did not keep them.
    """

    def __init__(
        self,
        model: nn.Module,
        real: bool = False,
        keeps_values: bool = True,
        watch: Watch | None = None,
    ) -> None:
        self.model = model
        self.real = real
        self.keeps_values = keeps_values
        self.dropped_values = False
        self._watch = watch
        self._recorded_late = False
        self.assumptions: list[str] = []
        self.input_shapes: list[tuple[int, ...]] = []
        self._adapted: dict[int, LayerBits] = {}
        self._inner: dict[int, LayerBits] = {}
        self.tracer = _core.Tracer(self, ANSWERS, real)
        self.emitter = Emitter(self.tracer)
        self.tracer.walk(model)
        self.guard = TensorGuard(model)
        self._progress = progress_bar("recording by running", None, " ops") if real else None
        self._tainted: set[int | None] = set()
        self._metas: dict[int, tuple[Tensor, Tensor]] = {}
        self._originals: dict[int, Tensor] = {}

    def classify(self, cls: type[nn.Module]) -> tuple[bool, Any, bool, bool, bool]:
        """What a class of modules is to the tracer."""
        leaf, rule, *flags = classify(cls)
        if callable(rule):
            python_rule = rule

            def rule(module: nn.Module, args: Any, kwargs: Any) -> Any:
                return python_rule(self, module, args, kwargs)

        registered, sequential, adapted = flags
        return leaf, rule, registered, sequential, adapted

    def adapt(self, module: nn.Module, node: int) -> Any:
        """What an adapter says of a module: nothing, about one inside it, or a rule for it."""
        bits = self._inner.get(id(module))
        if bits is None:
            found = _ask_adapters(module)
            if found is None:
                return None
            bits, inner = found
            self.assumptions += at_path(bits, self.tracer.path(node)).assumptions
            if inner is not None:
                child = getattr(module, inner)
                self._inner[id(child)] = bits
                return child
        if bits.weight_bits is bits.input_bits is bits.output_bits is None:
            return None
        self._adapted[id(module)] = bits
        logical_params = -1 if bits.logical_params is None else bits.logical_params
        return self._by_shape if bits.by_shape else None, logical_params

    def _by_shape(self, module: nn.Module, args: Any, kwargs: Any) -> Any:
        return answer_by_shape(self, self._adapted[id(module)], module, args, kwargs)

    def rewrite(self, module: nn.Module, mark: int, given: Any, output: Any) -> None:
        """After a registered leaf, or a leaf that recorded nothing."""
        first = next((value for value in given if any(True for _ in tensors_of(value))), None)
        result = next(tensors_of(output), None)
        if first is None or result is None:
            return
        rule, bits, source = rule_of(module), self._adapted.get(id(module)), "adapter"
        if rule is not None:
            bits, source = rule.bits_of(module), rule.source
        if bits is not None:
            record_registered(
                self.emitter, bits, source, type(module).__name__, first, result, mark
            )
        else:
            operand = next(tensors_of(first))
            flags = _core.LAYER_FLAGS["unmoved"]
            self.emitter.add("identity", type(module).__name__, operand, result, flags=flags)

    def run(
        self, call: ForwardCall, training: bool = False, forward: Forward | None = None
    ) -> None:
        """Records one forward; the model is left as it was."""
        with TRACING:
            args, kwargs = call.args, call.kwargs
            restores = global_states()
            held = arguments_kept((args, kwargs), restores)
            if self.real:
                self.guard.given = (*tensors_of((args, kwargs)), *held)
                self.guard.watch()
            else:
                self.guard.given = tuple(held)
                args, kwargs = map_tensors(self._input, (args, kwargs))
            for tensor in {id(tensor): tensor for tensor in tensors_of((args, kwargs))}.values():
                self.tracer.input(tensor)
                self.input_shapes.append(tuple(tensor.shape))
            body = partial(self.model, *args, **kwargs)
            if forward is not None:
                body = partial(forward, self, args, kwargs)
            if self.real:
                body = partial(self._run_guarded, body)
            body = partial(closing_modes, body)
            restores.append(self.guard.restore)
            if self._progress is not None:
                restores.append(self._progress.close)

            def tidy() -> None:
                while restores:
                    restores[-1]()
                    restores.pop()

            try:
                patches = [self._scripted(), *handlers()]
                self.tracer.run(self.model, body, tidy, FUNCTION_MODE, patches, training)
            except Exception as error:
                raise self._explain(error) from error

    def _run_guarded(self, body: Callable[[], Any]) -> None:
        with Guarded(self.before_op):
            body()

    def before_op(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Before an ATen op of a run for real, recorded or not."""
        self.guard.before_op(func, args, kwargs)
        if self._watch is not None:
            # Rules record before torch runs what they are for; what has none is recorded after.
            self._watch(self.tracer.n_products - (not self._recorded_late), func, args)

    def _input(self, tensor: Tensor) -> Tensor:
        """Token ids and masks keep their values, everything else becomes meta."""
        floating = tensor.is_floating_point() or tensor.is_complex()
        if not floating and not tensor.is_meta and tensor.numel() <= CONSTANT_ELEMENTS:
            # A copy: the forward may write into it.
            known = self._metas.get(id(tensor))
            if known is None:
                known = self._metas[id(tensor)] = (tensor, tensor.clone())
            return known[1]
        return self.to_meta(tensor)

    def _scripted(self) -> tuple[Any, str, Any]:
        """A scripted function calls no Python that a mode could see: it falls back whole."""
        cls, thread = torch.jit.ScriptFunction, get_ident()
        original = cls.__call__

        def call(function: Any, *args: Any, **kwargs: Any) -> Any:
            if get_ident() != thread:
                return original(function, *args, **kwargs)
            with torch._C.DisableTorchFunction():
                return self.fall_back(partial(original, function), args, kwargs)

        return cls, "__call__", call

    def _explain(self, error: Exception) -> TraceError:
        node, shapes = self.tracer.failure() or (0, ())
        path = self.tracer.path(node)
        where = path or "the model"
        listed = ", ".join(str(tuple(shape)) for shape in shapes) or "none"
        return TraceError(
            f"{where} raised {type(error).__name__} in its forward: {error} "
            f"[input shapes {listed}]",
            path,
            tuple(tuple(shape) for shape in shapes),
        )

    # --- functions ---------------------------------------------------------

    def view(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """A view of a parameter, or of an argument that is given by name."""
        base = args[0] if args else next(tensors_of(kwargs))
        if isinstance(base, nn.Parameter) and args and not self.real:
            base = self.to_meta(base)
            args = (base, *args[1:])
        out = func(*args, **kwargs)
        for part in tensors_of(out):
            _core.alias(part, base)
        return out

    def constant(
        self, rule: Rule, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], elements: int
    ) -> Any:
        """A function of constants: recorded by its rule, and run, for its values may be asked."""
        large = elements > CONSTANT_ELEMENTS
        if large and func is Tensor.to:
            moved, named = _stay_here(func, args, kwargs)
            if func(*moved, **named) is args[0]:
                return args[0]  # no copy: a view of a small one stays a constant
        if large:
            args, kwargs = map_tensors(self.to_meta, (args, kwargs))
        recorded = rule(self, func, args, kwargs)
        if recorded is NotImplemented:
            return self.fall_back(func, args, kwargs)
        if isinstance(recorded, Tensor):
            if not recorded.is_meta:
                return recorded  # the rule has run it
            large = large or recorded.numel() > CONSTANT_ELEMENTS
        if large or _elements(recorded) > CONSTANT_ELEMENTS:
            return recorded
        args, kwargs = _stay_here(func, args, kwargs)
        return self.run_for_real(func, args, kwargs, recorded)

    def keep(self, tensor: Tensor) -> None:
        """Before a function changes a tensor's shape where it is."""
        self.guard.keep(tensor)

    def is_tainted(self, tensor: Tensor) -> bool:
        """Whether a constant was written into with what is none."""
        return bool(self._tainted) and storage_key(tensor) in self._tainted

    def _live(self, tensor: Tensor) -> bool:
        """Whether it depends on the input or is a parameter: no constant."""
        live = tensor.is_meta or isinstance(tensor, nn.Parameter)
        return live or self.is_tainted(tensor)

    def run_for_real(self, func: Any, args: Any, kwargs: Any, recorded: Any) -> Any:
        """Torch's own answer, which takes the place of the one that was recorded."""
        self._count_op()
        out = func(*args, **kwargs)
        if isinstance(out, Tensor) and isinstance(recorded, Tensor):
            _core.alias(out, recorded)
            return out
        for tensor, stand_in in zip(tensors_of(out), tensors_of(recorded), strict=False):
            _core.alias(tensor, stand_in)
        return out

    def _count_op(self) -> None:
        if self._progress is not None:
            self._progress.update()

    def ask_stand_in(self, cls: Any, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
        """What a class that stands for tensors makes of a function, on tensors that are seen."""
        with FUNCTION_MODE:
            return cls.__torch_function__(func, types, args, kwargs)

    def fall_back(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Torch's own answer, with its ATen ops recorded."""
        bits = bits_of_product(func, args)
        if not self.real:
            constant = not any(map(self._live, tensors_of((args, kwargs))))
            if not constant or _elements((args, kwargs)) > CONSTANT_ELEMENTS:
                self._taint(func, args)
                if func is Tensor.__getitem__:
                    args = (args[0], self._without_masks(*args))
                args, kwargs = map_tensors(self._to_meta_but_numbers, (args, kwargs))
            else:
                args, kwargs = _stay_here(func, args, kwargs)
        else:
            self._count_op()
        mark = len(self.tracer)
        late, self._recorded_late = self._recorded_late, True
        try:
            with Dispatched(self, stays=func in _MOVES):
                out = func(*args, **kwargs)
        finally:
            self._recorded_late = late
        if bits is not None:
            record_registered(self.emitter, bits, "dtype", func.__name__, args[0], out, mark)
        # Where torch hands an operand back, it is the caller's own.
        return self._originals.get(id(out), out) if isinstance(out, Tensor) else out

    def _to_meta_but_numbers(self, tensor: Tensor) -> Tensor:
        """Torch may take a constant integer for a size, and ask for its value."""
        number = tensor.dim() == 0 and not tensor.is_floating_point() and not tensor.is_complex()
        return tensor if number and not self._live(tensor) else self.to_meta(tensor)

    def _without_masks(self, x: Tensor, index: Any) -> Any:
        """An index by constant masks as one by numbers, whose shape does not ask for values."""
        given = index if isinstance(index, tuple) else (index,)
        parts: list[Any] = []
        at = 0
        for place, part in enumerate(given):
            if part is ...:
                used = sum(map(_dims_indexed, given[place + 1 :]))
                at = x.dim() - used
            mask = isinstance(part, Tensor) and part.dtype is torch.bool and part.dim()
            if mask and not self._live(part) and part.numel() <= MASK_ELEMENTS:
                if part.shape != x.shape[at : at + part.dim()]:
                    return index  # an error, which torch words
                parts.extend(part.nonzero(as_tuple=True))
            else:
                parts.append(part)
            at += _dims_indexed(part)
        return tuple(parts)

    def _taint(self, func: Any, args: tuple[Any, ...]) -> None:
        """A constant that is written into with what is not constant is none any more."""
        target = args[0] if args else None
        name = getattr(func, "__name__", "")
        writes = name.startswith(("__i", "__set")) or (name.endswith("_") and name[:2] != "__")
        if writes and isinstance(target, Tensor) and not target.is_meta:
            self._tainted.add(storage_key(target))

    def to_meta(self, tensor: Tensor) -> Tensor:
        """A meta tensor of the same shape, strides and dtype; the same one each time."""
        if tensor.is_meta:
            return tensor
        known = self._metas.get(id(tensor))
        if known is None:
            regular = type(tensor) in _REGULAR and tensor.layout is torch.strided
            if regular and not is_functorch_wrapped_tensor(tensor):
                meta = torch.empty_strided(
                    tensor.size(), tensor.stride(), dtype=tensor.dtype, device="meta"
                )
            else:
                meta = tensor.detach().to("meta")
            known = self._metas[id(tensor)] = (tensor, meta)
            self._originals[id(meta)] = tensor
        return known[1]


def _ask_adapters(module: nn.Module) -> tuple[LayerBits, str | None] | None:
    """What an adapter says of a module, which is left as it was.

    A quantiser may have to run for it, and some clip the weight in place.
    """
    guard = TensorGuard(module)
    try:
        with untouched(module), torch.no_grad(), Guarded(guard.before_op):
            return adapter_for(module)
    finally:
        guard.restore()


def _dims_indexed(part: Any) -> int:
    """How many dimensions a part of an index stands for; those of ... are counted apart."""
    if isinstance(part, Tensor) and part.dtype is torch.bool:
        return part.dim()
    return 0 if part is None or part is ... or isinstance(part, bool) else 1


_MOVES = (Tensor.to, torch.as_tensor, torch.asarray)


def _stay_here(func: Any, args: Any, kwargs: Any) -> tuple[Any, Any]:
    """Constants that are moved to where the input is keep their values."""
    if func not in _MOVES:
        return args, kwargs

    def here(value: Any) -> Any:
        away = value == "meta" if isinstance(value, str) else value == torch.device("meta")
        return "cpu" if isinstance(value, (str, torch.device)) and away else value

    return tuple(map(here, args)), {name: here(value) for name, value in kwargs.items()}


def _elements(value: Any) -> int:
    return sum(tensor.numel() for tensor in tensors_of(value))
