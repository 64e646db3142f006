"""optimum-quanto: layers of its own, before and after freezing."""

import pytest
from support.low_bit.libraries import (
    IMAGE,
    Convolutional,
    assert_widths,
    found,
    library,
    of_adapter,
    report_of,
)
from torch import nn

quanto = library("optimum.quanto")
pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.libraries]
LAYERS = ("conv1", "conv2", "fc")
PARAMS = sum(parameter.numel() for parameter in Convolutional().parameters())
WEIGHTS = {"qint8": 8, "qint4": 4, "qint2": 2, "qfloat8": 8}


@pytest.mark.parametrize("frozen", [False, True])
@pytest.mark.parametrize("weights", WEIGHTS)
def test_weights_alone(weights, frozen):
    model = Convolutional().eval()
    quanto.quantize(model, weights=getattr(quanto, weights))
    if frozen:
        quanto.freeze(model)
    expected = dict.fromkeys(LAYERS, of_adapter(WEIGHTS[weights], 32))
    assert_widths(model, Convolutional(), expected, IMAGE, logical_params=PARAMS)


@pytest.mark.parametrize("frozen", [False, True])
@pytest.mark.parametrize("weights", ["qint8", "qint2"])
def test_weights_and_activations(weights, frozen):
    model = Convolutional().eval()
    quanto.quantize(model, weights=getattr(quanto, weights), activations=quanto.qint8)
    if frozen:
        quanto.freeze(model)
    expected = dict.fromkeys(LAYERS, of_adapter(WEIGHTS[weights], 8))
    assert_widths(model, Convolutional(), expected, IMAGE, logical_params=PARAMS)


def test_norms_between_them_are_counted():
    def network():
        return nn.Sequential(nn.Conv2d(3, 8, 3), nn.LayerNorm([8, 6, 6]), nn.Conv2d(8, 4, 3)).eval()

    model = network()
    quanto.quantize(model, weights=quanto.qint8, activations=quanto.qint8)
    report = report_of(model, IMAGE)
    assert found(report) == {"0": of_adapter(8, 8), "2": of_adapter(8, 8)}
    assert report.uncounted == []
