"""Quantisation-aware layers as research code writes them, under names that nobody knows."""

import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812 - torch's own custom


def pass_through(quantised, x):
    """Straight-through as most code has it: the value is off by what floats round off."""
    return x + (quantised - x).detach()


def dorefa_weights(weight, bits):
    if bits == 1:
        return torch.sign(weight) * weight.abs().mean()
    squashed = torch.tanh(weight)
    unit = squashed / (2 * squashed.abs().max()) + 0.5
    return 2 * pass_through(torch.round(unit * (2**bits - 1)) / (2**bits - 1), unit) - 1


def dorefa_inputs(x, bits):
    clipped = x.clamp(0, 1)
    return pass_through(torch.round(clipped * (2**bits - 1)) / (2**bits - 1), clipped)


def xnor_weights(weight, bits):
    dims = tuple(range(1, weight.dim()))
    centred = weight - weight.mean(dims, keepdim=True)
    return centred.sign() * weight.abs().mean(dims, keepdim=True)


def sign_inputs(x, bits):
    return pass_through(torch.where(x >= 0, 1.0, -1.0), x.clamp(-1, 1))


def ternary_weights(weight, bits):
    """TWN: a threshold and a scale per output channel."""
    dims = tuple(range(1, weight.dim()))
    kept = weight.abs() > 0.7 * weight.abs().mean(dims, keepdim=True)
    scale = (weight.abs() * kept).sum(dims, keepdim=True) / kept.sum(dims, keepdim=True)
    return weight.sign() * kept * scale


def lsq(x, step, low, high):
    scaled = (x / step).clamp(low, high)
    return pass_through(scaled.round(), scaled) * step


def lsq_weights(weight, bits):
    return lsq(weight, 2 * weight.std() / 2 ** (bits - 1), -(2 ** (bits - 1)), 2 ** (bits - 1) - 1)


def lsq_channel_weights(weight, bits):
    step = 2 * weight.flatten(1).std(1).reshape(-1, *[1] * (weight.dim() - 1)) / 2 ** (bits - 1)
    return lsq(weight, step, -(2 ** (bits - 1)), 2 ** (bits - 1) - 1)


def lsq_inputs(x, bits):
    return lsq(x, 2 / 2**bits, 0, 2**bits - 1)


def absmax_weights(weight, bits):
    """BitNet b1.58: ternary by the mean of the tensor."""
    scale = weight.abs().mean()
    return (weight / scale).round().clamp(-1, 1) * scale


def absmax_inputs(x, bits):
    """A scale for every token."""
    scale = x.abs().amax(-1, keepdim=True) / (2 ** (bits - 1) - 1)
    return pass_through((x / scale).round() * scale, x)


def asymmetric_inputs(x, bits):
    """Of min and max; zero is no level."""
    low, high = x.min(), x.max()
    step = (high - low) / (2**bits - 1)
    return ((x - low) / step).round() * step + low


class SomeConv(nn.Conv2d):
    def __init__(self, *args, weights, inputs, w, a, **kwargs):
        super().__init__(*args, **kwargs)
        self.methods, self.widths = (weights, inputs), (w, a)

    def forward(self, x):
        (weights, inputs), (w, a) = self.methods, self.widths
        return self._conv_forward(inputs(x, a), weights(self.weight, w), self.bias)


class SomeLinear(nn.Linear):
    def __init__(self, *args, weights, inputs, w, a, **kwargs):
        super().__init__(*args, **kwargs)
        self.methods, self.widths = (weights, inputs), (w, a)

    def forward(self, x):
        (weights, inputs), (w, a) = self.methods, self.widths
        return F.linear(inputs(x, a), weights(self.weight, w), self.bias)


class Net(nn.Module):
    """A float stem and classifier; between them two low-bit convolutions and a shortcut."""

    def __init__(self, **quantisers):
        super().__init__()
        self.stem = nn.Conv2d(3, 32, 3, padding=1)
        self.norm1, self.norm2 = nn.BatchNorm2d(32), nn.BatchNorm2d(32)
        self.conv1 = SomeConv(32, 32, 3, padding=1, bias=False, **quantisers)
        self.conv2 = SomeConv(32, 32, 3, padding=1, **quantisers)
        self.head = nn.Linear(32, 10)

    def forward(self, x):
        x = self.stem(x)
        x = x + self.conv1(self.norm1(x))
        x = F.relu(x + self.conv2(self.norm2(x)))
        return self.head(x.mean((2, 3)))


def built(net, seed=0):
    """The module with random weights, and norms that have seen such a picture."""
    torch.manual_seed(seed)
    model = net()
    with torch.no_grad():
        for _ in range(20):
            model(torch.rand(4, 3, 16, 16))
    return model.eval()
