"""The attribute layouts of research code: where the widths are, and what forward calls."""

from types import SimpleNamespace

import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812 - torch's own custom


class Function(torch.autograd.Function):
    """A straight-through sign, as all of them have it."""

    @staticmethod
    def forward(ctx, x):
        return x.sign()

    @staticmethod
    def backward(ctx, gradient):
        return gradient


class HardSign(nn.Module):
    def forward(self, x):
        return Function.apply(x)


class BinarizeConv2d(nn.Conv2d):
    def forward(self, x):
        if x.size(1) != 3:
            x.data = x.data.sign()
        if not hasattr(self.weight, "org"):
            self.weight.org = self.weight.data.clone()
        return F.conv2d(
            x, self.weight.org.sign(), None, self.stride, self.padding, self.dilation, self.groups
        )


class BinarizeLinear(nn.Linear):
    def forward(self, x):
        if x.size(1) != 784:
            x = x.sign()
        return F.linear(x, self.weight.sign())


class BinConv2d(nn.Module):
    """XNOR-Net: batch norm and ReLU stay what they are."""

    def __init__(self, linear=False):
        super().__init__()
        self.Linear = linear
        if linear:
            self.bn, self.linear = nn.BatchNorm1d(8), nn.Linear(8, 5)
        else:
            self.bn, self.conv = nn.BatchNorm2d(4), nn.Conv2d(4, 5, 3)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x):
        x = Function.apply(self.bn(x))
        return self.relu(self.linear(x) if self.Linear else self.conv(x))


class IRConv2d(nn.Conv2d):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.k = torch.tensor([10.0])
        self.t = torch.tensor([0.1])

    def forward(self, x):
        w = self.weight - self.weight.mean([1, 2, 3], keepdim=True)
        return F.conv2d(Function.apply(x), Function.apply(w), self.bias, self.stride, self.padding)


class AdaBin_Conv2d(nn.Conv2d):
    def __init__(self, *args, a_bit=1, w_bit=1, **kwargs):
        super().__init__(*args, **kwargs)
        self.a_bit, self.w_bit = a_bit, w_bit

    def forward(self, x):
        return F.conv2d(x.sign(), self.weight.sign(), self.bias, self.stride, self.padding)


class QuantizeLinear(nn.Linear):
    """BiT and BiBERT."""

    def __init__(self, *args, weight_bits=1, input_bits=1, **kwargs):
        super().__init__(*args, **kwargs)
        self.weight_bits, self.input_bits = weight_bits, input_bits

    def forward(self, x):
        return F.linear(x.sign(), self.weight.sign(), self.bias)


class QConv(nn.Conv2d):
    """EWGS: numbers of levels, as tensors or numbers."""

    def __init__(self, *args, weight_levels=2, act_levels=2, **kwargs):
        super().__init__(*args, **kwargs)
        self.weight_levels, self.act_levels = weight_levels, act_levels

    def forward(self, x):
        return F.conv2d(x.round(), self.weight.round(), self.bias, self.stride, self.padding)


class ByAttributes(nn.Conv2d):
    """A convolution with whatever attributes a code base gives its own."""

    def __init__(self, *args, attributes, **kwargs):
        super().__init__(*args, **kwargs)
        for name, value in attributes.items():
            setattr(self, name, value)

    def forward(self, x):
        return F.conv2d(x.round(), self.weight.round(), self.bias, self.stride, self.padding)


class Activation(nn.Module):
    """A quantiser of activations with whatever attributes a code base gives its own."""

    def __init__(self, **attributes):
        super().__init__()
        for name, value in attributes.items():
            setattr(self, name, value)

    def forward(self, x):
        return x.round()


class Quantiser(nn.Module):
    def __init__(self, **attributes):
        super().__init__()
        for name, value in attributes.items():
            setattr(self, name, value)

    def forward(self, x):
        return x


def named(base, name, module="somebody.layers"):
    """The class under another name and module path."""
    return type(name, (base,), {"__module__": module})


def conv(name, module="somebody.layers", **attributes):
    """A 4 -> 5 convolution of the class `name` with these attributes."""
    return named(ByAttributes, name, module)(4, 5, 3, bias=False, attributes=attributes)


def activation(name, module="somebody.layers", **attributes):
    return named(Activation, name, module)(**attributes)


IDENTITY_QUAN = Quantiser()
"""lsq-net's for float: it has no thresholds."""


def lsq(positive, negative):
    return Quantiser(thd_pos=positive, thd_neg=negative)


def bitorch_conv(weights, inputs):
    return conv(
        "_QConv2dComposed",
        "bitorch.layers.qconv2d",
        _weight_quantize=SimpleNamespace(bit_width=weights),
        activation=SimpleNamespace(activation_function=SimpleNamespace(bit_width=inputs)),
    )


def binarizer():
    return named(Quantiser, "BasicInputBinarizer", "bnn.ops")()
