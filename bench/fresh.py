"""Candidates that are modules: newly built ones, a supernet, a resolution sweep.

Every contender builds, or switches, its own candidates, where it counts: on the CPU, on meta, and
ours as `scan` itself builds what a callable makes. MACs are checked against FlopCounterMode first.
The goals are those of tracing, on every model.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from random import Random
from time import perf_counter

import torch
from candidates import Supernet, cell_network, mobile_network, plain_network
from peers import PEERS, Peer, flop_counter_mode, unheard
from rows import Curve, Result, Row, show
from torch import Tensor, nn

import bopscount
from bopscount.tracing.building import WithoutValues

SIDES = (32, 224)
SWEEP = tuple(range(32, 225, 16))
N_CANDIDATES, N_QUICK = 10, 2
ROUNDS, OURS_A_ROUND = 2, 3
CONTENDER = 3
"""Peers within this factor of the fastest, on one candidate, take part in the rest."""

Steps = Iterator[tuple[nn.Module, int]]


@dataclass(frozen=True)
class Search:
    """Models and image sides, one after another, made on the default device."""

    name: str
    steps: Callable[[], Steps]


def fresh(build: Callable[[Random], nn.Module], side: int, n: int) -> Steps:
    random = Random(0)
    for _ in range(n):
        yield build(random).eval(), side


def switched(side: int, n: int) -> Steps:
    random, net = Random(0), Supernet().eval()
    for _ in range(n):
        net.choose(random)
        yield net, side


def swept(sides: tuple[int, ...]) -> Steps:
    net = mobile_network(Random(0)).eval()
    for side in sides:
        yield net, side


def searches(quick: bool) -> Iterator[Search]:
    n = N_QUICK if quick else N_CANDIDATES
    builders = {
        "plain CNNs": plain_network,
        "NAS-Bench-201 cells": cell_network,
        "mobile networks": mobile_network,
    }
    for side in SIDES[:1] if quick else SIDES:
        for name, build in builders.items():
            yield Search(f"{name}, {side}x{side}", lambda b=build, s=side: fresh(b, s, n))
        yield Search(f"switched supernet, {side}x{side}", lambda s=side: switched(s, n))
    yield Search("resolution sweep", lambda: swept(SWEEP[:N_QUICK] if quick else SWEEP))


def _scan(model: nn.Module, inputs: Tensor) -> object:
    return bopscount.scan(model, tuple(inputs.shape[1:]))


OURS = Peer("bopscount", "bopscount", on_meta=True, count=_scan)


class Runner:
    """A contender's way through a search: seconds of each step."""

    def __init__(self, peer: Peer, search: Search) -> None:
        self.peer = peer
        self.device = torch.device("meta" if peer.on_meta else "cpu")
        self.place = WithoutValues() if peer is OURS else self.device
        self.steps = search.steps()

    def step(self) -> tuple[float, float]:
        """Makes the next candidate and counts it: the seconds of both."""
        start = perf_counter()
        with self.place:
            model, side = next(self.steps)
        made = perf_counter()
        inputs = torch.empty(1, 3, side, side, device=self.device)
        with unheard():
            before = perf_counter()
            self.peer.count(model, inputs)
            return made - start, perf_counter() - before


def check_answers(search: Search) -> list[int]:
    """Ours beside FlopCounterMode's on every candidate; their sides."""
    sides = []
    with torch.device("meta"):
        for model, side in search.steps():
            expected = flop_counter_mode(model, torch.empty(1, 3, side, side))
            macs = bopscount.scan(model, (3, side, side)).macs
            assert macs == expected, f"{search.name}: {macs} MACs, not {expected}"
            sides.append(side)
    return sides


def contenders(search: Search) -> list[Peer]:
    """Who is not far from the fastest on the first candidate."""
    taken = {}
    for peer in PEERS:
        if peer.is_installed():
            with suppress(Exception):  # this peer cannot count that model
                taken[peer] = Runner(peer, search).step()[1]
    return [peer for peer, seconds in taken.items() if seconds <= CONTENDER * min(taken.values())]


def race(search: Search, n_steps: int, rounds: int) -> dict[str, list[tuple[float, float]]]:
    """Of each contender (making, counting) seconds of each step; the best round counts."""
    peers = [OURS] * OURS_A_ROUND + contenders(search)
    times: dict[str, list[list[tuple[float, float]]]] = defaultdict(list)
    for _ in range(rounds):
        runners = [Runner(peer, search) for peer in peers]
        taken = [[runner.step() for runner in runners] for _ in range(n_steps)]
        for peer, steps in zip(peers, zip(*taken, strict=True), strict=True):
            times[peer.name].append(list(steps))
    return {
        name: [
            (min(making for making, _ in step), min(counting for _, counting in step))
            for step in zip(*found, strict=True)
        ]
        for name, found in times.items()
    }


def measure(quick: bool) -> Iterator[Result]:
    for search in searches(quick):
        sides = check_answers(search)
        times = race(search, len(sides), 1 if quick else ROUNDS)
        counting = {name: sum(step[1] for step in steps) for name, steps in times.items()}
        both = {name: sum(map(sum, steps)) for name, steps in times.items()}
        ours, ours_both = counting.pop(OURS.name), both.pop(OURS.name)
        fastest = min(counting, key=counting.__getitem__)
        yield Row(f"{search.name}: faster than {fastest}", counting[fastest] / ours, "x", 8, 20)
        yield Row("  with building or switching", min(both.values()) / ours_both, "x")
        yield Row("  scans a second", len(sides) / ours)
        yield Row("  candidates a second, building or switching too", len(sides) / ours_both)
    lines = {
        name: [(side, step[1] * 1e3) for side, step in zip(sides, times[name], strict=True)]
        for name in (fastest, OURS.name)
    }
    yield Curve("Resolution sweep", "side of the image", "ms a count", lines)


if __name__ == "__main__":
    show(measure(quick=False))
