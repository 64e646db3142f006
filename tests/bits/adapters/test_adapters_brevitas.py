"""brevitas: quantisers inside each layer, and tensors that carry their width."""

import pytest
import torch
from support.low_bit.libraries import (
    IDS,
    IMAGE,
    Tokens,
    assert_widths,
    found,
    library,
    of_adapter,
    of_producer,
    report_of,
)
from torch import nn

brevitas = library("brevitas.nn")
quant = library("brevitas.quant")
pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.libraries]


class Like(nn.Module):
    """The plain network of `network`."""

    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(8, 8, 3, groups=2), nn.Flatten(), nn.Linear(8, 5),
        )  # fmt: skip

    def forward(self, x):
        return self.body(x)


def network(weights=4, activations=3, tensors=True):
    """Activations between the layers; `tensors` says whether they come as QuantTensors."""
    return nn.Sequential(
        brevitas.QuantIdentity(bit_width=8, return_quant_tensor=tensors),
        brevitas.QuantConv2d(3, 8, 3, weight_bit_width=weights),
        nn.BatchNorm2d(8),
        brevitas.QuantReLU(bit_width=activations, return_quant_tensor=tensors),
        nn.MaxPool2d(2),
        brevitas.QuantConv2d(8, 8, 3, groups=2, weight_bit_width=weights),
        nn.Flatten(),
        brevitas.QuantLinear(8, 5, bias=True, weight_bit_width=weights),
    )


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("tensors", [True, False])
@pytest.mark.parametrize(("weights", "activations"), [(4, 3), (2, 2), (8, 5)])
def test_widths_by_layer(weights, activations, tensors, training):
    expected = {
        "1": of_producer(weights, 8),
        "5": of_producer(weights, activations),
        "7": (weights, 32, "adapter", "floating"),
    }
    model = network(weights, activations, tensors).train(training)
    report = assert_widths(model, Like(), expected, IMAGE)
    assert not report.ran_model
    assert [row.module_path for row in report.layers if "." in row.module_path] == []


@pytest.mark.parametrize("bits", [2, 5, 8])
def test_a_layer_s_own_quantisers_of_input_and_output(bits):
    own = brevitas.QuantConv2d(
        3, 8, 3, bias=True, weight_bit_width=4, input_quant=quant.Int8ActPerTensorFloat,
        input_bit_width=bits, output_quant=quant.Int8ActPerTensorFloat, output_bit_width=bits + 1,
        return_quant_tensor=True,
    )  # fmt: skip
    model = nn.Sequential(own, brevitas.QuantConv2d(8, 2, 3)).eval()
    like = nn.Sequential(nn.Conv2d(3, 8, 3), nn.Conv2d(8, 2, 3, bias=False))
    expected = {"0": of_adapter(4, bits), "1": of_producer(8, bits + 1)}
    assert_widths(model, like, expected, IMAGE)


@pytest.mark.parametrize(("name", "bits"), [("Binary", 1), ("Ternary", 2)])
def test_binary_and_ternary(name, bits):
    model = nn.Sequential(
        brevitas.QuantIdentity(
            act_quant=getattr(quant, f"Signed{name}ActPerTensorConst"), return_quant_tensor=True
        ),
        brevitas.QuantConv2d(
            3, 8, 3, weight_quant=getattr(quant, f"Signed{name}WeightPerTensorConst")
        ),
    ).eval()
    assert_widths(model, nn.Conv2d(3, 8, 3), {"1": of_producer(bits, bits)}, IMAGE)


def test_quantisers_that_are_off():
    model = nn.Sequential(
        brevitas.QuantReLU(act_quant=None),
        brevitas.QuantConv2d(3, 8, 3, weight_quant=None),
    ).eval()
    assert found(report_of(model, IMAGE)) == {"1": (32, 32, "adapter", "floating")}


@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize("kind", ["Conv", "ConvTranspose"])
def test_convolutions_of_every_rank(kind, rank):
    cls = getattr(brevitas, f"Quant{kind}{rank}d", None)
    if cls is None:
        pytest.skip("this brevitas has none")
    model = cls(4, 6, 3, stride=2, weight_bit_width=5).eval()
    like = getattr(nn, f"{kind}{rank}d")(4, 6, 3, stride=2)
    assert_widths(model, like, {"": (5, 32, "adapter", "floating")}, (4, *[7] * rank))


def test_tensors_keep_their_width_through_brevitas_s_own_layers():
    class Branches(nn.Module):
        def __init__(self):
            super().__init__()
            self.quantise = brevitas.QuantIdentity(bit_width=4, return_quant_tensor=True)
            self.add = brevitas.QuantEltwiseAdd(
                input_bit_width=4, output_bit_width=5, return_quant_tensor=True
            )
            self.pool = brevitas.TruncAvgPool2d(2)
            self.of_sum = brevitas.QuantConv2d(3, 2, 1)
            self.of_cat = brevitas.QuantConv2d(6, 2, 1)
            self.of_pool = brevitas.QuantConv2d(3, 2, 1)

        def forward(self, x):
            x = self.quantise(x)
            both = self.of_cat(torch.cat([x, x], 1))
            return self.of_sum(self.add(x, x)) + both, self.of_pool(self.pool(x))

    expected = {
        "of_sum": of_producer(8, 5),
        "of_cat": of_producer(8, 4),
        "of_pool": (8, 8, "adapter", "dtype"),
    }
    assert found(report_of(Branches().eval(), IMAGE)) == expected


def test_attention():
    class Attention(nn.Module):
        def __init__(self, cls):
            super().__init__()
            self.attention = cls(16, 2)

        def forward(self, x):
            return self.attention(x, x, x)[0]

    report = report_of(Attention(brevitas.QuantMultiheadAttention).eval(), (5, 16))
    assert found(report) == {
        "attention.in_proj": of_adapter(8, 8),
        "attention.(matmul)": (8, 8, "producer", "producer"),
        "attention.out_proj": of_adapter(8, 8),
    }


def test_recurrent_weights_are_quantised():
    class Recurrent(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = brevitas.QuantLSTM(8, 6, weight_bit_width=4)

        def forward(self, x):
            return self.layer(x)[0]

    report = report_of(Recurrent().eval(), (5, 8))
    assert {widths[::2] for widths in found(report).values()} == {(4, "producer")}
    assert report.totals.macs == 5 * 4 * 6 * (8 + 6)


def test_embeddings():
    model = Tokens()
    model.embedding = brevitas.QuantEmbedding(16, 64, weight_bit_width=4)
    report = assert_widths(
        model.eval(), Tokens(), {"head": (32, 32, "floating", "floating")}, inputs=IDS
    )
    assert report.bit_summary.params[4] == 16 * 64
