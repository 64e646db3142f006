"""Small networks of other tools' tests, and the perceptron of jet classification."""

from itertools import pairwise

from torch import nn


def jet_perceptron():
    """16-64-32-32-5 (Duarte et al., 2018)."""
    widths = (16, 64, 32, 32, 5)
    layers = [nn.Linear(widths[0], widths[1])]
    for before, after in pairwise(widths[1:]):
        layers += [nn.ReLU(), nn.Linear(before, after)]
    return nn.Sequential(*layers)


def mct_sequential():
    """Convolution, depthwise with multiplier 2, transposed convolution, linear: 3x18x18."""
    return nn.Sequential(
        nn.Conv2d(3, 8, 5),
        nn.Conv2d(8, 16, 3, groups=8),
        nn.ConvTranspose2d(16, 12, 5),
        nn.Flatten(),
        nn.Linear(12 * 16 * 16, 10),
    )


class MctMultiOutput(nn.Module):
    """A grouped and a depthwise convolution of one image, a linear layer behind the first."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 15, 3, groups=3)
        self.depthwise = nn.Conv2d(3, 15, 3, groups=3)
        self.fc = nn.Linear(15 * 16 * 16, 10)

    def forward(self, x):
        x, y = self.conv(x), self.depthwise(x)
        return self.fc(x.flatten(1)), y
