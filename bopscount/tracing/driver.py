"""Driver of one traced forward call, on meta tensors or for real.

The core's Tracer answers modules or enters them (through their classes' `__call__`). torch
functions called in between arrive through a TorchFunctionMode and are answered by a rule of
`functions`. The fallback is torch itself, on meta, under a dispatch mode that sees every ATen op.
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
from bopscount.bits.adapters.tensor_subclasses import bits_of_product
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
"""Lock for one trace at a time in a process: class attributes and `training` flags are shared."""

_REGULAR = (Tensor, nn.Parameter)

MASK_ELEMENTS = 2**24
"""Maximum size of a constant mask whose values are read; large ones are often expanded views."""

Forward = Callable[["Driver", Any, Any], Any]
"""Callable (driver, args, kwargs) that calls the model and may inspect inputs and output."""
Watch = Callable[[int, Any, tuple[Any, ...]], None]
"""Callback (number of the op's record among the records of products, ATen op, its arguments)."""


class Driver:
    """One trace of one model, the `TraceHost` of its tracer.

    `watch` is called before every ATen op of a run for real.

    Attributes:
        tracer: The core's tracer.
        real: Whether the model's arithmetic is run.
        keeps_values: Whether small tensors that the forward makes from shapes alone keep their
            values, which the forward may read; computing a mask for real is expensive.
        dropped_values: Whether such a tensor lost its values.
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
        """Return (leaf, rule, registered, sequential, adapted) of a module class."""
        leaf, rule, *flags = classify(cls)
        if callable(rule):
            python_rule = rule

            def rule(module: nn.Module, args: Any, kwargs: Any) -> Any:
                return python_rule(self, module, args, kwargs)

        registered, sequential, adapted = flags
        return leaf, rule, registered, sequential, adapted

    def adapt(self, module: nn.Module, node: int) -> Any:
        """Return an adapter's answer: None, a submodule, or (rule or None, logical parameters)."""
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
        """Rewrite the records since `mark` of a registered leaf, or of one without records."""
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
        """Record one forward call, and restore the model."""
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
        """Guard and watch an ATen op of a run for real, recorded or not, before it runs."""
        self.guard.before_op(func, args, kwargs)
        if self._watch is not None:
            # A rule records before torch runs its function; an op without a rule is recorded after.
            self._watch(self.tracer.n_products - (not self._recorded_late), func, args)

    def _input(self, tensor: Tensor) -> Tensor:
        """Return an input for a trace on meta: small token ids and masks keep their values."""
        floating = tensor.is_floating_point() or tensor.is_complex()
        if not floating and not tensor.is_meta and tensor.numel() <= CONSTANT_ELEMENTS:
            # A copy: the forward may write into it.
            known = self._metas.get(id(tensor))
            if known is None:
                known = self._metas[id(tensor)] = (tensor, tensor.clone())
            return known[1]
        return self.to_meta(tensor)

    def _scripted(self) -> tuple[Any, str, Any]:
        """Return the patch that makes scripted functions, which no mode sees, fall back."""
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
        """Return a view of a parameter, or of an argument that is given by name."""
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
        """Record a function of constants by its rule, and run it, as its values may be read."""
        large = elements > CONSTANT_ELEMENTS
        if large and func is Tensor.to:
            moved, named = _stay_here(func, args, kwargs)
            if func(*moved, **named) is args[0]:
                return args[0]  # not a copy: views of small constants stay constants
        if large:
            args, kwargs = map_tensors(self.to_meta, (args, kwargs))
        recorded = rule(self, func, args, kwargs)
        if recorded is NotImplemented:
            return self.fall_back(func, args, kwargs)
        if isinstance(recorded, Tensor):
            if not recorded.is_meta:
                return recorded  # the rule has run the function
            large = large or recorded.numel() > CONSTANT_ELEMENTS
        if large or _elements(recorded) > CONSTANT_ELEMENTS:
            return recorded
        args, kwargs = _stay_here(func, args, kwargs)
        return self.run_for_real(func, args, kwargs, recorded)

    def keep(self, tensor: Tensor) -> None:
        """Save a tensor's shape before a function changes it in place."""
        self.guard.keep(tensor)

    def is_tainted(self, tensor: Tensor) -> bool:
        """Return whether a non-constant was written into a constant."""
        return bool(self._tainted) and storage_key(tensor) in self._tainted

    def _live(self, tensor: Tensor) -> bool:
        """Return whether a tensor depends on the input or is a parameter, so is not constant."""
        live = tensor.is_meta or isinstance(tensor, nn.Parameter)
        return live or self.is_tainted(tensor)

    def run_for_real(self, func: Any, args: Any, kwargs: Any, recorded: Any) -> Any:
        """Return torch's own output in place of the recorded one."""
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
        """Return a tensor-like class's answer to a function, and trace the functions it calls."""
        with FUNCTION_MODE:
            return cls.__torch_function__(func, types, args, kwargs)

    def fall_back(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Return torch's own output, and record its ATen ops."""
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
        # If torch returns an operand, return the caller's tensor in place of its meta tensor.
        return self._originals.get(id(out), out) if isinstance(out, Tensor) else out

    def _to_meta_but_numbers(self, tensor: Tensor) -> Tensor:
        """Return a meta tensor; scalar integer constants stay, as torch may read them as sizes."""
        number = tensor.dim() == 0 and not tensor.is_floating_point() and not tensor.is_complex()
        return tensor if number and not self._live(tensor) else self.to_meta(tensor)

    def _without_masks(self, x: Tensor, index: Any) -> Any:
        """Replace constant masks in an index by integer indices, which have known shapes."""
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
                    return index  # torch raises its own error
                parts.extend(part.nonzero(as_tuple=True))
            else:
                parts.append(part)
            at += _dims_indexed(part)
        return tuple(parts)

    def _taint(self, func: Any, args: tuple[Any, ...]) -> None:
        """Mark a constant as tainted if `func` writes into it in place."""
        target = args[0] if args else None
        name = getattr(func, "__name__", "")
        writes = name.startswith(("__i", "__set")) or (name.endswith("_") and name[:2] != "__")
        if writes and isinstance(target, Tensor) and not target.is_meta:
            self._tainted.add(storage_key(target))

    def to_meta(self, tensor: Tensor) -> Tensor:
        """Return a meta tensor of the same shape, strides and dtype; the same one each time."""
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
    """Return the adapter's bit widths and submodule name, and restore the module.

    An adapter may have to run a quantiser, and some of these clip the weight in place.
    """
    guard = TensorGuard(module)
    try:
        with untouched(module), torch.no_grad(), Guarded(guard.before_op):
            return adapter_for(module)
    finally:
        guard.restore()


def _dims_indexed(part: Any) -> int:
    """Return the number of dimensions that a part of an index consumes, 0 for an ellipsis."""
    if isinstance(part, Tensor) and part.dtype is torch.bool:
        return part.dim()
    return 0 if part is None or part is ... or isinstance(part, bool) else 1


_MOVES = (Tensor.to, torch.as_tensor, torch.asarray)


def _stay_here(func: Any, args: Any, kwargs: Any) -> tuple[Any, Any]:
    """Redirect moves of constants to meta to the CPU, so that they keep their values."""
    if func not in _MOVES:
        return args, kwargs

    def here(value: Any) -> Any:
        away = value == "meta" if isinstance(value, str) else value == torch.device("meta")
        return "cpu" if isinstance(value, (str, torch.device)) and away else value

    return tuple(map(here, args)), {name: here(value) for name, value in kwargs.items()}


def _elements(value: Any) -> int:
    return sum(tensor.numel() for tensor in tensors_of(value))
