"""What architecture searches build: random networks, cells, mobile networks, a supernet.

Everything is drawn from a `random.Random`: same seed, same candidate. Images of any side fit.
"""

from __future__ import annotations

from random import Random

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

CLASSES = 10


def _head(channels: int) -> nn.Sequential:
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, CLASSES))


def _conv_norm(channels: int, out: int, kernel: int, stride: int = 1, groups: int = 1) -> list:
    conv = nn.Conv2d(channels, out, kernel, stride, kernel // 2, groups=groups, bias=False)
    return [conv, nn.BatchNorm2d(out)]


def plain_network(random: Random) -> nn.Sequential:
    """4 to 12 convolutions with normalisation, some strided."""
    layers: list[nn.Module] = []
    channels = 3
    for depth in range(random.randint(4, 12)):
        out = 8 * random.randint(2, 16)
        stride = 2 if depth % 4 == 1 else 1
        layers += [*_conv_norm(channels, out, random.choice((1, 3, 5)), stride), nn.ReLU()]
        channels = out
    return nn.Sequential(*layers, *_head(channels))


class Zero(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x * 0


class Cell(nn.Module):
    """Four nodes, each the sum of an operation on every node before it, as in NAS-Bench-201."""

    NODES = 4

    def __init__(self, channels: int, operations: list[str]) -> None:
        super().__init__()
        self.edges = nn.ModuleList(self._operation(name, channels) for name in operations)

    @staticmethod
    def _operation(name: str, channels: int) -> nn.Module:
        if name == "none":
            return Zero()
        if name == "skip":
            return nn.Identity()
        if name == "pool":
            return nn.AvgPool2d(3, 1, 1, count_include_pad=False)
        kernel = {"conv1": 1, "conv3": 3}[name]
        return nn.Sequential(nn.ReLU(), *_conv_norm(channels, channels, kernel))

    def forward(self, x: Tensor) -> Tensor:
        nodes, edges = [x], iter(self.edges)
        for _ in range(1, self.NODES):
            nodes.append(sum(edge(node) for node, edge in zip(nodes, edges, strict=False)))
        return nodes[-1]


class Reduction(nn.Module):
    """A residual block of stride 2 between stages of cells."""

    def __init__(self, channels: int, out: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            *_conv_norm(channels, out, 3, 2), nn.ReLU(), *_conv_norm(out, out, 3)
        )
        self.shortcut = nn.Sequential(nn.AvgPool2d(2, 2), nn.Conv2d(channels, out, 1, bias=False))

    def forward(self, x: Tensor) -> Tensor:
        return self.body(x) + self.shortcut(x)


def cell_network(random: Random) -> nn.Sequential:
    """One random cell, five times in each of three stages of 16, 32 and 64 channels."""
    names = ("none", "skip", "pool", "conv1", "conv3")
    operations = [random.choice(names) for _ in range(Cell.NODES * (Cell.NODES - 1) // 2)]
    layers: list[nn.Module] = _conv_norm(3, 16, 3)
    for stage, channels in enumerate((16, 32, 64)):
        if stage:
            layers.append(Reduction(channels // 2, channels))
        layers += [Cell(channels, operations) for _ in range(5)]
    return nn.Sequential(*layers, nn.BatchNorm2d(64), nn.ReLU(), *_head(64))


class InvertedResidual(nn.Module):
    def __init__(self, channels: int, out: int, kernel: int, stride: int, expand: int) -> None:
        super().__init__()
        inner = channels * expand
        self.body = nn.Sequential(
            *_conv_norm(channels, inner, 1),
            nn.Hardswish(),
            *_conv_norm(inner, inner, kernel, stride, inner),
            nn.Hardswish(),
            *_conv_norm(inner, out, 1),
        )
        self.adds = stride == 1 and channels == out

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x) if self.adds else self.body(x)


def mobile_network(random: Random) -> nn.Sequential:
    """Five stages of 2 to 4 inverted residuals with random kernels and expansions."""
    layers: list[nn.Module] = [*_conv_norm(3, 16, 3, 2), nn.Hardswish()]
    channels = 16
    for stage, stride in enumerate((1, 2, 2, 1, 2)):
        out = 8 * random.randint(2 + 2 * stage, 4 + 3 * stage)
        for block in range(random.randint(2, 4)):
            kernel, expand = random.choice((3, 5, 7)), random.choice((3, 4, 6))
            layers.append(InvertedResidual(channels, out, kernel, 1 if block else stride, expand))
            channels = out
    return nn.Sequential(*layers, *_conv_norm(channels, 6 * channels, 1), *_head(6 * channels))


class ElasticConv(nn.Module):
    """A convolution whose kernel is cut from the middle, and whose channels from the front."""

    def __init__(self, channels: int, out: int, kernel: int, stride: int, depthwise: bool) -> None:
        super().__init__()
        fan_in = 1 if depthwise else channels
        self.weight = nn.Parameter(torch.empty(out, fan_in, kernel, kernel))
        self.norm = nn.BatchNorm2d(out)
        self.stride, self.depthwise = stride, depthwise
        self.kernel, self.out = kernel, out

    def forward(self, x: Tensor) -> Tensor:
        channels = x.shape[1]
        out = channels if self.depthwise else self.out
        edge = (self.weight.shape[-1] - self.kernel) // 2
        middle = slice(edge, edge + self.kernel)
        weight = self.weight[:out, : 1 if self.depthwise else channels, middle, middle]
        groups = channels if self.depthwise else 1
        x = F.conv2d(x, weight, None, self.stride, self.kernel // 2, groups=groups)
        norm = self.norm
        return F.batch_norm(
            x, norm.running_mean[:out], norm.running_var[:out], norm.weight[:out], norm.bias[:out]
        )


class ElasticBlock(nn.Module):
    EXPAND = 6

    def __init__(self, channels: int, out: int, stride: int) -> None:
        super().__init__()
        inner = channels * self.EXPAND
        self.channels, self.adds = channels, stride == 1 and channels == out
        self.widen = ElasticConv(channels, inner, 1, 1, depthwise=False)
        self.spatial = ElasticConv(inner, inner, 7, stride, depthwise=True)
        self.narrow = ElasticConv(inner, out, 1, 1, depthwise=False)

    def choose(self, random: Random) -> None:
        self.spatial.kernel = random.choice((3, 5, 7))
        self.widen.out = self.channels * random.choice((3, 4, 6))

    def forward(self, x: Tensor) -> Tensor:
        inner = F.hardswish(self.spatial(F.hardswish(self.widen(x))))
        return x + self.narrow(inner) if self.adds else self.narrow(inner)


class Supernet(nn.Module):
    """Elastic kernel, width and depth over shared weights, as in Once-for-all."""

    DEPTH = 4

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(*_conv_norm(3, 16, 3, 2), nn.Hardswish())
        self.stages = nn.ModuleList()
        channels = 16
        for out, stride in ((24, 1), (40, 2), (80, 2), (112, 1), (160, 2)):
            blocks = [ElasticBlock(channels, out, stride)]
            blocks += [ElasticBlock(out, out, 1) for _ in range(self.DEPTH - 1)]
            self.stages.append(nn.ModuleList(blocks))
            channels = out
        self.head = _head(channels)
        self.depths = [self.DEPTH] * len(self.stages)

    def choose(self, random: Random) -> None:
        """Another active sub-network."""
        self.depths = [random.randint(2, self.DEPTH) for _ in self.stages]
        for stage in self.stages:
            for block in stage:
                block.choose(random)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        for stage, depth in zip(self.stages, self.depths, strict=True):
            for block in stage[:depth]:
                x = block(x)
        return self.head(x)
