"""Every family of ops in a small network: right MACs, right shapes, nothing silent."""

import warnings

import pytest
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812 - torch's own custom
from tracing_cases import (
    Calls,
    Watched,
    form,
    function,
    macs_on_meta,
    parameter,
    report_of,
    table_of_real_run,
    values,
)

import bopscount
from bopscount import TraceError

X1, X2, X3 = values(2, 4, 9), values(2, 4, 9, 8), values(2, 4, 5, 6, 7)
ROWS = values(3, 5, 8)
IDS = torch.tensor([[1, 2, 0], [4, 4, 3]])
MASK = torch.ones(5, 5, dtype=torch.bool).tril()


def convolution(name, x, *options):
    """The functional form, on a weight of its own."""
    rank = x.dim() - 2
    weight = parameter(4, 6, *(3,) * rank) if "transpose" in name else parameter(6, 4, *(3,) * rank)
    return function(lambda x, w, b: getattr(F, name)(x, w, b, *options), weight, parameter(6)), x


def heads(*lengths, width=4, batch=(2, 4)):
    return tuple(values(*batch, length, width, seed=length) for length in lengths)


def attention(*tensors, **options):
    return Calls(lambda self, *given: F.scaled_dot_product_attention(*given, **options)), tensors


PRODUCTS = {
    "Conv1d": lambda: (nn.Conv1d(4, 6, 3, stride=2, padding=1), X1),
    "Conv2d": lambda: (nn.Conv2d(4, 6, (3, 2), stride=(2, 1), padding=(1, 0)), X2),
    "Conv3d": lambda: (nn.Conv3d(4, 6, 3, dilation=2), X3),
    "Conv2d grouped": lambda: (nn.Conv2d(4, 8, 3, groups=4, bias=False), X2),
    "Conv2d dilated same": lambda: (nn.Conv2d(4, 6, 3, padding="same", dilation=2), X2),
    "Conv1d even same": lambda: (nn.Conv1d(4, 6, 4, padding="same"), X1),
    "Conv2d valid": lambda: (nn.Conv2d(4, 6, 3, padding="valid"), X2),
    "Conv2d circular": lambda: (nn.Conv2d(4, 6, 3, padding=1, padding_mode="circular"), X2),
    "Conv2d reflect": lambda: (nn.Conv2d(4, 6, 3, padding=2, padding_mode="reflect"), X2),
    "Conv3d replicate same": lambda: (
        nn.Conv3d(4, 6, 3, padding="same", padding_mode="replicate"),
        X3,
    ),
    "Conv2d unbatched": lambda: (nn.Conv2d(4, 6, 3), X2[0]),
    "ConvTranspose1d": lambda: (nn.ConvTranspose1d(4, 6, 3, stride=2, output_padding=1), X1),
    "ConvTranspose2d": lambda: (nn.ConvTranspose2d(4, 6, 3, stride=2, padding=1, groups=2), X2),
    "ConvTranspose3d": lambda: (nn.ConvTranspose3d(4, 6, 3, dilation=2), X3),
    "ConvTranspose2d to a size": lambda: (
        Calls(
            lambda self, x: self.up(x, output_size=(19, 17)),
            up=nn.ConvTranspose2d(4, 6, 3, stride=2),
        ),
        X2,
    ),
    "F.conv1d": lambda: convolution("conv1d", X1, 2, 1),
    "F.conv2d": lambda: convolution("conv2d", X2, (2, 1), (1, 0)),
    "F.conv2d same": lambda: convolution("conv2d", X2, 1, "same"),
    "F.conv2d valid": lambda: convolution("conv2d", X2, 1, "valid"),
    "F.conv3d": lambda: convolution("conv3d", X3, 1, 0, 2),
    "F.conv2d unbatched": lambda: (
        function(lambda x, w: F.conv2d(x, w, groups=2), parameter(6, 2, 3, 3)),
        X2[0],
    ),
    "torch.conv2d": lambda: (function(torch.conv2d, parameter(6, 4, 3, 3)), X2),
    "torch.conv1d": lambda: (function(torch.conv1d, parameter(6, 4, 3)), X1),
    "F.conv_transpose1d": lambda: convolution("conv_transpose1d", X1, 2),
    "F.conv_transpose2d": lambda: convolution("conv_transpose2d", X2, 2, 1, 1),
    "F.conv_transpose3d": lambda: convolution("conv_transpose3d", X3),
    "Linear": lambda: (nn.Linear(8, 6), ROWS),
    "Linear of a vector": lambda: (nn.Linear(8, 6), ROWS[0, 0]),
    "F.linear": lambda: (function(F.linear, parameter(6, 8), parameter(6)), ROWS),
    "matmul": lambda: (function(torch.matmul, parameter(8, 6)), ROWS),
    "@": lambda: (function(lambda x, w: x @ w, parameter(3, 8, 6)), ROWS),
    "@ broadcasting": lambda: (function(lambda x, w: x @ w, parameter(2, 1, 8, 6)), ROWS),
    "r@": lambda: (function(lambda x, w: w @ x.mT, parameter(6, 8)), ROWS),
    "mm": lambda: (function(torch.mm, parameter(8, 6)), ROWS[0]),
    "bmm": lambda: (function(torch.bmm, parameter(3, 8, 6)), ROWS),
    "addmm": lambda: (
        function(lambda x, b, w: torch.addmm(b, x, w), parameter(6), parameter(8, 6)),
        ROWS[0],
    ),
    "addmm scaled": lambda: (
        function(
            lambda x, b, w: torch.addmm(b, x, w, beta=2, alpha=3), parameter(6), parameter(8, 6)
        ),
        ROWS[0],
    ),
    "baddbmm": lambda: (
        function(lambda x, b, w: torch.baddbmm(b, x, w), parameter(3, 1, 6), parameter(3, 8, 6)),
        ROWS,
    ),
    "baddbmm method": lambda: (
        function(lambda x, b, w: b.baddbmm(x, w), parameter(3, 5, 6), parameter(3, 8, 6)),
        ROWS,
    ),
    "einsum": lambda: (
        function(lambda x, w: torch.einsum("bik,ko->bio", x, w), parameter(8, 6)),
        ROWS,
    ),
    "einsum batched": lambda: (
        function(lambda x, w: torch.einsum("bik,bjk->bij", x, w), parameter(3, 7, 8)),
        ROWS,
    ),
    "einsum ellipsis": lambda: (
        function(lambda x, w: torch.einsum("...k,ko->...o", x, w), parameter(8, 6)),
        ROWS,
    ),
    "einsum of three": lambda: (
        function(
            lambda x, v, w: torch.einsum("bik,kl,lo->bio", x, v, w),
            parameter(8, 7),
            parameter(7, 6),
        ),
        ROWS,
    ),
    "einsum that sums one side": lambda: (
        function(lambda x, w: torch.einsum("bik,ko->io", x, w), parameter(8, 6)),
        ROWS,
    ),
    "einsum implicit": lambda: (
        function(lambda x, w: torch.einsum("bik,ko", x, w), parameter(8, 6)),
        ROWS,
    ),
    "tensordot": lambda: (function(lambda x, w: torch.tensordot(x, w, 1), parameter(8, 6)), ROWS),
    "tensordot over two": lambda: (
        function(lambda x, w: torch.tensordot(x, w, ([1, 2], [0, 1])), parameter(5, 8, 6)),
        ROWS,
    ),
    "inner": lambda: (function(torch.inner, parameter(6, 8)), ROWS),
    "chain_matmul": lambda: (
        function(
            lambda x, v, w: torch.linalg.multi_dot([x, v, w]), parameter(8, 7), parameter(7, 6)
        ),
        ROWS[0],
    ),
    "mT": lambda: (Calls(lambda self, x: x @ x.mT), ROWS),
    "matmul out of place on views": lambda: (
        Calls(lambda self, x: x.transpose(1, 2)[:, ::2] @ x.unflatten(-1, (2, 4))[:, :, 0]),
        ROWS,
    ),
    "sdpa": lambda: attention(*heads(5, 6, 6)),
    "sdpa causal": lambda: attention(*heads(5, 5, 5), is_causal=True),
    "sdpa masked": lambda: attention(*heads(5, 5, 5), MASK),
    "sdpa float mask": lambda: attention(*heads(5, 5, 5), values(5, 5)),
    "sdpa grouped-query": lambda: attention(
        values(2, 8, 5, 4), values(2, 2, 5, 4), values(2, 2, 5, 4), enable_gqa=True
    ),
    "sdpa dropout 0": lambda: attention(*heads(5, 5, 5), dropout_p=0.0, scale=0.5),
    "sdpa of rank 3": lambda: attention(*heads(5, 6, 6, batch=(3,))),
    "sdpa other value width": lambda: attention(
        values(2, 4, 5, 4), values(2, 4, 6, 4), values(2, 4, 6, 7)
    ),
    "sdpa broadcasting": lambda: attention(
        values(2, 4, 5, 4), values(1, 4, 6, 4), values(1, 4, 6, 4)
    ),
    "RNN": lambda: (nn.RNN(8, 6), ROWS),
    "GRU": lambda: (nn.GRU(8, 6, num_layers=2, batch_first=True), ROWS),
    "LSTM": lambda: (nn.LSTM(8, 6), ROWS),
    "LSTM bidirectional": lambda: (nn.LSTM(8, 6, 2, bidirectional=True, bias=False), ROWS),
    "LSTM projected": lambda: (nn.LSTM(8, 6, proj_size=3), ROWS),
    "LSTM unbatched": lambda: (nn.LSTM(8, 6), ROWS[0]),
    "LSTM with a state": lambda: (
        nn.LSTM(8, 6),
        (ROWS, (values(1, 5, 6), values(1, 5, 6))),
    ),
    "GRU with a state": lambda: (nn.GRU(8, 6, bidirectional=True), (ROWS, values(2, 5, 6))),
    "RNNCell": lambda: (nn.RNNCell(8, 6), ROWS[0]),
    "GRUCell": lambda: (nn.GRUCell(8, 6), (ROWS[0], values(5, 6))),
    "LSTMCell": lambda: (nn.LSTMCell(8, 6), (ROWS[0], (values(5, 6), values(5, 6)))),
    "cell in a loop": lambda: (loop_over_steps(), ROWS),
    "MultiheadAttention": lambda: (nn.MultiheadAttention(8, 2), (ROWS, ROWS, ROWS)),
    "MultiheadAttention without weights": lambda: (
        Calls(
            lambda self, x: self.attend(x, x, x, need_weights=False),
            attend=nn.MultiheadAttention(8, 2, batch_first=True),
        ),
        ROWS,
    ),
    "MultiheadAttention of other widths": lambda: (
        nn.MultiheadAttention(8, 2, kdim=6, vdim=7, batch_first=True),
        (ROWS, values(3, 4, 6), values(3, 4, 7)),
    ),
    "MultiheadAttention masked": lambda: (
        Calls(
            lambda self, x, mask, padded: self.attend(
                x, x, x, attn_mask=~mask, key_padding_mask=padded
            ),
            attend=nn.MultiheadAttention(8, 2, batch_first=True),
        ),
        (ROWS, MASK, torch.zeros(3, 5, dtype=torch.bool)),
    ),
    "MultiheadAttention with added keys": lambda: (
        nn.MultiheadAttention(8, 2, add_bias_kv=True, add_zero_attn=True),
        (ROWS, ROWS, ROWS),
    ),
    "MultiheadAttention unbatched": lambda: (
        nn.MultiheadAttention(8, 2),
        (ROWS[0], ROWS[0], ROWS[0]),
    ),
    "TransformerEncoderLayer": lambda: (
        nn.TransformerEncoderLayer(8, 2, 16, batch_first=True),
        ROWS,
    ),
    "TransformerEncoder": lambda: (
        nn.TransformerEncoder(
            nn.TransformerEncoderLayer(8, 2, 16, batch_first=True, norm_first=True),
            2,
            enable_nested_tensor=False,
        ),
        ROWS,
    ),
    "TransformerEncoder padded": lambda: (
        Calls(
            lambda self, x, padded: self.encode(x, src_key_padding_mask=padded),
            encode=nn.TransformerEncoder(
                nn.TransformerEncoderLayer(8, 2, 16, batch_first=True),
                2,
                enable_nested_tensor=False,
            ),
        ),
        (ROWS, torch.zeros(3, 5, dtype=torch.bool)),
    ),
    "TransformerDecoderLayer": lambda: (nn.TransformerDecoderLayer(8, 2, 16), (ROWS, ROWS)),
    "Transformer": lambda: (nn.Transformer(8, 2, 1, 1, 16, batch_first=True), (ROWS, ROWS)),
    "Transformer causal": lambda: (
        Calls(
            lambda self, x: self.net(
                x,
                x,
                tgt_mask=nn.Transformer.generate_square_subsequent_mask(5, device=x.device),
                tgt_is_causal=True,
            ),
            net=nn.Transformer(8, 2, 1, 1, 16, batch_first=True),
        ),
        ROWS,
    ),
    "attention by hand": lambda: (attention_by_hand(), (ROWS, MASK)),
}


def loop_over_steps():
    def forward(self, x):
        state = None
        for step in x:
            state = self.cell(step, state)
        return state

    return Calls(forward, cell=nn.LSTMCell(8, 6))


def attention_by_hand():
    def forward(self, x, mask):
        batch, length, width = x.shape
        q, k, v = self.qkv(x).reshape(batch, length, 3, 2, 4).permute(2, 0, 3, 1, 4).unbind(0)
        scores = (q * 0.5) @ k.transpose(-2, -1)
        scores = scores.masked_fill(~mask, float("-inf")).softmax(dim=-1)
        return self.proj((scores @ v).transpose(1, 2).reshape(batch, length, width))

    return Calls(forward, qkv=nn.Linear(8, 24), proj=nn.Linear(8, 8))


def activation(module, call, x=X2):
    """The same function as a leaf and as a call."""
    return nn.Sequential(module), function(call), x


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


def batch_norm():
    model = Calls(
        lambda self, x: F.batch_norm(x, self.mean, self.var, *self.own), parameter(4), parameter(4)
    )
    model.register_buffer("mean", torch.zeros(4))
    model.register_buffer("var", torch.ones(4))
    return model


def bag_of_all(x):
    """Element-wise calls, reductions, movement, indexing: what has no MACs."""
    y = x + 1 - x * 2 / (x.abs() + 3) ** 2
    y = torch.where(y > 0, y, x.exp().clamp(max=3))
    y = y + torch.arange(8, dtype=x.dtype) - x.mean(dim=(2, 3), keepdim=True)
    y -= x.amax(-1, keepdim=True)
    y[:, 0] = 0
    y[..., 1:3] += 1
    parts = torch.cat([y, x], 1).split(2, dim=1)
    z = torch.stack([*parts], 0).sum(0) + torch.chunk(y, 2, 1)[0]
    w = z.permute(0, 2, 3, 1).contiguous().view(2, -1, 2)
    w = F.pad(w, (1, 0)).roll(1, 1).flip(1)
    w = w[:, torch.tensor([0, 2, 5])].repeat(1, 2, 1).expand(2, 6, 3)
    v = torch.gather(w, 1, torch.zeros(2, 1, 3, dtype=torch.int64))
    values, positions = w.max(-1)
    out = v.squeeze(1).var(-1) + values.std(1) + positions.float().sum(1) + w.logsumexp((1, 2))
    return out, w.argmax(1), (w > 0).any(), w.cumsum(1), w.norm(dim=1), w.tril()


OTHERS = {
    "a bag of all": lambda: (Calls(lambda self, x: bag_of_all(x)), X2),
    "grid_sample": lambda: (
        Calls(lambda self, x: F.grid_sample(x, self.grid(x), align_corners=False)),
        X2,
    ),
    "max_pool with indices": lambda: (
        Calls(lambda self, x: F.max_unpool2d(*F.max_pool2d(x, 2, return_indices=True), 2)),
        values(2, 4, 8, 8),
    ),
    "MaxPool with indices": lambda: (
        Calls(
            lambda self, x: self.unpool(*self.pool(x)),
            pool=nn.MaxPool2d(2, return_indices=True),
            unpool=nn.MaxUnpool2d(2),
        ),
        values(2, 4, 8, 8),
    ),
    "fractional_max_pool": lambda: (
        Calls(
            lambda self, x: F.fractional_max_pool2d(
                x, 3, output_size=(4, 3), _random_samples=torch.full((2, 4, 2), 0.5)
            )
        ),
        X2,
    ),
    "FractionalMaxPool3d": lambda: (
        nn.FractionalMaxPool3d(2, (2, 3, 3), _random_samples=torch.full((2, 4, 3), 0.5)),
        X3,
    ),
    "AdaptiveMaxPool3d": lambda: (nn.AdaptiveMaxPool3d(2), X3),
    "LPPool3d": lambda: (nn.LPPool3d(2, 2), X3),
    "3-d grid_sample": lambda: (
        Calls(lambda self, x: F.grid_sample(x, torch.zeros(2, 2, 2, 2, 3), align_corners=False)),
        X3,
    ),
    "max_unpool1d": lambda: (
        Calls(lambda self, x: F.max_unpool1d(*F.max_pool1d(x, 2, return_indices=True), 2)),
        X1,
    ),
    "area": lambda: (Calls(lambda self, x: F.interpolate(x, size=(3, 3), mode="area")), X2),
    "nearest-exact": lambda: (nn.Upsample(scale_factor=2, mode="nearest-exact"), X2),
    "scans": lambda: (Calls(lambda self, x: x.cumsum(1).cumprod(2).logcumsumexp(1)), X2),
    "normalize": lambda: (Calls(lambda self, x: F.normalize(x, dim=1)), X2),
    "one_hot": lambda: (Calls(lambda self, ids: F.one_hot(ids, 9).float()), IDS),
    "EmbeddingBag with offsets": lambda: (
        nn.EmbeddingBag(9, 5, mode="sum"),
        (torch.tensor([1, 2, 3, 4]), torch.tensor([0, 2])),
    ),
    "meshgrid": lambda: (
        Calls(
            lambda self, x: x + sum(torch.meshgrid(torch.arange(9), torch.arange(8), indexing="ij"))
        ),
        X2,
    ),
}


def grid(self, x):
    steps = torch.linspace(-1, 1, 5)
    y = torch.stack(torch.meshgrid(steps, steps, indexing="ij"), -1)
    return y.expand(x.shape[0], 5, 5, 2) * x.mean()


Calls.grid = grid


def packed(layer, **options):
    def forward(self, x):
        sequence = nn.utils.rnn.pack_padded_sequence(x, self.lengths, **options)
        out, _ = self.layer(sequence)
        return nn.utils.rnn.pad_packed_sequence(out)

    model = Calls(forward, layer=layer)
    model.lengths = torch.tensor([3, 3, 2, 2, 1])
    return model


def copies(inputs):
    """In-place networks write on what they get."""
    if isinstance(inputs, torch.Tensor):
        return inputs.clone()
    return tuple(copies(item) for item in inputs) if isinstance(inputs, tuple) else inputs


def check(model, inputs, macs=None):
    """By rules, on meta and for real: the same MACs, outputs of the same form."""
    model = Watched(model).eval()
    expected = macs_on_meta(model, inputs) if macs is None else macs
    for rules in ("torchstat", "full"):
        report = report_of(model, copies(inputs), run="never", rules=rules)
        assert report.totals.macs == expected
        assert report.uncounted == []
        assert report.status == "complete"
        assert not report.ran_model
    traced = form(model.outputs.last)
    with warnings.catch_warnings():
        # torch tells where oneDNN does not do it.
        warnings.simplefilter("ignore")
        real = table_of_real_run(model, copies(inputs))
    assert bopscount.count(real).uncounted == []
    of_real_run = model.outputs.copies
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        output = model(*copies(inputs)) if isinstance(inputs, tuple) else model(copies(inputs))
    assert traced == form(output)
    torch.testing.assert_close(of_real_run, output)
    assert real.totals().macs == expected
    return report


@pytest.mark.parametrize("name", PRODUCTS)
def test_products_have_the_macs_that_torch_counts(name):
    model, inputs = PRODUCTS[name]()
    report = check(model, inputs)
    assert report.totals.macs > 0


@pytest.mark.parametrize("name", PAIRS)
def test_a_module_and_its_function_cost_the_same(name):
    module, call, inputs = PAIRS[name]()
    first, second = check(module, inputs, 0), check(call, inputs, 0)
    for metric in ("flops", "madd"):
        assert getattr(first.totals, metric) == getattr(second.totals, metric), metric


def test_gumbel_softmax_is_followed():
    report = report_of(Calls(lambda self, x: F.gumbel_softmax(x, dim=1)), X2, rules="full")
    assert report.status == "complete"


@pytest.mark.parametrize("name", OTHERS)
def test_ops_without_macs_are_followed(name):
    model, inputs = OTHERS[name]()
    check(model, inputs, 0)


@pytest.mark.parametrize("layer", [nn.LSTM, nn.GRU, nn.RNN])
def test_a_packed_sequence_costs_its_steps_and_no_padding(layer):
    model = packed(layer(8, 6)).eval()
    gates = {nn.LSTM: 4, nn.GRU: 3, nn.RNN: 1}[layer]
    macs = (3 + 3 + 2 + 2 + 1) * gates * 6 * (8 + 6)
    report = report_of(model, ROWS, run="never")
    assert report.totals.macs == macs
    assert report.uncounted == []


def test_packed_sequences_of_any_form_are_followed():
    model = packed(nn.LSTM(8, 6, batch_first=True, bidirectional=True), batch_first=True).eval()
    model = Watched(model)
    x = values(5, 3, 8)
    assert report_of(model, x, run="never").totals.macs == 2 * 11 * 24 * (8 + 6)
    traced = form(model.outputs.last)
    with torch.no_grad():
        assert form(model(x)) == traced
    unsorted = packed(nn.GRU(8, 6), enforce_sorted=False).eval()
    unsorted.lengths = torch.tensor([1, 3, 2, 3, 2])
    assert report_of(unsorted, ROWS, run="never").totals.macs == 11 * 18 * 14
    listed = packed(nn.GRU(8, 6)).eval()
    listed.lengths = [3, 3, 2, 2, 1]
    assert report_of(listed, ROWS, run="never").totals.macs == 11 * 18 * 14
    given = nn.utils.rnn.pack_padded_sequence(ROWS, [3, 3, 2, 2, 1])
    model = nn.LSTM(8, 6)
    report = report_of(model, (given, (values(1, 5, 6), values(1, 5, 6))), run="never")
    assert report.totals.macs == 11 * 24 * 14
    assert report.uncounted == []


@pytest.mark.parametrize("layer", [nn.LSTM, nn.GRU, nn.RNN])
def test_a_packed_sequence_of_a_model_that_is_run_is_counted(layer):
    table = table_of_real_run(packed(layer(8, 6)).eval(), ROWS)
    gates = {nn.LSTM: 4, nn.GRU: 3, nn.RNN: 1}[layer]
    assert table.totals().macs == 11 * gates * 6 * (8 + 6)
    assert bopscount.count(table).uncounted == []


# What torch's own counter gives 0 for, by hand.
NOT_IN_TORCH_S_COUNTER = {
    "Bilinear": lambda: (
        nn.Bilinear(8, 6, 7),
        (values(3, 5, 8), values(3, 5, 6)),
        15 * 7 * (8 + 1) * 6,
    ),
    "F.bilinear": lambda: (
        function(F.bilinear, parameter(7, 8, 6)),
        (values(5, 8), values(5, 6)),
        5 * 7 * (8 + 1) * 6,
    ),
    "mv": lambda: (function(torch.mv, parameter(8)), ROWS[0], 5 * 8),
    "@ of a vector": lambda: (function(lambda x, w: x @ w, parameter(8)), ROWS, 15 * 8),
    "dot": lambda: (function(torch.dot, parameter(8)), ROWS[0, 0], 8),
    "vdot": lambda: (function(torch.vdot, parameter(8)), ROWS[0, 0], 8),
    "addmv": lambda: (
        function(lambda x, b, w: torch.addmv(b, x, w), parameter(5), parameter(8)),
        ROWS[0],
        5 * 8,
    ),
    "addbmm": lambda: (
        function(lambda x, b, w: torch.addbmm(b, x, w), parameter(5, 6), parameter(3, 8, 6)),
        ROWS,
        3 * 5 * 8 * 6,
    ),
    "cdist": lambda: (function(torch.cdist, parameter(3, 6, 8)), ROWS, 3 * 5 * 6 * 8),
    "_int_mm": lambda: (
        function(lambda x: torch._int_mm(x, x.t())),
        torch.ones(24, 16, dtype=torch.int8),
        24 * 24 * 16,
    ),
}


@pytest.mark.parametrize("name", NOT_IN_TORCH_S_COUNTER)
def test_what_torch_s_counter_leaves_out_is_counted(name):
    model, inputs, macs = NOT_IN_TORCH_S_COUNTER[name]()
    assert macs_on_meta(model, inputs) == 0
    check(model, inputs, macs)


UNRULED = {
    "fft": (torch.fft.fft, "fft"),
    "rfft2": (torch.fft.rfft2, "fft"),
    "sort": (lambda x: torch.sort(x, -1), "sort"),
    "topk": (lambda x: x.topk(2), "topk"),
    "cholesky": (lambda x: torch.linalg.cholesky(x @ x.mT + torch.eye(8)), "cholesky"),
    "solve": (lambda x: torch.linalg.solve(x, x), "solve"),
    "inverse": (torch.linalg.inv, "inv"),
    "svd": (torch.linalg.svdvals, "svd"),
    "qr": (torch.linalg.qr, "qr"),
    "eigh": (torch.linalg.eigh, "eigh"),
}
SQUARE = values(2, 8, 8)


class Deep(nn.Module):
    """Calls a function n times in a module two levels down."""

    def __init__(self, call, times=3):
        super().__init__()
        self.inner = nn.Sequential(nn.ReLU(), function(lambda x: [call(x) for _ in range(times)]))

    def forward(self, x):
        return self.inner(x)


@pytest.mark.parametrize("name", UNRULED)
def test_an_op_without_a_rule_is_listed_and_never_silent(name):
    call, word = UNRULED[name]
    report = report_of(Deep(call), SQUARE, run="never")
    assert report.status == "lower bound"
    (missing,) = (op for op in report.uncounted if word in op.op)
    assert missing.module_path == "inner.1"
    assert missing.calls == 3
    assert report.to_dict()["status"] == "lower bound"
    footer = str(report).rsplit("\n", 3)[-2]
    assert "No rule, so the numbers are a lower bound" in footer
    assert f"{missing.op} in inner.1 (3x)" in footer


@pytest.mark.parametrize("name", UNRULED)
def test_strict_raises_where_an_op_has_no_rule(name):
    call, word = UNRULED[name]
    for count in (bopscount.trace, bopscount.scan, bopscount.stat):
        with pytest.raises(TraceError) as caught:
            count(Deep(call), inputs=SQUARE, strict=True)
        assert caught.value.module_path == "inner.1"
        assert word in str(caught.value)
        assert "inner.1" in str(caught.value)


def test_strict_lets_pass_what_has_rules(capsys):
    model = nn.Sequential(nn.Linear(8, 6), nn.ReLU())
    assert bopscount.scan(model, inputs=ROWS, strict=True).macs == 15 * 8 * 6
    assert bopscount.trace(model, inputs=ROWS, strict=True).totals().macs == 15 * 8 * 6
    report = bopscount.stat(model, inputs=ROWS, strict=True, timing=False)
    assert report.status == "complete"
    assert "lower bound" not in capsys.readouterr().out


def test_a_library_s_own_op_is_listed_by_its_name():
    with torch.library._scoped_library("bopscount_test", "FRAGMENT") as library:
        library.define("twice(Tensor x) -> Tensor")
        library.impl("twice", lambda x: 2 * x, "CPU")
        library.impl("twice", torch.empty_like, "Meta")
        report = report_of(Deep(torch.ops.bopscount_test.twice), SQUARE)
        (missing,) = report.uncounted
        assert (missing.op, missing.calls) == ("bopscount_test.twice", 3)
        assert missing.module_path == "inner.1"


def test_a_cumulative_sum_has_a_rule():
    report = report_of(Deep(lambda x: x.cumsum(0)), SQUARE, rules="full")
    assert report.status == "complete"
    assert report.totals.flops >= 3 * SQUARE.numel()
