"""Networks of NATS-Bench's topology space (Dong et al., 2021), from a cell's string.

"|op~0|+|op~0|op~1|+|op~0|op~1|op~2|": what each of three nodes adds up, and of which node.
"""

import torch
from torch import nn

CHANNELS, CELLS = 16, 5


def relu_conv_norm(in_channels, out_channels, kernel, stride=1):
    return nn.Sequential(
        nn.ReLU(),
        nn.Conv2d(in_channels, out_channels, kernel, stride, kernel // 2, bias=False),
        nn.BatchNorm2d(out_channels),
    )


class Zero(nn.Module):
    """The edge that is not there."""

    def forward(self, x):
        return x * 0


def operation(name, channels):
    if name == "none":
        return Zero()
    if name == "skip_connect":
        return nn.Identity()
    if name == "avg_pool_3x3":
        return nn.AvgPool2d(3, 1, 1, count_include_pad=False)
    return relu_conv_norm(channels, channels, int(name[-1]))


class Cell(nn.Module):
    def __init__(self, text, channels):
        super().__init__()
        nodes = [
            [edge.split("~") for edge in node.strip("|").split("|")] for node in text.split("+")
        ]
        self.sources = [[int(source) for _, source in node] for node in nodes]
        self.edges = nn.ModuleList(
            nn.ModuleList(operation(name, channels) for name, _ in node) for node in nodes
        )

    def forward(self, x):
        values = [x]
        for sources, edges in zip(self.sources, self.edges, strict=True):
            terms = [edge(values[i]) for i, edge in zip(sources, edges, strict=True)]
            values.append(torch.stack(terms).sum(0))
        return values[-1]


class Reduction(nn.Module):
    """Residual block that halves the resolution."""

    def __init__(self, in_channels, out_channels):
        super().__init__()
        self.body = nn.Sequential(
            relu_conv_norm(in_channels, out_channels, 3, 2),
            relu_conv_norm(out_channels, out_channels, 3),
        )
        self.shortcut = nn.Sequential(
            nn.AvgPool2d(2), nn.Conv2d(in_channels, out_channels, 1, bias=False)
        )

    def forward(self, x):
        return self.shortcut(x) + self.body(x)


class NatsBench(nn.Module):
    """Stem, three stages of five cells, classifier."""

    def __init__(self, text, num_classes=10):
        super().__init__()
        layers = [nn.Conv2d(3, CHANNELS, 3, 1, 1, bias=False), nn.BatchNorm2d(CHANNELS)]
        channels = CHANNELS
        for stage in range(3):
            if stage:
                layers.append(Reduction(channels, 2 * channels))
                channels *= 2
            layers += [Cell(text, channels) for _ in range(CELLS)]
        self.features = nn.Sequential(
            *layers, nn.BatchNorm2d(channels), nn.ReLU(), nn.AdaptiveAvgPool2d(1)
        )
        self.classifier = nn.Linear(channels, num_classes)

    def forward(self, x):
        return self.classifier(torch.flatten(self.features(x), 1))
