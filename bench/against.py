"""This build against another one: `python bench/against.py OTHER_CHECKOUT`, in one run.

Both packages are imported from their checkouts, built in place (`pip install -e .` in each), each
in a process of its own. The two take turns, workload by workload, so that the machine's moods meet
both. A ratio over 1 means that this build is slower.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from statistics import median
from time import perf_counter

HERE = Path(__file__).resolve().parent.parent
GOAL = 1.03


def workloads() -> dict[str, Callable[[], object]]:
    """What is timed, on the package that is on the path."""
    import numpy as np
    import torch
    from torch import nn
    from torch.nn import functional as F  # noqa: N812 - torch's own custom

    import bopscount
    from bopscount.networks import NETWORKS

    class Attention(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.norm, self.qkv, self.out = (
                nn.LayerNorm(192),
                nn.Linear(192, 576),
                nn.Linear(192, 192),
            )

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            batch, length, width = x.shape
            qkv = (
                self.qkv(self.norm(x)).view(batch, length, 3, 3, width // 3).permute(2, 0, 3, 1, 4)
            )
            mixed = F.scaled_dot_product_attention(*qkv.unbind(0)).transpose(1, 2)
            return x + self.out(mixed.reshape(batch, length, width))

    class Functional(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            shape = 32, 32, 3, 3
            self.weights = nn.ParameterList(nn.Parameter(torch.empty(shape)) for _ in range(12))
            self.norm = nn.Parameter(torch.ones(32))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            for weight in self.weights:
                x = F.relu(F.conv2d(x, weight, padding=1)) + x
                x = F.layer_norm(x.permute(0, 2, 3, 1), (32,), self.norm).permute(0, 3, 1, 2)
                x = torch.softmax(x, 1)
            return F.max_pool2d(x, 2)

    def blocks(depth: int) -> nn.Sequential:
        layers: list[nn.Module] = [nn.Conv2d(3, 64, 3, padding=1)]
        for _ in range(depth):
            layers += [nn.Conv2d(64, 64, 3, padding=1), nn.BatchNorm2d(64), nn.ReLU(inplace=True)]
        return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10))

    def scan(
        model: nn.Module, *size: int, dtype: torch.dtype | None = None
    ) -> Callable[[], object]:
        model.eval()
        return lambda: bopscount.scan(model, size, dtype=dtype)

    encoder = nn.TransformerEncoder(
        nn.TransformerEncoderLayer(64, 4, 128, batch_first=True), 6, enable_nested_tensor=False
    )
    attention = nn.Sequential(*(Attention() for _ in range(12)))
    chain = blocks(16).eval()
    table = bopscount.trace(chain, (3, 32, 32))
    rng = np.random.default_rng(0)
    records = np.tile(table.records, 2000)
    records["owner"] = 0
    search = bopscount.BitSearch(table, metrics=("bops", "ops", "weight_bytes"))
    bits = rng.integers(1, 9, (100_000, len(table.mac_layers)), np.uint8)
    choices = bopscount.ChoiceTable.from_costs({"macs": rng.integers(1, 10**9, (20, 7)).tolist()})
    candidates = rng.integers(0, 7, (1_000_000, 20), np.uint8)
    return {
        "scan: chain of 16 blocks": scan(chain, 3, 32, 32),
        "scan: ReActNet-A": scan(NETWORKS["reactnet_a"].build(), 3, 224, 224),
        "scan: QuickNet": scan(NETWORKS["quicknet"].build(), 3, 224, 224),
        "scan: attention by functions": scan(attention, 196, 192),
        "scan: TransformerEncoder": scan(encoder, 50, 64),
        "scan: convolutions by functions": scan(Functional(), 32, 16, 16),
        "scan: LSTM": scan(nn.Sequential(nn.LSTM(32, 64, 2)), 10, 32),
        "trace and count": lambda: bopscount.count(bopscount.trace(chain, (3, 32, 32))),
        "count: array of layers": lambda: bopscount._core.count_totals(records, "full"),
        "bits: 100,000 candidates": lambda: search.count(bits, bits, n_threads=1),
        "choices: 1,000,000 candidates": lambda: choices.count(candidates, n_threads=1),
    }


def serve(package: str) -> None:
    """Time a workload for each line of standard input: its name and a number of calls."""
    sys.path.insert(0, package)
    sys.meta_path = [finder for finder in sys.meta_path if "editable" not in repr(finder).lower()]
    calls = workloads()
    import bopscount

    print(json.dumps([str(Path(bopscount.__file__).parent.parent), list(calls)]), flush=True)
    for line in sys.stdin:
        name, n_calls = json.loads(line)
        start = perf_counter()
        for _ in range(n_calls):
            calls[name]()
        print(json.dumps((perf_counter() - start) / n_calls), flush=True)


class Build:
    """A process that times the package of one checkout."""

    def __init__(self, package: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, __file__, "--serve", str(package)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        where, self.names = self._answer()
        if Path(where) != package:
            raise SystemExit(f"imported {where}, not {package}: build it there, pip install -e .")

    def _answer(self) -> object:
        assert self._process.stdout is not None
        return json.loads(self._process.stdout.readline())

    def seconds(self, name: str, n_calls: int) -> float:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps([name, n_calls]) + "\n")
        self._process.stdin.flush()
        return float(self._answer())


def main() -> int:
    parser = argparse.ArgumentParser(prog="python bench/against.py", description=__doc__)
    parser.add_argument("other", nargs="?", type=Path, help="the other checkout, built in place")
    parser.add_argument("--rounds", type=int, default=15, help="turns of each (default: 15)")
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve(options.serve)
        return 0
    if options.other is None or not (options.other / "bopscount").is_dir():
        parser.error(f"other must be a checkout with bopscount/ in it, got {options.other}")
    builds = Build(HERE), Build(options.other.resolve())
    print(f"{'workload':34}{'this ms':>10}{'other ms':>10}{'best':>8}{'median':>8}")
    ratios = []
    for name in builds[0].names:
        n_calls = max(1, int(0.05 / builds[0].seconds(name, 2)))
        builds[1].seconds(name, 2)
        turns = [[build.seconds(name, n_calls) for build in builds] for _ in range(options.rounds)]
        ours, theirs = (list(times) for times in zip(*turns, strict=True))
        best = min(ours) / min(theirs)
        middle = median(a / b for a, b in turns)
        ratios.append((best, middle))
        print(f"{name:34}{1e3 * min(ours):10.3f}{1e3 * min(theirs):10.3f}{best:8.3f}{middle:8.3f}",
              flush=True)  # fmt: skip
    bests, medians = zip(*ratios, strict=True)
    print(f"slowest: best {max(bests):.3f}, median {max(medians):.3f}; goal at most {GOAL}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
