"""A module and the function that computes the same: both cost the same."""

import pytest
import torch
from support.op_cases import IDS, X1, X2, X3, check
from support.tracing_cases import Calls, function, parameter, values
from torch import nn
from torch.nn import functional as F  # noqa: N812 - torch's own custom


def activation(module, call, x=X2):
    """The same function as a leaf and as a call."""
    return nn.Sequential(module), function(call), x


def batch_norm():
    model = Calls(
        lambda self, x: F.batch_norm(x, self.mean, self.var, *self.own), parameter(4), parameter(4)
    )
    model.register_buffer("mean", torch.zeros(4))
    model.register_buffer("var", torch.ones(4))
    return model


# Pairs that compute the same: a module, a functional form, an input.
PAIRS = {
    "relu": lambda: activation(nn.ReLU(), F.relu),
    "relu in place": lambda: activation(nn.ReLU(inplace=True), lambda x: F.relu(x, inplace=True)),
    "relu_": lambda: activation(nn.ReLU(inplace=True), lambda x: x.relu_()),
    "torch.relu": lambda: activation(nn.ReLU(), torch.relu),
    "relu6": lambda: activation(nn.ReLU6(), F.relu6),
    "leaky_relu": lambda: activation(nn.LeakyReLU(0.1), lambda x: F.leaky_relu(x, 0.1)),
    "leaky_relu_": lambda: activation(
        nn.LeakyReLU(0.1, inplace=True), lambda x: F.leaky_relu_(x, 0.1)
    ),
    "elu": lambda: activation(nn.ELU(), F.elu),
    "elu in place": lambda: activation(nn.ELU(inplace=True), lambda x: F.elu(x, 1.0, True)),
    "selu": lambda: activation(nn.SELU(), F.selu),
    "celu": lambda: activation(nn.CELU(), F.celu),
    "rrelu": lambda: activation(nn.RReLU(), F.rrelu),
    "hardtanh": lambda: activation(nn.Hardtanh(), F.hardtanh),
    "hardtanh in place": lambda: activation(
        nn.Hardtanh(inplace=True), lambda x: F.hardtanh(x, inplace=True)
    ),
    "hardsigmoid": lambda: activation(nn.Hardsigmoid(), F.hardsigmoid),
    "hardswish": lambda: activation(nn.Hardswish(), F.hardswish),
    "hardswish in place": lambda: activation(
        nn.Hardswish(inplace=True), lambda x: F.hardswish(x, True)
    ),
    "sigmoid": lambda: activation(nn.Sigmoid(), torch.sigmoid),
    "tanh": lambda: activation(nn.Tanh(), torch.tanh),
    "tanh_": lambda: activation(nn.Tanh(), lambda x: x.tanh_()),
    "silu": lambda: activation(nn.SiLU(), F.silu),
    "silu in place": lambda: activation(nn.SiLU(inplace=True), lambda x: F.silu(x, inplace=True)),
    "gelu": lambda: activation(nn.GELU(), F.gelu),
    "gelu tanh": lambda: activation(nn.GELU("tanh"), lambda x: F.gelu(x, approximate="tanh")),
    "softplus": lambda: activation(nn.Softplus(), F.softplus),
    "mish": lambda: activation(nn.Mish(), F.mish),
    "logsigmoid": lambda: activation(nn.LogSigmoid(), F.logsigmoid),
    "softsign": lambda: activation(nn.Softsign(), F.softsign),
    "tanhshrink": lambda: activation(nn.Tanhshrink(), F.tanhshrink),
    "softshrink": lambda: activation(nn.Softshrink(), F.softshrink),
    "hardshrink": lambda: activation(nn.Hardshrink(), F.hardshrink),
    "threshold": lambda: activation(nn.Threshold(0.1, 2.0), lambda x: F.threshold(x, 0.1, 2.0)),
    "glu": lambda: activation(nn.GLU(1), lambda x: F.glu(x, 1)),
    "prelu": lambda: (nn.PReLU(4), function(F.prelu, parameter(4)), X2),
    "softmax": lambda: activation(nn.Softmax(1), lambda x: F.softmax(x, 1)),
    "softmax method": lambda: activation(nn.Softmax(-1), lambda x: x.softmax(-1)),
    "softmin": lambda: activation(nn.Softmin(1), lambda x: F.softmin(x, 1)),
    "softmax 2d": lambda: activation(nn.Softmax2d(), lambda x: F.softmax(x, -3)),
    "log_softmax": lambda: activation(nn.LogSoftmax(1), lambda x: F.log_softmax(x, 1)),
    "dropout": lambda: activation(nn.Dropout(), lambda x: F.dropout(x, training=False)),
    "dropout2d": lambda: activation(nn.Dropout2d(), lambda x: F.dropout2d(x, training=False)),
    "batch_norm 1d": lambda: (nn.BatchNorm1d(4), batch_norm(), X1),
    "batch_norm 2d": lambda: (nn.BatchNorm2d(4), batch_norm(), X2),
    "batch_norm 3d": lambda: (nn.BatchNorm3d(4), batch_norm(), X3),
    "instance_norm": lambda: (
        nn.InstanceNorm2d(4, affine=True),
        function(lambda x, w, b: F.instance_norm(x, weight=w, bias=b), parameter(4), parameter(4)),
        X2,
    ),
    "group_norm": lambda: (
        nn.GroupNorm(2, 4),
        function(lambda x, w, b: F.group_norm(x, 2, w, b), parameter(4), parameter(4)),
        X2,
    ),
    "layer_norm": lambda: (
        nn.LayerNorm((9, 8)),
        function(lambda x, w, b: F.layer_norm(x, (9, 8), w, b), parameter(9, 8), parameter(9, 8)),
        X2,
    ),
    "rms_norm": lambda: (
        nn.RMSNorm(8),
        function(lambda x, w: F.rms_norm(x, (8,), w), parameter(8)),
        X2,
    ),
    "local_response_norm": lambda: activation(
        nn.LocalResponseNorm(3), lambda x: F.local_response_norm(x, 3)
    ),
    "max_pool1d": lambda: activation(nn.MaxPool1d(3, 2), lambda x: F.max_pool1d(x, 3, 2), X1),
    "max_pool2d": lambda: activation(nn.MaxPool2d(3, 2, 1), lambda x: F.max_pool2d(x, 3, 2, 1), X2),
    "max_pool3d": lambda: activation(
        nn.MaxPool3d(2, ceil_mode=True), lambda x: F.max_pool3d(x, 2, ceil_mode=True), X3
    ),
    "avg_pool1d": lambda: activation(nn.AvgPool1d(3, 2), lambda x: F.avg_pool1d(x, 3, 2), X1),
    "avg_pool2d": lambda: activation(
        nn.AvgPool2d(3, 2, 1, count_include_pad=False),
        lambda x: F.avg_pool2d(x, 3, 2, 1, count_include_pad=False),
        X2,
    ),
    "avg_pool3d": lambda: activation(nn.AvgPool3d(2), lambda x: F.avg_pool3d(x, 2), X3),
    "lp_pool1d": lambda: activation(nn.LPPool1d(2, 3), lambda x: F.lp_pool1d(x, 2, 3), X1),
    "lp_pool2d": lambda: activation(nn.LPPool2d(2, 3), lambda x: F.lp_pool2d(x, 2, 3), X2),
    "adaptive_avg_pool1d": lambda: activation(
        nn.AdaptiveAvgPool1d(4), lambda x: F.adaptive_avg_pool1d(x, 4), X1
    ),
    "adaptive_avg_pool2d": lambda: activation(
        nn.AdaptiveAvgPool2d((3, None)), lambda x: F.adaptive_avg_pool2d(x, (3, None)), X2
    ),
    "adaptive_avg_pool2d to 1": lambda: activation(
        nn.AdaptiveAvgPool2d(1), lambda x: F.adaptive_avg_pool2d(x, 1), X2
    ),
    "adaptive_avg_pool3d": lambda: activation(
        nn.AdaptiveAvgPool3d(2), lambda x: F.adaptive_avg_pool3d(x, 2), X3
    ),
    "adaptive_max_pool2d": lambda: activation(
        nn.AdaptiveMaxPool2d(2), lambda x: F.adaptive_max_pool2d(x, 2), X2
    ),
    "adaptive_max_pool1d": lambda: activation(
        nn.AdaptiveMaxPool1d(2), lambda x: F.adaptive_max_pool1d(x, 2), X1
    ),
    "upsample nearest": lambda: activation(
        nn.Upsample(scale_factor=2), lambda x: F.interpolate(x, scale_factor=2), X2
    ),
    "upsample linear": lambda: activation(
        nn.Upsample(scale_factor=1.5, mode="linear"),
        lambda x: F.interpolate(x, scale_factor=1.5, mode="linear"),
        X1,
    ),
    "upsample bilinear": lambda: activation(
        nn.Upsample(size=(12, 7), mode="bilinear"),
        lambda x: F.interpolate(x, size=(12, 7), mode="bilinear"),
        X2,
    ),
    "upsample bicubic": lambda: activation(
        nn.Upsample(scale_factor=2, mode="bicubic"),
        lambda x: F.interpolate(x, scale_factor=2, mode="bicubic"),
        X2,
    ),
    "upsample trilinear": lambda: activation(
        nn.Upsample(scale_factor=2, mode="trilinear"),
        lambda x: F.interpolate(x, scale_factor=2, mode="trilinear"),
        X3,
    ),
    "pixel_shuffle": lambda: activation(nn.PixelShuffle(2), lambda x: F.pixel_shuffle(x, 2), X2),
    "pixel_unshuffle": lambda: activation(
        nn.PixelUnshuffle(2), lambda x: F.pixel_unshuffle(x, 2), values(2, 4, 8, 8)
    ),
    "channel_shuffle": lambda: activation(
        nn.ChannelShuffle(2), lambda x: F.channel_shuffle(x, 2), X2
    ),
    "unfold": lambda: activation(nn.Unfold(3), lambda x: F.unfold(x, 3), X2),
    "fold": lambda: activation(
        nn.Fold((6, 6), 3), lambda x: F.fold(x, (6, 6), 3), values(2, 36, 16)
    ),
    "zero pad": lambda: activation(nn.ZeroPad2d(1), lambda x: F.pad(x, (1, 1, 1, 1)), X2),
    "reflection pad": lambda: activation(
        nn.ReflectionPad2d(2), lambda x: F.pad(x, (2, 2, 2, 2), "reflect"), X2
    ),
    "circular pad": lambda: activation(
        nn.CircularPad2d(1), lambda x: F.pad(x, (1, 1, 1, 1), "circular"), X2
    ),
    "embedding": lambda: (nn.Embedding(9, 5), function(F.embedding, parameter(9, 5)), IDS),
    "embedding_bag": lambda: (
        nn.EmbeddingBag(9, 5),
        function(F.embedding_bag, parameter(9, 5)),
        IDS,
    ),
    "cosine_similarity": lambda: (
        nn.CosineSimilarity(),
        function(F.cosine_similarity),
        (X2, X2),
    ),
    "flatten": lambda: activation(nn.Flatten(), lambda x: torch.flatten(x, 1), X2),
    "unflatten": lambda: activation(nn.Unflatten(1, (2, 2)), lambda x: x.unflatten(1, (2, 2)), X2),
}


@pytest.mark.parametrize("name", PAIRS)
def test_a_module_and_its_function_cost_the_same(name):
    module, call, inputs = PAIRS[name]()
    first, second = check(module, inputs, 0), check(call, inputs, 0)
    for metric in ("flops", "madd"):
        assert getattr(first.totals, metric) == getattr(second.totals, metric), metric
