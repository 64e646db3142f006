"""A linear layer and a small network, inputs of theirs, and what they cost."""

from torch import nn

import bopscount
from support.tracing_cases import values

ROWS, IMAGE = values(3, 8), values(2, 3, 8, 8)
PER_ROW = 8 * 6


def linear():
    return nn.Linear(8, 6, bias=False)


def network():
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(),
                         nn.Linear(144, 5)).eval()  # fmt: skip


NETWORK_MACS = 2 * (36 * 4 * 27 + 144 * 5)


def scan(model, inputs, **options):
    options.setdefault("run", "never")
    return bopscount.scan(model, inputs=inputs, **options)
