"""ResNet-50 of the paper (He et al., 2015, table 1): the stride is in a block's first 1x1."""

import torch
from torch import nn


def conv_norm(in_channels, out_channels, kernel, stride=1):
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, kernel, stride, kernel // 2, bias=False),
        nn.BatchNorm2d(out_channels),
    )


class Bottleneck(nn.Module):
    """1x1 down, 3x3, 1x1 up by four."""

    def __init__(self, in_channels, width, stride):
        super().__init__()
        self.body = nn.Sequential(
            conv_norm(in_channels, width, 1, stride),
            nn.ReLU(),
            conv_norm(width, width, 3),
            nn.ReLU(),
            conv_norm(width, 4 * width, 1),
        )
        same = in_channels == 4 * width
        self.shortcut = nn.Identity() if same else conv_norm(in_channels, 4 * width, 1, stride)
        self.relu = nn.ReLU()

    def forward(self, x):
        return self.relu(self.body(x) + self.shortcut(x))


class ResNet50(nn.Module):
    """Stem, stages of 3, 4, 6 and 3 blocks, classifier."""

    def __init__(self, num_classes=1000):
        super().__init__()
        self.stem = conv_norm(3, 64, 7, 2)
        layers = [nn.ReLU(), nn.MaxPool2d(3, 2, 1)]
        channels = 64
        for stage, repeats in enumerate((3, 4, 6, 3)):
            width = 64 * 2**stage
            for index in range(repeats):
                layers.append(Bottleneck(channels, width, 2 if stage and not index else 1))
                channels = 4 * width
        self.features = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1))
        self.fc = nn.Linear(channels, num_classes)

    def forward(self, x):
        return self.fc(torch.flatten(self.features(self.stem(x)), 1))
