"""torch.ao: quantisation-aware training, converted and dynamic modules."""

import pytest
import torch
from support.low_bit.libraries import (
    IMAGE,
    Convolutional,
    Perceptron,
    assert_widths,
    of_adapter,
    of_producer,
    report_of,
)
from torch import nn
from torch.ao import quantization as ao
from torch.ao.nn.quantized import FloatFunctional

# It warns that it moves to torchao, and of its own use of the storages.
pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.libraries]

ENGINES = {"x86": 7, "fbgemm": 7, "qnnpack": 8, "onednn": 8}
"""Its default fake quantisers of activations: 0 to 127, or 0 to 255."""


class Network(Convolutional):
    """With a batch norm to fuse and the stubs that eager mode needs."""

    def __init__(self):
        super().__init__()
        self.bn = nn.BatchNorm2d(8)
        self.quant, self.dequant = ao.QuantStub(), ao.DeQuantStub()

    def forward(self, x):
        x = self.pool(self.relu(self.bn(self.conv1(self.quant(x)))))
        return self.dequant(self.fc(torch.flatten(self.conv2(x), 1)))


LAYERS = ("conv1", "conv2", "fc")
WEIGHTS = 3 * 8 * 9 + 8 * 4 * 9 + 8 * 5


def trained(engine):
    """Prepared for QAT and run once, so that its observers have seen something."""
    model = Network().train()
    model.qconfig = ao.get_default_qat_qconfig(engine)
    model = ao.prepare_qat(ao.fuse_modules_qat(model, [["conv1", "bn", "relu"]]))
    model(torch.rand(2, *IMAGE))
    return model


@pytest.mark.parametrize("engine", ENGINES)
def test_quantisation_aware_training(engine):
    expected = dict.fromkeys(LAYERS, of_producer(8, ENGINES[engine]))
    assert_widths(trained(engine), Network(), expected, IMAGE)


@pytest.fixture(params=("fbgemm", "qnnpack"))
def engine(request):
    if request.param not in torch.backends.quantized.supported_engines:
        pytest.skip(f"this torch has no {request.param}")
    before = torch.backends.quantized.engine
    torch.backends.quantized.engine = request.param
    yield request.param
    torch.backends.quantized.engine = before


def test_converted_modules_show_their_packed_parameters(engine):
    model = ao.convert(trained(engine).eval())
    assert list(model.parameters()) == []
    expected = dict.fromkeys(LAYERS, of_adapter(8, 8))
    # Of a layer without a bias QNNPACK packs one of zeros.
    biases = 8 + 5 + (8 if engine == "qnnpack" else 0)
    report = assert_widths(model, Network(), expected, IMAGE, logical_params=WEIGHTS + biases)
    assert report.bit_summary.params == {8: WEIGHTS, 32: biases}
    assert report.totals.bops == 64 * report.totals.macs


def test_converted_without_fusing_and_with_an_addition():
    class Residual(nn.Module):
        def __init__(self):
            super().__init__()
            self.quant, self.dequant = ao.QuantStub(), ao.DeQuantStub()
            self.conv, self.after = nn.Conv2d(4, 4, 1), nn.Conv2d(4, 2, 1)
            self.add = FloatFunctional()

        def forward(self, x):
            x = self.quant(x)
            return self.dequant(self.after(self.add.add(self.conv(x), x)))

    model = Residual().train()
    model.qconfig = ao.get_default_qat_qconfig("fbgemm")
    prepared = ao.prepare_qat(model)
    prepared(torch.rand(1, 4, 4, 4))
    size = (4, 4, 4)
    expected = dict.fromkeys(("conv", "after"), of_producer(8, 7))
    assert_widths(prepared, Residual(), expected, size)
    expected = dict.fromkeys(("conv", "after"), of_adapter(8, 8))
    assert_widths(ao.convert(prepared.eval()), Residual(), expected, size, logical_params=30)


@pytest.mark.parametrize(("dtype", "bits"), [(torch.qint8, 8), (torch.float16, 32)])
def test_dynamic_linear_layers(dtype, bits):
    model = ao.quantize_dynamic(Perceptron(), {nn.Linear}, dtype=dtype)
    expected = dict.fromkeys(("first", "second"), of_adapter(bits, bits))
    params = sum(parameter.numel() for parameter in Perceptron().parameters())
    assert_widths(model, Perceptron(), expected, (5, 256), logical_params=params)


class Recurrent(nn.Module):
    def __init__(self, cls):
        super().__init__()
        self.layer = cls(16, 8, 2, batch_first=True, bidirectional=True)

    def forward(self, x):
        return self.layer(x)[0]


@pytest.mark.parametrize("cls", [nn.LSTM, nn.GRU])
@pytest.mark.parametrize("real", [False, True])
def test_dynamic_recurrent_layers(cls, real):
    like = Recurrent(cls)
    model = ao.quantize_dynamic(Recurrent(cls), {cls})
    if real:
        model, like = AsksForValues(model), AsksForValues(like)
    path = "model.layer" if real else "layer"
    params = sum(parameter.numel() for parameter in like.parameters())
    expected = {path: of_adapter(8, 8)}
    report = assert_widths(model, like, expected, (5, 16), logical_params=params)
    assert report.ran_model == real


class AsksForValues(nn.Module):
    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, x):
        return self.model(x) if x.sum().item() < 1e9 else x


@pytest.mark.parametrize(("dtype", "bits"), [(torch.quint8, 8), (torch.quint4x2, 4)])
def test_quantised_embeddings(dtype, bits):
    model = nn.Sequential(nn.Embedding(10, 16))
    config = {
        torch.quint8: ao.float_qparams_weight_only_qconfig,
        torch.quint4x2: ao.float_qparams_weight_only_qconfig_4bit,
    }
    model[0].qconfig = config[dtype]
    model = ao.convert(ao.prepare(model.eval()))
    report = report_of(model, inputs=torch.zeros(1, 3, dtype=torch.long))
    assert report.totals.logical_params == 160
    assert report.bit_summary.params == {bits: 160}
    assert report.uncounted == []


def test_graphs_of_fx():
    from torch.ao.quantization import quantize_fx

    mapping = ao.get_default_qat_qconfig_mapping("fbgemm")
    model = quantize_fx.prepare_qat_fx(Network().train(), mapping, torch.rand(1, *IMAGE))
    model(torch.rand(2, *IMAGE))
    expected = dict.fromkeys(LAYERS, of_producer(8, 7))
    assert_widths(model, Network(), expected, IMAGE)
    converted = quantize_fx.convert_fx(model.eval())
    expected = dict.fromkeys(LAYERS, of_adapter(8, 8))
    assert_widths(converted, Network(), expected, IMAGE, logical_params=WEIGHTS + 13)


def test_functions_on_quantised_tensors():
    class Functional(nn.Module):
        def __init__(self):
            super().__init__()
            weight = torch.quantize_per_tensor(torch.rand(5, 16), 0.1, 0, torch.qint8)
            self.packed = torch.ops.quantized.linear_prepack(weight, torch.rand(5))
            kernel = torch.quantize_per_tensor(torch.rand(4, 2, 3, 3), 0.1, 0, torch.qint8)
            self.kernel = torch.ops.quantized.conv2d_prepack(
                kernel, None, [1, 1], [0, 0], [1, 1], 2
            )

        def forward(self, x):
            x = torch.quantize_per_tensor(x, 0.1, 0, torch.quint8)
            x = torch.ops.quantized.conv2d_relu(x, self.kernel, 0.1, 0)
            x = torch.ops.quantized.linear(x.flatten(1), self.packed, 0.1, 0)
            return torch.ops.quantized.leaky_relu(x, 0.1, False, 0.1, 0).dequantize()

    report = report_of(Functional(), (4, 4, 4))
    assert [row.macs for row in report.layers] == [4 * 4 * 2 * 9 + 16 * 5]
    assert report.uncounted == []
    assert report.totals.bops == 64 * report.totals.macs
