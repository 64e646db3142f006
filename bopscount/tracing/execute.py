"""The tracer that runs the model: hooks for modules, the dispatcher for the rest.

It works wherever the model itself works, at the price of one forward pass.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from threading import RLock, get_ident
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from bopscount._core import LAYER_FLAGS
from bopscount.errors import TraceError
from bopscount.layer_table import LayerTable
from bopscount.module_tree import walk
from bopscount.registry import rule_of
from bopscount.tracing.aten_rules import record_aten
from bopscount.tracing.guard import TensorGuard, untouched
from bopscount.tracing.inputs import ForwardCall, tensors_of
from bopscount.tracing.leaf_rules import LEAF_BASES, leaf_rule
from bopscount.tracing.recorder import Recorder
from bopscount.tracing.registered import record_registered

TRACING = RLock()
"""One trace at a time in a process: hooks and `training` belong to the model, which
another thread may be tracing too."""


def is_leaf(module: nn.Module) -> bool:
    """Whether the module is one row: no children, or a class with a rule of its own."""
    return (
        not any(child is not None for child in module._modules.values())
        or rule_of(module) is not None
        or isinstance(module, LEAF_BASES)
    )


@dataclass(slots=True)
class _Frame:
    """A module whose forward runs.

    Attributes:
        node: Its index.
        given: Its arguments.
        mark: How many records there were before it.
        quiet: Whether a leaf rule speaks for it, so that its ops do not count.
    """

    node: int
    given: Any
    mark: int
    quiet: bool = False


class ExecutingTracer:
    """Runs one forward call and records it."""

    def __init__(self, model: nn.Module) -> None:
        self.model = model
        self.nodes, self.modules = walk(model, is_leaf)
        self.recorder = Recorder(self.nodes, self.modules)
        self._thread = get_ident()
        self._running: list[_Frame] = []

    def run(self, call: ForwardCall, training: bool = False) -> LayerTable:
        """The table of one forward; the model is left as it was."""
        guard = TensorGuard(self.model)
        with TRACING, untouched(self.model), ExitStack() as stack:
            stack.callback(guard.restore)
            self._add_hooks(stack)
            if not training:
                for module in self.model.modules():
                    module.training = False
            try:
                with torch.no_grad(), _NoFastPaths(), _Watch(self, guard):
                    self.model(*call.args, **call.kwargs)
            except Exception as error:
                raise self._explain(error, call) from error
        on_meta = any(tensor.is_meta for tensor in tensors_of((call.args, call.kwargs)))
        return self.recorder.finish(batch_size=call.batch_size, ran_model=not on_meta)

    def _add_hooks(self, stack: ExitStack) -> None:
        for index, module in enumerate(self.modules):
            before = module.register_forward_pre_hook(self._entering(index), with_kwargs=True)
            after = module.register_forward_hook(self._leaving(index), with_kwargs=True)
            stack.callback(before.remove)
            stack.callback(after.remove)

    def _entering(self, index: int) -> Any:
        def hook(module: nn.Module, args: Any, kwargs: Any) -> None:
            if get_ident() != self._thread:
                return
            quiet = rule_of(module) is None and leaf_rule(module) is not None
            self._running.append(_Frame(index, (args, kwargs), len(self.recorder), quiet))
            self.nodes[index].calls += 1
            self.recorder.node = index

        return hook

    def _leaving(self, index: int) -> Any:
        def hook(module: nn.Module, args: Any, kwargs: Any, output: Any) -> None:
            if get_ident() != self._thread:
                return
            frame = self._running.pop()
            while frame.node != index and self._running:
                # A forward that raised, and was caught, left its frame behind.
                frame = self._running.pop()
            if self.nodes[index].is_leaf:
                self._record_leaf(module, (args, kwargs), output, frame.mark)
            self.recorder.node = self._running[-1].node if self._running else 0

        return hook

    def _record_leaf(self, module: nn.Module, given: Any, output: Any, mark: int) -> None:
        operand = next(tensors_of(given), None)
        result = next(tensors_of(output), None)
        registered, rule = rule_of(module), leaf_rule(module)
        if operand is None or result is None:
            return
        if registered is not None:
            record_registered(self.recorder, registered, module, operand, result, mark)
        elif rule is not None:
            rule.record(self.recorder, module, operand, result)
        elif len(self.recorder) == mark:
            flags = LAYER_FLAGS["unmoved"]
            self.recorder.add("identity", type(module).__name__, operand, result, flags=flags)

    def watch(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], out: Any) -> None:
        """Records a dispatched op unless a leaf rule speaks for it."""
        if not self._running or self._running[-1].quiet:
            return
        record_aten(self.recorder, func, args, kwargs, out)

    def _explain(self, error: Exception, call: ForwardCall) -> TraceError:
        frame = self._running[-1] if self._running else _Frame(0, (call.args, call.kwargs), 0)
        path, name = self.nodes[frame.node].path, self.nodes[frame.node].class_name
        shapes = tuple(tuple(tensor.shape) for tensor in tensors_of(frame.given))
        where = f"{path} ({name})" if path else f"the model ({name})"
        return TraceError(
            f"{where} raised {type(error).__name__} in its forward: {error} "
            f"[input shapes {', '.join(map(str, shapes)) or 'none'}]",
            path,
            shapes,
        )


class _Watch(TorchDispatchMode):
    """Shows every dispatched op of this thread to the tracer."""

    def __init__(self, tracer: ExecutingTracer, guard: TensorGuard) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._tracer = tracer
        self._guard = guard

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        self._guard.before_op(func, args, kwargs)
        out = func(*args, **kwargs)
        self._tracer.watch(func, args, kwargs, out)
        return out


class _NoFastPaths(TorchFunctionMode):
    """Its presence makes torch's transformer layers take their ordinary path."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return func(*args, **(kwargs or {}))
