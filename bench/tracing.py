"""Scanning, measured: `python bench/tracing.py [--quick] [--models A,B] [--json FILE]`.

Over torchvision's classification models, `bopscount.scan` beside ten other counters and
beside the floor of the technique: one `torch.empty` on meta and one empty module call an
op. Then a chain of 100,000 modules and a Llama of 405 billion parameters. Every answer is
checked against FlopCounterMode, or a closed form, before it is timed. The machine may be
shared: ours, the rivals and the floor take turns in one run, the best time of each counts,
and a missed goal is printed, not raised. `--profile MODEL` shows where the time goes.
"""

from __future__ import annotations

import argparse
import cProfile
import json
import math
import os
import pstats
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import torch
from large import measure_chain, measure_llama
from peers import PEERS, Peer, flop_counter_mode, unheard
from torch import nn

import bopscount

QUICK = (
    "alexnet", "densenet121", "efficientnet_b0", "mobilenet_v3_small", "resnet50",
    "shufflenet_v2_x0_5", "swin_t", "vit_b_16",
)  # fmt: skip
ROUNDS = 5
OURS_A_ROUND = 10
MAX_SLOWDOWN = 20
"""A rival this many times slower than the fastest, on three models in a row, is dropped."""
CONTENDER = 3
"""Rivals within this factor of the fastest take part in every round."""
NOT_OPS = ("uncalled", "parameters")


class Empty(nn.Module):
    def forward(self, value: object) -> object:
        return value


def seconds(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


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


class Bout:
    """One model: ours against the rivals still in the race."""

    def __init__(self, name: str, peers: list[Peer]) -> None:
        from torchvision.models import get_model

        self.name = name
        with unheard():
            model = get_model(name, weights=None).eval()
        side = _side(name, model)
        self.size = (3, side, side)
        self.ours = model_of(name, model)
        inputs = torch.rand(1, *self.size)
        on_meta = model_of(name), inputs.to("meta")
        self.calls: dict[str, Callable[[], object]] = {}
        for peer in peers:
            given = on_meta if peer.on_meta else (model_of(name, model), inputs)
            self.calls[peer.name] = lambda peer=peer, given=given: peer.count(*given)
        self.first = seconds(self.scan)
        self.table = bopscount.trace(self.ours, self.size)
        totals = bopscount.scan(self.ours, self.size)
        expected = flop_counter_mode(*on_meta)
        assert totals.macs == expected, f"{name}: {totals.macs} MACs, not {expected}"
        self.shapes = [
            shape
            for shape, op in zip(self.table.output_shapes, self.table.ops, strict=True)
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

    def measure(self, rounds: int) -> dict[str, object]:
        times: dict[str, list[float]] = {"ours": [self.first], "floor": [], "other": []}
        failed: dict[str, str] = {}
        other = self.other_size()

        def ours_and_floor() -> None:
            for _ in range(OURS_A_ROUND):
                times["ours"].append(seconds(self.scan))
                times["floor"].append(seconds(self.floor))
                if other is not None:
                    times["other"].append(seconds(lambda: bopscount.scan(self.ours, other)))

        ours_and_floor()
        peer_times: dict[str, float] = {}
        for name, call in self.calls.items():
            try:
                with unheard():
                    peer_times[name] = seconds(call)
            except Exception as error:
                failed[name] = f"{type(error).__name__}: {error}"[:100]
        fastest = min(peer_times.values(), default=math.inf)
        contenders = [n for n, taken in peer_times.items() if taken <= CONTENDER * fastest]
        for _ in range(rounds):
            ours_and_floor()
            for name in contenders:
                with unheard():
                    peer_times[name] = min(peer_times[name], seconds(self.calls[name]))
            ours_and_floor()
        best = min(times["ours"])
        row = {
            "model": self.name,
            "ms": best * 1e3,
            "records": len(self.shapes),
            "us_per_record": best / len(self.shapes) * 1e6,
            "floor_ms": min(times["floor"]) * 1e3,
            "over_floor": best / min(times["floor"]),
            "first_ms": self.first * 1e3,
            "other_size": min(times["other"]) / best if times["other"] else None,
            "peers_ms": {name: taken * 1e3 for name, taken in peer_times.items()},
            "failed": failed,
        }
        if peer_times:
            row["fastest"] = min(peer_times, key=peer_times.__getitem__)
            row["ratio"] = peer_times[row["fastest"]] / best
        return row


def _side(name: str, model: nn.Module) -> int:
    if name == "inception_v3":
        return 299
    return getattr(model, "image_size", 224)


def warm_up(peers: list[Peer]) -> None:
    """Imports and first-call caches are nobody's cost."""
    for peer in peers:
        model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU()).eval()
        device = "meta" if peer.on_meta else "cpu"
        with unheard(), suppress(Exception):
            peer.count(model.to(device), torch.rand(1, 3, 16, 16, device=device))
    bopscount.scan(nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU()), (3, 16, 16))


def measure_models(names: list[str], rounds: int, peers: list[Peer]) -> list[dict]:
    warm_up(peers)
    strikes = dict.fromkeys((peer.name for peer in peers), 0)
    rows = []
    print(
        "model                  ours ms  ops  us/op  /floor  first  other size"
        "   fastest rival                 ms    ratio"
    )
    for name in names:
        racing = [peer for peer in peers if strikes[peer.name] < 3]
        row = Bout(name, racing).measure(rounds)
        rows.append(row)
        fastest = min(row["peers_ms"].values(), default=math.inf)
        for peer in racing:
            taken = row["peers_ms"].get(peer.name, 0)
            slow = taken > MAX_SLOWDOWN * fastest
            strikes[peer.name] = strikes[peer.name] + 1 if slow else 0
            if strikes[peer.name] == 3:
                print(f"  ({peer.name} is left out from here: over {MAX_SLOWDOWN}x slower)")
        print_row(row)
    return rows


def print_row(row: dict) -> None:
    other = f"{row['other_size']:.2f}x" if row["other_size"] else "-"
    rival = (
        f"{row['fastest']:25} {row['peers_ms'][row['fastest']]:7.1f}" if "fastest" in row else ""
    )
    ratio = f"{row['ratio']:7.1f}x" if "ratio" in row else ""
    print(
        f"{row['model']:22} {row['ms']:7.2f} {row['records']:4} {row['us_per_record']:6.2f}"
        f" {row['over_floor']:6.2f}x {row['first_ms'] / row['ms']:5.2f}x {other:>10}"
        f"   {rival} {ratio}",
        flush=True,
    )
    for name, error in row["failed"].items():
        print(f"  ({name} failed: {error})")


def geomean(values: list[float]) -> float:
    return math.exp(sum(map(math.log, values)) / len(values))


def summary(rows: list[dict]) -> dict[str, float]:
    result = {
        "us_per_op": geomean([row["us_per_record"] for row in rows]),
        "us_per_op_most": max(row["us_per_record"] for row in rows),
        "over_floor": geomean([row["over_floor"] for row in rows]),
        "over_floor_most": max(row["over_floor"] for row in rows),
        "first": geomean([row["first_ms"] / row["ms"] for row in rows]),
    }
    others = [row["other_size"] for row in rows if row["other_size"]]
    if others:
        result["other_size"] = geomean(others)
    ratios = [row["ratio"] for row in rows if "ratio" in row]
    if ratios:
        result |= {"ratio": geomean(ratios), "ratio_least": min(ratios)}
    return result


def verdict(label: str, value: float, goal: float, aim: float | None, more: bool) -> None:
    """One line: what was measured, the goal, the aim."""
    sign = ">=" if more else "<="

    def reached(limit: float) -> str:
        return "reached" if (value >= limit if more else value <= limit) else "NOT reached"

    aimed = f"   aim {sign} {aim:g}: {reached(aim)}" if aim else ""
    print(f"  {label:52} {value:8.2f}   goal {sign} {goal:g}: {reached(goal)}{aimed}")


def print_summary(totals: dict[str, float]) -> None:
    print()
    if "ratio" in totals:
        verdict("faster than the fastest rival, geometric mean", totals["ratio"], 25, 50, True)
        verdict("  the least", totals["ratio_least"], 8, 20, True)
    verdict("us a recorded op, geometric mean", totals["us_per_op"], 10, None, False)
    verdict("  the most", totals["us_per_op_most"], 10, None, False)
    verdict("times the floor, geometric mean", totals["over_floor"], 3, 2, False)
    verdict("  the most", totals["over_floor_most"], 3, 2, False)
    print(f"  the very first scan against the best: {totals['first']:.2f}x", end="")
    if "other_size" in totals:
        print(f"; another resolution: {totals['other_size']:.2f}x", end="")
    print()


def print_chain(rows: list[dict]) -> None:
    print("\nnn.Sequential of linear layers:")
    for row in rows:
        print(
            f"  {row['modules']:8,} modules {row['ms']:9.2f} ms {row['us_per_module']:6.2f} us each"
            f", {row['us_per_module'] / row['bare_us_per_module']:.2f}x a loop that reads them"
        )


def print_llama(result: dict) -> None:
    print(f"\nLlama 3 405B on meta, 8,192 tokens, {result['records']:,} records:")
    for name in ("ids on meta", "real ids"):
        row = result[name]
        agrees = "as by hand" if row["macs_agree"] else f"NOT {result['expected_macs']:,}"
        print(f"  {name}: {row['macs']:,} MACs, {agrees}; first scan {row['first_seconds']:.3f} s")
        verdict("  best scan, s", row["seconds"], 0.5, None, False)
        verdict("  more memory at its peak, first scan, MB", row["megabytes"], 50, None, False)


def profile(name: str) -> None:
    from torchvision.models import get_model

    model = get_model(name, weights=None).eval()
    side = _side(name, model)
    bopscount.scan(model, (3, side, side))
    best = min(seconds(lambda: bopscount.scan(model, (3, side, side))) for _ in range(20))
    records = len(bopscount.trace(model, (3, side, side)))
    print(f"{name}: {best * 1e3:.3f} ms, {records} records, {best / records * 1e6:.2f} us each")
    profiler = cProfile.Profile()
    n_scans = 20
    with profiler:
        for _ in range(n_scans):
            bopscount.scan(model, (3, side, side))
    print(f"{n_scans} scans, under a profiler that makes Python calls dearer than they are:")
    pstats.Stats(profiler, stream=sys.stdout).sort_stats("tottime").print_stats(30)


def classification_models() -> list[str]:
    import torchvision

    return torchvision.models.list_models(module=torchvision.models)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results there too")
    parser.add_argument("--models", metavar="A,B", help="instead of all of torchvision's")
    parser.add_argument("--quick", action="store_true", help=f"{len(QUICK)} models, about 2 min")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="turns of ours and rivals")
    parser.add_argument("--no-peers", action="store_true", help="ours and the floor only")
    parser.add_argument("--no-large", action="store_true", help="no chain, no Llama")
    parser.add_argument("--profile", metavar="MODEL", help="where the time goes, by function")
    arguments = parser.parse_args()
    if arguments.profile:
        profile(arguments.profile)
        return
    load = os.getloadavg()[0]
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, load {load:.1f} at start")
    if load > 1:
        print("the machine is busy: rivals, which use all threads, lose more by that than we do")
    results: dict[str, object] = {"torch": torch.__version__, "load": load}
    if not arguments.no_large:
        results["llama"] = _or_nothing(lambda: measure_llama(arguments.rounds))
        results["chain"] = measure_chain(3)
    peers = [] if arguments.no_peers else [peer for peer in PEERS if peer.is_installed()]
    absent = [peer.name for peer in PEERS if not (arguments.no_peers or peer.is_installed())]
    if absent:
        print(f"not installed: {', '.join(absent)}")
    names = arguments.models.split(",") if arguments.models else list(QUICK)
    if not (arguments.models or arguments.quick):
        names = classification_models()
    results["models"] = rows = measure_models(names, arguments.rounds, peers)
    results["summary"] = totals = summary(rows)
    print_summary(totals)
    if not arguments.no_large:
        print_chain(results["chain"])
        if results["llama"]:
            print_llama(results["llama"])
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=1) + "\n")


def _or_nothing(measure: Callable[[], dict]) -> dict | None:
    try:
        return measure()
    except ImportError as error:
        print(f"left out: {error}")
        return None


if __name__ == "__main__":
    main()
