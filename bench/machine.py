"""What the numbers depend on, without names of hosts or people."""

from __future__ import annotations

import os
import platform
from datetime import date
from pathlib import Path

import numpy as np
import torch


def now() -> dict[str, object]:
    return {
        "date": date.today().isoformat(),
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)),
        "load": round(os.getloadavg()[0], 1),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
    }


def text(when: dict[str, object]) -> str:
    return (
        "{date}, {processor}, {cores} cores (load {load} at the start), Python {python}, "
        "torch {torch}, numpy {numpy}"
    ).format(**when)


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return " ".join(line.partition(":")[2].split())
    return platform.machine()
