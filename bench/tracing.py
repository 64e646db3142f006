"""Scanning torchvision's classification models.

`bopscount.scan` beside ten other counters and beside the floor of the technique: one
`torch.empty` on meta and one empty module call an op. MACs are checked against FlopCounterMode
first. Ours, the rivals and the floor take turns, and the best time of each counts.

`python bench/tracing.py [--quick] [--models A,B] [--rounds N] [--no-peers]` runs it alone.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Iterator
from contextlib import suppress

import torch
from clock import seconds
from peers import PEERS, Peer, flop_counter_mode, unheard
from rows import Curve, Result, Row, show
from torch import nn

import bopscount

NAMED = ("alexnet", "resnet50", "swin_t", "vit_b_16")
"""Models of which the table shows the time."""
QUICK = ("alexnet", "mobilenet_v3_small")
ROUNDS = 3
OURS_A_ROUND = 10
MAX_SLOWDOWN = 20
"""A rival this many times slower than the fastest, on three models in a row, is dropped."""
CONTENDER = 3
"""Rivals within this factor of the fastest take part in every round."""
NOT_OPS = ("uncalled", "parameters")


class Empty(nn.Module):
    def forward(self, value: object) -> object:
        return value


def model_of(name: str, like: nn.Module | None = None) -> nn.Module:
    """A torchvision model on meta, or with the parameters of another one.

    Rivals leave hooks and buffers behind, so everyone gets a model of their own, built as a
    user builds it: a deep copy's attributes take longer to find.
    """
    from torchvision.models import get_model

    try:
        with unheard(), torch.device("meta"):
            model = get_model(name, weights=None).eval()
    except NotImplementedError:  # RegNets compute their widths with tensors
        with unheard():
            model = get_model(name, weights=None).eval().to("meta")
    if like is not None:
        model.load_state_dict(like.state_dict(), assign=True)
    return model


def side_of(name: str, model: nn.Module) -> int:
    """Of the square image that a torchvision model is made for."""
    if name == "inception_v3":
        return 299
    return getattr(model, "image_size", 224)


class Bout:
    """One model: ours against the rivals still in the race."""

    def __init__(self, name: str, peers: list[Peer]) -> None:
        from torchvision.models import get_model

        self.name = name
        with unheard():
            model = get_model(name, weights=None).eval()
        side = side_of(name, model)
        self.size = (3, side, side)
        self.ours = model_of(name, model)
        inputs = torch.rand(1, *self.size)
        on_meta = model_of(name), inputs.to("meta")
        self.calls: dict[str, Callable[[], object]] = {}
        for peer in peers:
            given = on_meta if peer.on_meta else (model_of(name, model), inputs)
            self.calls[peer.name] = lambda peer=peer, given=given: peer.count(*given)
        self.first = seconds(self.scan)
        table = bopscount.trace(self.ours, self.size)
        totals = bopscount.scan(self.ours, self.size)
        expected = flop_counter_mode(*on_meta)
        assert totals.macs == expected, f"{name}: {totals.macs} MACs, not {expected}"
        self.shapes = [
            shape
            for shape, op in zip(table.output_shapes, table.ops, strict=True)
            if op not in NOT_OPS
        ]
        self.empty = Empty()

    def scan(self) -> object:
        return bopscount.scan(self.ours, self.size)

    def other_size(self) -> tuple[int, int, int] | None:
        size = (3, self.size[1] + 32, self.size[2] + 32)
        try:
            bopscount.scan(self.ours, size)
        except bopscount.TraceError:  # a vision transformer takes one size only
            return None
        return size

    def floor(self) -> None:
        empty, module = torch.empty, self.empty
        with torch.no_grad():
            for shape in self.shapes:
                module(empty(shape, device="meta"))

    def measure(self, rounds: int) -> Bout:
        """Runs all turns; the results are attributes."""
        times: dict[str, list[float]] = {"ours": [self.first], "floor": [], "other": []}
        self.failed: dict[str, str] = {}
        other = self.other_size()

        def ours_and_floor() -> None:
            for _ in range(OURS_A_ROUND):
                times["ours"].append(seconds(self.scan))
                times["floor"].append(seconds(self.floor))
                if other is not None:
                    times["other"].append(seconds(lambda: bopscount.scan(self.ours, other)))

        ours_and_floor()
        self.peers: dict[str, float] = {}
        for name, call in self.calls.items():
            try:
                with unheard():
                    self.peers[name] = seconds(call)
            except Exception as error:
                self.failed[name] = f"{type(error).__name__}: {error}"[:100]
        fastest = min(self.peers.values(), default=math.inf)
        contenders = [name for name, taken in self.peers.items() if taken <= CONTENDER * fastest]
        for _ in range(rounds):
            ours_and_floor()
            for name in contenders:
                with unheard():
                    self.peers[name] = min(self.peers[name], seconds(self.calls[name]))
            ours_and_floor()
        self.seconds = min(times["ours"])
        self.floor_seconds = min(times["floor"])
        self.other_seconds = min(times["other"], default=None)
        return self

    @property
    def us_per_op(self) -> float:
        return self.seconds / len(self.shapes) * 1e6

    @property
    def over_floor(self) -> float:
        return self.seconds / self.floor_seconds

    @property
    def fastest(self) -> str | None:
        return min(self.peers, key=self.peers.__getitem__, default=None)

    @property
    def ratio(self) -> float | None:
        return self.peers[self.fastest] / self.seconds if self.fastest else None

    def __str__(self) -> str:
        other = f"{self.other_seconds / self.seconds:.2f}x" if self.other_seconds else "-"
        lines = [
            f"{self.name:22} {self.seconds * 1e3:7.2f} {len(self.shapes):4} {self.us_per_op:6.2f}"
            f" {self.over_floor:6.2f}x {self.first / self.seconds:5.2f}x {other:>10}"
        ]
        if self.fastest:
            taken = self.peers[self.fastest] * 1e3
            lines[0] += f"   {self.fastest:25} {taken:7.1f} {self.ratio:7.1f}x"
        return "\n".join(lines + [f"  ({peer} failed: {why})" for peer, why in self.failed.items()])


def warm_up(peers: list[Peer]) -> None:
    """Imports and first-call caches are nobody's cost."""
    for peer in peers:
        model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU()).eval()
        device = "meta" if peer.on_meta else "cpu"
        with unheard(), suppress(Exception):
            peer.count(model.to(device), torch.rand(1, 3, 16, 16, device=device))
    bopscount.scan(nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU()), (3, 16, 16))


def race(names: list[str], rounds: int, peers: list[Peer]) -> list[Bout]:
    """All models, each printed when it is done."""
    warm_up(peers)
    strikes = dict.fromkeys((peer.name for peer in peers), 0)
    bouts = []
    print(
        "model                  ours ms  ops  us/op  /floor  first  other size"
        "   fastest rival                 ms    ratio"
    )
    for name in names:
        racing = [peer for peer in peers if strikes[peer.name] < 3]
        bout = Bout(name, racing).measure(rounds)
        bouts.append(bout)
        fastest = min(bout.peers.values(), default=math.inf)
        for peer in racing:
            slow = bout.peers.get(peer.name, 0) > MAX_SLOWDOWN * fastest
            strikes[peer.name] = strikes[peer.name] + 1 if slow else 0
            if strikes[peer.name] == 3:
                print(f"  ({peer.name} is left out from here: over {MAX_SLOWDOWN}x slower)")
        print(bout, flush=True)
        del bout.calls, bout.ours  # a hundred models would not fit
    return bouts


def geomean(values: list[float]) -> float:
    return math.exp(sum(map(math.log, values)) / len(values))


def results(bouts: list[Bout]) -> Iterator[Result]:
    raced = [bout for bout in bouts if bout.ratio]
    if raced:
        ratio = geomean([bout.ratio for bout in raced])
        yield Row(f"faster than the fastest peer, {len(raced)} models", ratio, "x", 25, 50)
        least = min(raced, key=lambda bout: bout.ratio)
        yield Row(f"  the least: {least.name}", least.ratio, "x", 8, 20)
    per_op = geomean([bout.us_per_op for bout in bouts])
    yield Row("a recorded op, geomean", per_op, "us", 10, more_is_better=False)
    most = max(bouts, key=lambda bout: bout.us_per_op)
    yield Row(f"  the most: {most.name}", most.us_per_op, "us", 10, more_is_better=False)
    over_floor = geomean([bout.over_floor for bout in bouts])
    yield Row("times the floor, geomean", over_floor, "x", 3, 2, more_is_better=False)
    most = max(bouts, key=lambda bout: bout.over_floor)
    yield Row(f"  the most: {most.name}", most.over_floor, "x", 3, 2, more_is_better=False)
    first = geomean([bout.first / bout.seconds for bout in bouts])
    yield Row("the very first scan of a model / the best", first, "x")
    others = [bout.other_seconds / bout.seconds for bout in bouts if bout.other_seconds]
    if others:
        yield Row("another resolution / the same", geomean(others), "x")
    for bout in bouts:
        if bout.name in NAMED:
            yield Row(f"one scan of {bout.name}", bout.seconds * 1e3, "ms")
    seconds_of = {
        "fastest peer": lambda bout: bout.peers[bout.fastest],
        "bopscount.scan": lambda bout: bout.seconds,
        "floor": lambda bout: bout.floor_seconds,
    }
    lines = {
        name: [(len(bout.shapes), of(bout) * 1e3) for bout in (raced or bouts)]
        for name, of in seconds_of.items()
        if raced or name != "fastest peer"
    }
    yield Curve("One scan of each model", "recorded ops", "ms", lines, joined=False)


def classification_models() -> list[str]:
    import torchvision

    return torchvision.models.list_models(module=torchvision.models)


def measure(quick: bool) -> Iterator[Result]:
    try:
        names = list(QUICK) if quick else classification_models()
        peers = [peer for peer in PEERS if peer.is_installed()]
        yield from results(race(names, 1 if quick else ROUNDS, peers))
    except ModuleNotFoundError as error:
        if error.name != "torchvision":
            raise
        yield "not measured: torchvision is not installed"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", metavar="A,B", help="instead of all of torchvision's")
    parser.add_argument("--quick", action="store_true", help=f"{', '.join(QUICK)} only")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="turns of ours and rivals")
    parser.add_argument("--no-peers", action="store_true", help="ours and the floor only")
    arguments = parser.parse_args()
    names = list(QUICK) if arguments.quick else classification_models()
    if arguments.models:
        names = arguments.models.split(",")
    peers = [] if arguments.no_peers else [peer for peer in PEERS if peer.is_installed()]
    show(results(race(names, arguments.rounds, peers)))


if __name__ == "__main__":
    main()
