"""How long each leaf module takes in a forward pass."""

from __future__ import annotations

from contextlib import ExitStack
from statistics import median
from threading import get_ident
from time import perf_counter
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from bopscount.tracing.execute import TRACING
from bopscount.tracing.guard import untouched

if TYPE_CHECKING:
    from collections.abc import Callable

    from bopscount.module_tree import Node
    from bopscount.tracing.inputs import ForwardCall

WARM_UP_RUNS, TIMED_RUNS = 1, 3


def time_leaves(
    model: nn.Module, nodes: list[Node], modules: list[nn.Module], call: ForwardCall
) -> list[float | None]:
    """Seconds per node in one forward pass, None for inner nodes.

    In eval mode without gradients: the median of a few runs after a warm-up; a leaf
    that is called several times gets the sum of its calls. Work queued on CUDA devices
    is waited for around each leaf (untested: no GPU at hand).
    """
    leaves = [index for index, node in enumerate(nodes) if node.is_leaf]
    runs: list[dict[int, float]] = []
    with TRACING, untouched(model), ExitStack() as stack:
        clock = _Clock(_cuda_used(model))
        for index in leaves:
            before = modules[index].register_forward_pre_hook(clock.starting)
            after = modules[index].register_forward_hook(clock.stopping(index))
            stack.callback(before.remove)
            stack.callback(after.remove)
        for module in model.modules():
            module.training = False
        with torch.no_grad():
            for run in range(WARM_UP_RUNS + TIMED_RUNS):
                clock.seconds = dict.fromkeys(leaves, 0.0)
                model(*call.args, **call.kwargs)
                if run >= WARM_UP_RUNS:
                    runs.append(clock.seconds)
    timed = {index: median(run[index] for run in runs) for index in leaves}
    return [timed.get(index) for index in range(len(nodes))]


def _cuda_used(model: nn.Module) -> bool:
    return any(tensor.is_cuda for tensor in (*model.parameters(), *model.buffers()))


class _Clock:
    """Adds up the time between a leaf's two hooks, in the thread that made it."""

    def __init__(self, cuda: bool) -> None:
        self._wait: Callable[[], object] = torch.cuda.synchronize if cuda else lambda: None
        self._thread = get_ident()
        self._started: list[float] = []
        self.seconds: dict[int, float] = {}

    def starting(self, *_: Any) -> None:
        if get_ident() == self._thread:
            self._wait()
            self._started.append(perf_counter())

    def stopping(self, index: int) -> Any:
        def hook(*_: Any) -> None:
            if get_ident() == self._thread:
                self._wait()
                self.seconds[index] += perf_counter() - self._started.pop()

        return hook
