"""Every op with MACs in a small network: as many as torch counts, right shapes, nothing silent."""

import pytest
import torch
from support.op_cases import ROWS, X1, X2, X3, check
from support.tracing_cases import Calls, function, macs_on_meta, parameter, values
from torch import nn
from torch.nn import functional as F  # noqa: N812 - torch's own custom

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


@pytest.mark.parametrize("name", PRODUCTS)
def test_products_have_the_macs_that_torch_counts(name):
    model, inputs = PRODUCTS[name]()
    report = check(model, inputs)
    assert report.totals.macs > 0


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
