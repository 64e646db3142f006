"""bits="measured": widths found by looking at what is multiplied."""

import numpy as np
import pytest
import torch
from support.low_bit import quantisers as q
from support.low_bit.recorded import FLOATING, FULL, MEASURED, measured, widths
from torch import nn
from torch.nn import functional as F  # noqa: N812 - torch's own custom

import bopscount
from bopscount.bits import adapters, registered_classes
from bopscount.networks import NETWORKS

IMAGE = (3, 16, 16)


def both(weight, inputs):
    return weight, inputs, MEASURED, MEASURED


SCHEMES = {
    "XNOR-Net": (q.xnor_weights, q.sign_inputs, 1, 1, 1, 1),
    "TWN": (q.ternary_weights, q.lsq_inputs, 2, 4, 2, 4),
    **{
        f"DoReFa {w}x{a}": (q.dorefa_weights, q.dorefa_inputs, w, a, w, a)
        for w, a in ((1, 1), (1, 2), (2, 2), (3, 5), (4, 4), (5, 3), (6, 8), (7, 6), (8, 7))
    },
    **{
        f"LSQ {w}x{a}": (q.lsq_weights, q.lsq_inputs, w, a, w, a)
        for w, a in ((2, 2), (3, 3), (4, 4), (8, 8))
    },
    **{
        f"LSQ per channel {w}x{a}": (q.lsq_channel_weights, q.lsq_inputs, w, a, w, a)
        for w, a in ((2, 2), (4, 8), (8, 4))
    },
    "asymmetric": (q.lsq_weights, q.asymmetric_inputs, 4, 8, 4, 8),
}


@pytest.mark.parametrize(
    ("weights", "inputs", "w", "a", "weight_bits", "input_bits"), SCHEMES.values(), ids=SCHEMES
)
def test_the_true_widths_are_found(weights, inputs, w, a, weight_bits, input_bits):
    model = q.built(lambda: q.Net(weights=weights, inputs=inputs, w=w, a=a))
    table = measured(model, IMAGE)
    low = both(weight_bits, input_bits)
    assert widths(table) == {"stem": FULL, "conv1": low, "conv2": low, "head": FULL}
    assert table.assumptions == table.warnings == []


def test_a_bitnet_like_linear_layer_has_a_scale_a_token():
    torch.manual_seed(0)
    layer = q.SomeLinear(256, 64, weights=q.absmax_weights, inputs=q.absmax_inputs, w=2, a=8)
    table = measured(nn.Sequential(layer), inputs=torch.randn(2, 20, 256))
    assert widths(table) == {"0": both(2, 8)}


@pytest.fixture
def nobody_knows(monkeypatch):
    """No rule and no adapter for any class."""
    for name in ("BY_NAME", "_built_in"):
        monkeypatch.setattr(registered_classes, name, {})
    for name in ("FAMILIES", "ODD"):
        monkeypatch.setattr(adapters, name, ())


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("birealnet18", (3, 64, 64)),
        ("reactnet_a", (3, 64, 64)),
        ("quicknet", (3, 64, 64)),
        ("cnv_1w1a", (3, 32, 32)),
        ("tfc_2w2a", (1, 28, 28)),
    ],
)
def test_built_in_networks_have_their_widths_without_being_told(name, size, nobody_knows):
    torch.manual_seed(0)
    model = NETWORKS[name].build()
    with torch.no_grad():
        for parameter in model.parameters():
            if name == "reactnet_a" and parameter.dim() == 1:
                # Without shifts, as before training, most of its signs are those of positives.
                parameter.add_(torch.randn_like(parameter))
    found = measured(model, size)
    assert not found.warnings
    report = bopscount.count(found)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(registered_classes, "BY_NAME", KNOWN["BY_NAME"])
        patch.setattr(registered_classes, "_built_in", KNOWN["_built_in"])
        expected = bopscount.count(bopscount.trace(model, size)).bit_summary.macs
    assert report.bit_summary.macs == expected


KNOWN = {"BY_NAME": registered_classes.BY_NAME, "_built_in": registered_classes._built_in}


class Padded(nn.Conv2d):
    """Pads with zeros before it convolves, as bitorch does."""

    def forward(self, x):
        return F.conv2d(F.pad(x.sign(), (1, 1, 1, 1)), self.weight.sign())


def test_zeros_around_a_binary_image_say_nothing():
    model = nn.Sequential(Padded(8, 8, 3, bias=False))
    assert widths(measured(model, inputs=torch.randn(1, 8, 9, 9))) == {"0": both(1, 1)}


def test_zeros_within_the_image_are_a_third_level():
    class Relu(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(8, 8, 3)

        def forward(self, x):
            return F.conv2d(F.dropout(x.sign(), 0.5, training=True) / 2, self.conv.weight.sign())

    table = measured(Relu(), inputs=torch.randn(1, 8, 9, 9))
    assert list(widths(table).values()) == [both(1, 2)]


def test_channels_of_transposed_and_grouped_convolutions_have_their_own_scales():
    class Turned(nn.ConvTranspose2d):
        def forward(self, x):
            scale = torch.rand(1, self.weight.shape[1], 1, 1) + 0.1
            scale = torch.cat([scale, 3 * scale]).repeat_interleave(len(self.weight) // 2, 0)
            weight = self.weight.sign() * scale
            return F.conv_transpose2d(x.sign(), weight, groups=self.groups)

    model = nn.Sequential(Turned(8, 6, 3, groups=2, bias=False))
    assert widths(measured(model, inputs=torch.randn(1, 8, 9, 9))) == {"0": both(1, 1)}


class Products(nn.Module):
    def __init__(self, product):
        super().__init__()
        self.product = product

    def forward(self, *operands):
        return self.product(*operands)


def signs(*shape):
    return torch.randn(shape).sign()


def steps(*shape):
    return torch.randint(-8, 8, shape) * 0.1


@pytest.mark.parametrize(
    ("product", "left", "right"),
    [
        (torch.matmul, (5, 8, 16), (5, 16, 9)),
        (torch.matmul, (4, 16), (5, 16, 9)),
        (torch.matmul, (5, 8, 16), (16, 9)),
        (torch.matmul, (16,), (5, 16, 9)),
        (torch.mm, (8, 16), (16, 9)),
        (torch.bmm, (5, 8, 16), (5, 16, 9)),
        (torch.mv, (8, 16), (16,)),
        (lambda a, b: torch.einsum("bij,bjk->bik", a, b), (5, 8, 16), (5, 16, 9)),
        (lambda a, b: torch.addmm(torch.zeros(9), a, b), (8, 16), (16, 9)),
        (F.linear, (8, 16), (9, 16)),
    ],
)
def test_both_operands_of_a_product_are_measured(product, left, right):
    torch.manual_seed(0)
    a, b = signs(*left), steps(*right)
    b.view(-1)[:2] = torch.tensor([-0.8, 0.7])
    table = measured(Products(product), inputs=(a, b))
    ((weight, inputs, *sources),) = widths(table).values()
    if b.numel() >= 64:
        assert (weight, sources[0]) == (4, MEASURED)
    else:
        assert (weight, sources[0]) == (32, FLOATING)
    assert (inputs, sources[1]) == (1, MEASURED)


def test_attention_of_low_bit_operands_has_float_probabilities():
    q_, k, v = (signs(1, 2, 16, 8) for _ in range(3))
    table = measured(Products(F.scaled_dot_product_attention), inputs=(q_, k, v))
    assert list(widths(table).values()) == [(1, 32, MEASURED, FLOATING)]


def test_one_operand_of_bilinear_that_is_float_is_enough():
    layer = nn.Bilinear(8, 8, 16)
    layer.weight.data.sign_()
    table = measured(layer, inputs=(signs(32, 8), torch.randn(32, 8)))
    assert list(widths(table).values()) == [(1, 32, MEASURED, FLOATING)]


@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU, nn.RNN])
def test_recurrent_layers_have_the_records_that_they_have_on_meta(kind):
    layer = kind(16, 16, num_layers=2)
    x = torch.randn(5, 2, 16)
    plain, found = bopscount.trace(layer, inputs=(x,)), measured(layer, inputs=(x,))
    assert np.array_equal(plain.records, found.records)
    with torch.no_grad():
        for name, parameter in layer.named_parameters():
            if "weight" in name:
                parameter.sign_()
    assert widths(measured(layer, inputs=(x,))) == {"": (1, 32, MEASURED, FLOATING)}


def floats():
    torch.manual_seed(0)
    return {
        "convolutions": (
            nn.Sequential(
                nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU6(), nn.Conv2d(8, 8, 3, groups=8),
                nn.ReLU(), nn.Conv2d(8, 16, 1), nn.AvgPool2d(4), nn.Flatten(), nn.Linear(144, 10),
            ), torch.randn(2, 3, 16, 16),
        ),
        "attention": (nn.MultiheadAttention(32, 4, batch_first=True), (torch.randn(2, 9, 32),) * 3),
        "transformer": (
            nn.TransformerEncoderLayer(32, 4, batch_first=True), torch.randn(2, 9, 32),
        ),
        "bilinear": (nn.Bilinear(8, 8, 8), (torch.randn(9, 8), torch.randn(9, 8))),
        "bfloat16": (
            nn.Sequential(nn.Linear(64, 64), nn.Sigmoid(), nn.Linear(64, 64)).bfloat16(),
            torch.rand(50, 64).bfloat16(),
        ),
        "float16": (
            nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 64)).half(),
            torch.randn(50, 64).half(),
        ),
        "dropout": (
            nn.Sequential(nn.Dropout(0.5), nn.Linear(64, 64), nn.Dropout(0.9), nn.Linear(64, 8)),
            torch.randn(50, 64),
        ),
        "small": (nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1)), torch.randn(4, 2)),
    }  # fmt: skip


@pytest.mark.parametrize("name", floats())
@pytest.mark.parametrize("training", [False, True])
def test_full_precision_stays_full_precision(name, training):
    model, inputs = floats()[name]
    plain = bopscount.trace(model, inputs=inputs, training=training)
    table = measured(model, inputs=inputs, training=training)
    assert np.array_equal(table.records, plain.records)
    assert bopscount.count(table).totals.bops == 0


def test_sparse_weights_stay_full_precision():
    model = nn.Sequential(nn.Conv2d(3, 32, 3), nn.Conv2d(32, 32, 3, groups=32))
    with torch.no_grad():
        for layer in model:
            layer.weight[torch.rand(layer.weight.shape) < 0.9] = 0
    assert widths(measured(model, IMAGE)) == {"0": FULL, "1": FULL}


def test_pictures_have_eight_bits():
    model = nn.Conv2d(3, 8, 3)
    pixels = torch.randint(0, 256, (1, 3, 64, 64)) / 255
    assert widths(measured(model, inputs=pixels)) == {"": (32, 8, FLOATING, MEASURED)}


def test_what_too_few_values_say_is_undetermined_and_said_so():
    model = nn.Sequential(nn.Conv2d(4, 4, 3, groups=4, bias=False))
    with torch.no_grad():
        model[0].weight.copy_(torch.randint(-128, 128, (4, 1, 3, 3)) * 0.01)
    table = measured(model, inputs=torch.randn(1, 4, 8, 8))
    assert widths(table) == {"0": FULL}
    (sentence,) = table.assumptions
    assert "0 (weights), whose values are too few for their levels" in sentence
    assert "full precision" in sentence
    assert f"Assumed: {sentence}" in str(bopscount.count(table))


def test_what_is_constant_is_undetermined_and_said_so():
    model = nn.Conv2d(3, 4, 3)
    nn.init.constant_(model.weight, 1 / 9)
    (sentence,) = measured(model, IMAGE).assumptions
    assert "(weights), whose values are all the same" in sentence


def test_a_code_book_is_undetermined_and_said_so():
    model = nn.Conv2d(3, 32, 3)
    with torch.no_grad():
        model.weight.copy_(torch.randn(16)[torch.randint(0, 16, model.weight.shape)])
    table = measured(model, IMAGE)
    assert widths(table) == {"": FULL}
    assert "a few distinct ones on no common step" in table.assumptions[0]
