"""100,000 scans of newly built modules: nothing may grow.

Every candidate is new, every other one of a class of its own, made for it; a third also has hooks,
and every fiftieth fails. The first scans fill what torch and we keep for good; from there on
resident memory, tracked objects, hooks and live candidate classes are compared.
"""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator
from random import Random
from time import process_time

import torch
from memory import resident_bytes
from rows import Curve, Result, Row, show
from torch import Tensor, nn
from torch.nn.modules import module as torch_module

import bopscount

N_SCANS, N_QUICK = 100_000, 3_000
WARM_UP = 1_000
CHECKS = 20
FAILING = 50


class Block(nn.Module):
    """What candidates are made of: leaves, functions, an attribute written in forward."""

    def __init__(self, channels: int, out: int, kernel: int, *, fails: bool) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, out, kernel, padding=kernel // 2)
        self.norm = nn.BatchNorm2d(out)
        self.scale = nn.Parameter(torch.ones(out, 1, 1))
        self.fails = fails
        self.last: Tensor | None = None

    def forward(self, x: Tensor) -> Tensor:
        if self.fails:
            raise RuntimeError("a candidate that fails")
        self.last = torch.relu(self.norm(self.conv(x))) * self.scale
        return self.last


def _as_it_is(_module: nn.Module, _inputs: object, output: Tensor) -> Tensor:
    return output


def candidate(index: int, random: Random) -> tuple[nn.Module, int]:
    """A network on meta for 3x16x16, and its MACs; odd ones of a class made for them."""
    cls = type(f"Block{index}", (Block,), {}) if index % 2 else Block
    out, kernel = random.randint(1, 64), random.choice((1, 3, 5))
    with torch.device("meta"):
        model = nn.Sequential(
            cls(3, out, kernel, fails=index % FAILING == 0),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(64 * out, 10),
        )
    if index % 3 == 0:
        model[0].register_forward_hook(_as_it_is)
    return model, 256 * out * 3 * kernel**2 + 640 * out


class State:
    """What could have grown."""

    def __init__(self, classes: weakref.WeakSet[type]) -> None:
        gc.collect()
        self.resident = resident_bytes()
        self.objects = len(gc.get_objects())
        self.classes = len(classes)
        self.hooks = sum(
            len(getattr(torch_module, name))
            for name in dir(torch_module)
            if name.startswith("_global_") and isinstance(getattr(torch_module, name), dict)
        )


def soak(n_scans: int) -> Iterator[tuple[int, State, float]]:
    """Scans made, the state after them, processor's seconds in scan since the state before.

    Raises:
        AssertionError: For a wrong count.
    """
    random = Random(0)
    classes: weakref.WeakSet[type] = weakref.WeakSet()
    checks = {WARM_UP + (n_scans - WARM_UP) * part // CHECKS for part in range(CHECKS + 1)}
    taken = 0.0
    for index in range(1, n_scans + 1):
        model, macs = candidate(index, random)
        classes.add(type(model[0]))
        start = process_time()
        try:
            found = bopscount.scan(model, (3, 16, 16)).macs
        except bopscount.TraceError:
            found = None
        taken += process_time() - start
        assert found == (None if index % FAILING == 0 else macs), index
        del model
        if index in checks:
            yield index, State(classes), taken
            taken = 0.0


def measure(quick: bool) -> Iterator[Result]:
    n_scans = N_QUICK if quick else N_SCANS
    (_, first, _), *later = soak(n_scans)
    last = later[-1][1]
    megabytes = (last.resident - first.resident) / 1e6
    yield Row(
        f"resident memory grown over {n_scans:,} scans", megabytes, "MB", 4, more_is_better=False
    )
    objects = last.objects - first.objects
    yield Row("tracked objects grown", objects, goal=1_000, more_is_better=False)
    yield Row("candidate classes alive", last.classes, goal=2, more_is_better=False)
    yield Row("hooks left", last.hooks - first.hooks, goal=0, more_is_better=False)
    taken = [seconds for *_, seconds in later]
    yield Row("scans a second of processor time", (n_scans - WARM_UP) / sum(taken))
    slower = sum(taken[CHECKS // 2 :]) / sum(taken[: CHECKS // 2])
    yield Row("  the second half slower than the first", slower, "x", 1.5, more_is_better=False)
    yield Curve(
        "Growth",
        "scans of new modules",
        "of the first value",
        {
            "resident memory": [(n, state.resident / first.resident) for n, state, _ in later],
            "tracked objects": [(n, state.objects / first.objects) for n, state, _ in later],
            "time of a scan": [(n, seconds / taken[0]) for n, _, seconds in later],
        },
        logarithmic=False,
    )


if __name__ == "__main__":
    show(measure(quick=False))
