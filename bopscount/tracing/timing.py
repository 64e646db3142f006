"""Forward time of each leaf module."""

from __future__ import annotations

from contextlib import ExitStack
from statistics import median
from threading import get_ident
from time import perf_counter
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from bopscount.errors import TraceError
from bopscount.progress import progress_bar
from bopscount.tracing.driver import TRACING
from bopscount.tracing.functions.tensor_metadata import HANDS_OUT
from bopscount.tracing.guard import TensorGuard, arguments_kept, untouched
from bopscount.tracing.inputs import tensors_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from bopscount.records.modules import Node
    from bopscount.tracing.inputs import ForwardCall

TIMED_RUNS = 3


def time_leaves(model: nn.Module, nodes: list[Node], call: ForwardCall) -> list[float | None]:
    """Return the seconds per node in one forward pass, None for inner nodes.

    The model runs in eval mode without gradients. The result is the median of a few runs after a
    warm-up; a leaf that is called several times gets the sum of its calls. CUDA devices are
    synchronised before and after each leaf (untested: no GPU at hand). Parameters and buffers
    that the warm-up writes into are restored after the last run.

    Raises:
        TraceError: If the forward raises.
    """
    leaves = [index for index, node in enumerate(nodes) if node.is_leaf]
    runs: list[dict[int, float]] = []
    guard = TensorGuard(model)
    restores: list[Callable[[], object]] = []
    given = call.args, call.kwargs
    guard.given = (*tensors_of(given), *arguments_kept(given, restores))
    guard.watch()
    with TRACING, untouched(model), ExitStack() as stack:
        stack.callback(guard.restore)
        for restore in restores:
            stack.callback(restore)
        progress = progress_bar("timing", (1 + TIMED_RUNS) * len(leaves), " layers")
        stack.callback(progress.close)
        clock = _Clock(_cuda_used(model), progress.update)
        clock.start_run(leaves)
        modules = dict(model.named_modules())
        for index in leaves:
            module = modules[nodes[index].path]
            before = module.register_forward_pre_hook(clock.starting)
            after = module.register_forward_hook(clock.stopping(index))
            stack.callback(before.remove)
            stack.callback(after.remove)
        try:
            with torch.no_grad():
                with _SavesWrites(guard), _SavesHandedOut(guard):
                    model(*call.args, **call.kwargs)
                for _ in range(TIMED_RUNS):
                    clock.start_run(leaves)
                    model(*call.args, **call.kwargs)
                    runs.append(clock.seconds)
        except Exception as error:
            raise TraceError(
                f"the model ({type(model).__name__}) raised {type(error).__name__} in a timed "
                f"run: {error}; timing=False does without",
                input_shapes=tuple(
                    tuple(tensor.shape) for tensor in tensors_of((call.args, call.kwargs))
                ),
            ) from error
    timed = {index: median(run[index] for run in runs) for index in leaves}
    return [timed.get(index) for index in range(len(nodes))]


def _cuda_used(model: nn.Module) -> bool:
    return any(tensor.is_cuda for tensor in (*model.parameters(), *model.buffers()))


class _SavesWrites(TorchDispatchMode):
    """Dispatch mode that lets the guard save tensors before the warm-up run overwrites them."""

    def __init__(self, guard: TensorGuard) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._guard = guard

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self._guard.before_op(func, args, kwargs or {})
        return func(*args, **(kwargs or {}))


class _SavesHandedOut(TorchFunctionMode):
    """Function mode that lets the guard save tensors before numpy may write into their memory."""

    def __init__(self, guard: TensorGuard) -> None:
        super().__init__()
        self._guard = guard

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in HANDS_OUT:
            self._guard.about_to_write(args[0])
        return func(*args, **(kwargs or {}))


class _Clock:
    """Timer that sums the time between a leaf's two hooks, in its own thread only."""

    def __init__(self, cuda: bool, done: Callable[[], object]) -> None:
        self._done = done
        self._wait: Callable[[], object] = torch.cuda.synchronize if cuda else lambda: None
        self._thread = get_ident()
        self._started: list[float] = []
        self.seconds: dict[int, float] = {}

    def start_run(self, leaves: list[int]) -> None:
        """Reset all leaf times, and discard start times left over from a failed run."""
        self._started.clear()
        self.seconds = dict.fromkeys(leaves, 0.0)

    def starting(self, *_: Any) -> None:
        if get_ident() == self._thread:
            self._wait()
            self._started.append(perf_counter())

    def stopping(self, index: int) -> Any:
        def hook(*_: Any) -> None:
            if get_ident() == self._thread:
                self._wait()
                self.seconds[index] += perf_counter() - self._started.pop()
                self._done()

        return hook
