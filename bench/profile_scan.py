"""Where a scan's time goes, by function: `python bench/profile_scan.py resnet50`."""

from __future__ import annotations

import argparse
import cProfile
import pstats
import sys

from clock import seconds
from tracing import side_of

import bopscount

N_SCANS = 20


def profile(name: str) -> None:
    from torchvision.models import get_model

    model = get_model(name, weights=None).eval()
    side = side_of(name, model)

    def scan() -> object:
        return bopscount.scan(model, (3, side, side))

    best = min(seconds(scan) for _ in range(N_SCANS))
    records = len(bopscount.trace(model, (3, side, side)))
    print(f"{name}: {best * 1e3:.3f} ms, {records} records, {best / records * 1e6:.2f} us each")
    profiler = cProfile.Profile()
    with profiler:
        for _ in range(N_SCANS):
            scan()
    print(f"{N_SCANS} scans, under a profiler that makes Python calls dearer than they are:")
    pstats.Stats(profiler, stream=sys.stdout).sort_stats("tottime").print_stats(30)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", help="one of torchvision's classification models")
    profile(parser.parse_args().model)
