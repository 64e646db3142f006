"""Measured widths of brevitas models, where it is installed, with no adapter to ask."""

import pytest
import torch
from torch import nn

import bopscount
from bopscount.bits import adapters

qnn = pytest.importorskip("brevitas.nn")
pytestmark = pytest.mark.filterwarnings("ignore")  # brevitas's own


def network(w, a, per_channel):
    def relu():
        return qnn.QuantReLU(bit_width=a, max_val=1.0, scaling_impl_type="const")

    quant = {"weight_bit_width": w, "weight_scaling_per_output_channel": per_channel}
    return nn.Sequential(
        nn.Conv2d(3, 32, 3), nn.BatchNorm2d(32), relu(),
        qnn.QuantConv2d(32, 32, 3, bias=False, **quant), nn.BatchNorm2d(32), relu(),
        nn.Flatten(), qnn.QuantLinear(32 * 144, 10, bias=True, **quant),
    )  # fmt: skip


@pytest.mark.parametrize("per_channel", [False, True])
@pytest.mark.parametrize(("w", "a"), [(2, 3), (4, 4), (3, 5), (8, 8)])
def test_the_true_widths_are_found(w, a, per_channel, monkeypatch):
    monkeypatch.setattr(adapters, "FAMILIES", ())
    torch.manual_seed(0)
    model = network(w, a, per_channel)
    with torch.no_grad():
        for _ in range(4):
            model(torch.randn(4, 3, 16, 16))
    report = bopscount.count(bopscount.trace(model, (3, 16, 16), bits="measured"))
    found = [(row.weight_bits, row.input_bits) for row in report.rows if row.macs]
    assert found == [(32, 32), (w, a), (w, a)]
    assert report.assumptions == []
