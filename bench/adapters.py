"""What adapters and carried bit widths cost a float network.

The same networks are scanned with the adapters asked, as always, and with none to ask: no class is
looked up and no module. Then a width travels through 200 operations that keep it, and through as
many without a width. Both sides take turns, the best time of each counts. Torchvision's networks
are measured where it is installed, beside small ones of this file's own.

`python bench/adapters.py [--quick]` runs it alone.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from math import exp, log

import torch
from clock import best_seconds, no_garbage_collection
from rows import Result, Row, show
from torch import nn

import bopscount
from bopscount.tracing import classes

MOST = 1.05
TORCHVISION = ("resnet50", "mobilenet_v3_large", "densenet121", "vit_b_16", "swin_t", "alexnet")
QUICK = TORCHVISION[:2]
N_KEEPING = 200


class Block(nn.Module):
    """A bottleneck with a shortcut: leaves, functions and an inner module."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        inner = channels // 4
        self.body = nn.Sequential(
            nn.Conv2d(channels, inner, 1, bias=False), nn.BatchNorm2d(inner), nn.ReLU(),
            nn.Conv2d(inner, inner, 3, padding=1, bias=False), nn.BatchNorm2d(inner), nn.ReLU(),
            nn.Conv2d(inner, channels, 1, bias=False), nn.BatchNorm2d(channels),
        )  # fmt: skip

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(self.body(x) + x)


class Quantiser(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.round()


def networks(quick: bool) -> dict[str, tuple[nn.Module, tuple[int, ...]]]:
    """Name -> float network and its input size."""
    found: dict[str, tuple[nn.Module, tuple[int, ...]]] = {}
    with torch.device("meta"):
        encoder = nn.TransformerEncoderLayer(64, 4, 128, batch_first=True)
        found["blocks"] = nn.Sequential(*(Block(64) for _ in range(16))).eval(), (64, 28, 28)
        found["transformer"] = nn.TransformerEncoder(encoder, 6).eval(), (16, 64)
        try:
            from torchvision.models import get_model
        except ImportError:
            return found
        for name in QUICK if quick else TORCHVISION:
            found[name] = get_model(name, weights=None).eval(), (3, 224, 224)
    return found


@contextmanager
def no_adapters() -> Iterator[None]:
    """Nobody to ask about a class, and so about no module."""
    may_apply = classes.may_apply
    classes.may_apply = lambda _cls: False
    try:
        yield
    finally:
        classes.may_apply = may_apply


def without(call: Callable[[], object]) -> object:
    with no_adapters():
        return call()


def ratio(model: nn.Module, size: tuple[int, ...], rounds: int) -> float:
    """Seconds of a scan with adapters over those without."""
    scan = partial(bopscount.scan, model, size)
    assert scan() == without(scan), "adapters change a float network"
    best = best_seconds({"with": scan, "without": partial(without, scan)}, rounds)
    return best["with"] / best["without"]


def carried_ratio(rounds: int) -> float:
    """The same for a width that 200 operations keep, over none."""
    keeping = [nn.MaxPool2d(1), nn.Identity(), nn.Dropout(), nn.ZeroPad2d(0)] * (N_KEEPING // 4)
    calls = {}
    for bits in (None, 8):
        cls = type("Quantiser", (Quantiser,), {})
        bopscount.register_layer(cls, output_bits=bits)
        model = nn.Sequential(cls(), *keeping, nn.Conv2d(3, 4, 1)).eval()
        widths = bopscount.trace(model, (3, 8, 8)).records["input_bits"][-1]
        assert widths == (bits or 32), "the width was lost on the way"
        calls[str(bits)] = partial(bopscount.scan, model, (3, 8, 8))
    best = best_seconds(calls, rounds)
    return best["8"] / best["None"]


def measure(quick: bool) -> Iterator[Result]:
    rounds = 60 if quick else 200
    with no_garbage_collection():
        ratios = {}
        for name, (model, size) in networks(quick).items():
            ratios[name] = ratio(model, size, rounds)
        mean = exp(sum(map(log, ratios.values())) / len(ratios))
        yield Row("scan with adapters / without, geometric mean", mean, "x", MOST,
                  more_is_better=False)  # fmt: skip
        for name, value in ratios.items():
            yield Row(f"  {name}", value, "x", more_is_better=False)
        carried = carried_ratio(rounds)
        yield Row(f"a width carried through {N_KEEPING} ops / none", carried, "x", MOST,
                  more_is_better=False)  # fmt: skip


if __name__ == "__main__":
    show(measure(quick="--quick" in sys.argv))
