"""Networks whose widths, windows and groups are arguments: the oracle of changed candidates."""

import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812 - torch's own custom


class BasicBlock(nn.Module):
    """Two convolutions, added to their input or its projection."""

    def __init__(self, before, inner, after, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(before, inner, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(inner)
        self.conv2 = nn.Conv2d(inner, after, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(after)
        self.relu = nn.ReLU(inplace=True)
        self.shortcut = None
        if stride != 1:
            self.shortcut = nn.Sequential(
                nn.Conv2d(before, after, 1, stride, bias=False), nn.BatchNorm2d(after)
            )

    def forward(self, x):
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        out += x if self.shortcut is None else self.shortcut(x)
        return self.relu(out)


class ResNet(nn.Module):
    """A stem, two stages of two blocks, pooling and a classifier."""

    def __init__(self, widths=(16, 24), inners=(16, 16, 24, 24)):
        super().__init__()
        one, two = widths
        self.conv1 = nn.Conv2d(3, one, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(one)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        self.layer1 = nn.Sequential(
            BasicBlock(one, inners[0], one, 1), BasicBlock(one, inners[1], one, 1)
        )
        self.layer2 = nn.Sequential(
            BasicBlock(one, inners[2], two, 2), BasicBlock(two, inners[3], two, 1)
        )
        self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
        self.fc = nn.Linear(two, 10)

    def forward(self, x):
        x = self.maxpool(torch.relu(self.bn1(self.conv1(x))))
        x = self.layer2(self.layer1(x))
        return self.fc(torch.flatten(self.avgpool(x), 1))


RESNET_STAGES = (("conv1", "layer1.*.conv2"), ("layer2.*.conv2", "layer2.0.shortcut.0"))
RESNET_INNERS = ("layer1.0.conv1", "layer1.1.conv1", "layer2.0.conv1", "layer2.1.conv1")


class SqueezeExcite(nn.Module):
    """Scales channels by what a two-layer perceptron says of their means."""

    def __init__(self, width, inner, by_view):
        super().__init__()
        self.by_view = by_view
        self.reduce = nn.Linear(width, inner) if by_view else nn.Conv2d(width, inner, 1)
        self.expand = nn.Linear(inner, width) if by_view else nn.Conv2d(inner, width, 1)

    def forward(self, x):
        if self.by_view:
            n, c = x.shape[:2]
            scale = F.relu(self.reduce(x.mean((2, 3))))
            return x * torch.sigmoid(self.expand(scale)).view(n, c, 1, 1)
        scale = F.relu(self.reduce(x.mean((2, 3), keepdim=True)))
        return x * F.hardsigmoid(self.expand(scale))


class InvertedResidual(nn.Module):
    """Expand, depthwise, squeeze-and-excite, project; added to its input where they agree."""

    def __init__(self, before, inner, after, kernel, stride, squeezed, by_view):
        super().__init__()
        self.expand = nn.Sequential(
            nn.Conv2d(before, inner, 1, bias=False), nn.BatchNorm2d(inner), nn.ReLU6(True)
        )
        self.depthwise = nn.Sequential(
            nn.Conv2d(inner, inner, kernel, stride, kernel // 2, groups=inner, bias=False),
            nn.BatchNorm2d(inner),
            nn.Hardswish(),
        )
        self.se = SqueezeExcite(inner, squeezed, by_view)
        self.project = nn.Sequential(nn.Conv2d(inner, after, 1, bias=False), nn.BatchNorm2d(after))
        self.adds = stride == 1

    def forward(self, x):
        out = self.project(self.se(self.depthwise(self.expand(x))))
        return x + out if self.adds else out


class MobileNet(nn.Module):
    """Three inverted residuals, of which the last one is residual."""

    def __init__(self, stem=8, inners=(16, 24, 32), after=(12, 20), kernels=(3, 5, 3),
                 squeezed=4, by_view=False):  # fmt: skip
        super().__init__()
        self.stem = nn.Conv2d(3, stem, 3, 2, 1)
        self.blocks = nn.Sequential(
            InvertedResidual(stem, inners[0], after[0], kernels[0], 2, squeezed, by_view),
            InvertedResidual(after[0], inners[1], after[1], kernels[1], 2, squeezed, by_view),
            InvertedResidual(after[1], inners[2], after[1], kernels[2], 1, squeezed, by_view),
        )
        self.classifier = nn.Sequential(nn.Dropout(), nn.Linear(after[1], 10))

    def forward(self, x):
        return self.classifier(self.blocks(self.stem(x)).mean([2, 3]))


def vgg(widths=(6, 10), hidden=20, side=4, flatten=True):
    """Convolutions with a bias, pools, and a classifier that reads every position."""
    layers = [
        nn.Conv2d(3, widths[0], 3, padding=1),
        nn.PReLU(widths[0]),
        nn.MaxPool2d(2),
        nn.Conv2d(widths[0], widths[1], 3, padding=1),
        nn.GroupNorm(2, widths[1]),
        nn.LeakyReLU(),
        nn.AvgPool2d(2),
        nn.Flatten() if flatten else _View(),
        nn.Linear(widths[1] * side * side, hidden),
        nn.LayerNorm(hidden),
        nn.GELU(),
        nn.Linear(hidden, 10),
        nn.Softmax(1),
    ]
    return nn.Sequential(*layers)


class _View(nn.Module):
    def forward(self, x):
        return x.view(x.size(0), -1)


class DenseNet(nn.Module):
    """Each layer reads all before it; a transition; concatenation by torch.cat."""

    def __init__(self, stem=8, growths=(4, 6, 5), transition=10):
        super().__init__()
        self.stem = nn.Conv2d(3, stem, 3, padding=1)
        layers, channels = [], stem
        for growth in growths:
            layers.append(nn.Sequential(nn.BatchNorm2d(channels), nn.ReLU(),
                                        nn.Conv2d(channels, growth, 3, padding=1)))  # fmt: skip
            channels += growth
        self.layers = nn.ModuleList(layers)
        self.transition = nn.Conv2d(channels, transition, 1)
        self.fc = nn.Linear(transition, 7)

    def forward(self, x):
        x = self.stem(x)
        for layer in self.layers:
            x = torch.cat([x, layer(x)], 1)
        x = F.avg_pool2d(self.transition(x), 2)
        return self.fc(x.mean(dim=(2, 3)))


class Mixed(nn.Module):
    """Transposed and grouped convolution, a shared layer, GLU, padding, one-dimensional ends."""

    def __init__(self, up=8, grouped=12, groups=4, shared=16):
        super().__init__()
        self.up = nn.ConvTranspose2d(3, up, 2, 2)
        self.norm = nn.InstanceNorm2d(up, affine=True)
        self.grouped = nn.Conv2d(up, grouped, 3, padding=1, groups=groups)
        self.into = nn.Conv2d(grouped, shared, 1)
        self.shared = nn.Conv2d(shared, shared, 3, padding="same")
        self.glu = nn.GLU(1)
        self.head = nn.Conv1d(shared // 2, 5, 3)

    def forward(self, x):
        x = self.grouped(F.pad(self.norm(self.up(x)), (1, 1, 1, 1)))
        x = self.shared(self.shared(self.into(x))) * 2 + 1
        return self.head(self.glu(x).flatten(2))
