"""brevitas's own example networks, where it is installed, against the published figures."""

import pytest
from support.published import FIGURES
from support.published_metrics import evaluated, qonnx_row

import bopscount

models = pytest.importorskip("brevitas_examples.bnn_pynq.models")
pytestmark = pytest.mark.filterwarnings("ignore")  # brevitas's own
SIZES = {"TFC": (1, 28, 28), "CNV": (3, 32, 32)}
QONNX = ("total_macs", "total_bops", "mem_w_elems", "mem_w_bits")
DENSE = "dense (no sparsity discount)"


def rows():
    """Network -> [MACs, BOPs, weights, weight bits]."""
    computed = {
        figure["network"]: figure["computed_value"]
        for figure in FIGURES
        if figure["config"].startswith("brevitas")
    }
    for network in ("CNV_2W2A", "TFC_2W2A"):
        published = {
            figure["metric"]: figure["published_value"]
            for figure in FIGURES
            if (figure["network"], figure["config"]) == (network, DENSE)
        }
        computed[network] = [published[metric] for metric in QONNX]
    return computed


ROWS = rows()


def build(network):
    model, config = models.model_with_cfg(network.lower(), pretrained=False)
    return model.eval(), int(config["QUANT"]["IN_BIT_WIDTH"]), int(config["QUANT"]["ACT_BIT_WIDTH"])


@pytest.mark.parametrize("network", ROWS)
def test_with_the_widths_that_brevitas_states(network):
    model, input_bits, activation_bits = build(network)
    layers = [
        (path, int(module.weight_quant.bit_width()))
        for path, module in model.named_modules()
        if hasattr(module, "weight_quant")
    ]
    widths = [input_bits] + [activation_bits] * (len(layers) - 1)
    bits = {path: (bits, width) for (path, bits), width in zip(layers, widths, strict=True)}
    table = bopscount.trace(model, SIZES[network[:3]]).with_bits(bits)
    assert [evaluated(table, name).value for name in ("macs", "product")] == ROWS[network][:2]


@pytest.mark.parametrize("network", ROWS)
def test_without_being_told(network):
    pytest.importorskip("bopscount.bits.adapters")
    model, *_ = build(network)
    assert qonnx_row(bopscount.trace(model, SIZES[network[:3]])) == ROWS[network]
