"""Layers whose weights are computed, are of another class, or are not there yet."""

import warnings

import pytest
import torch
from support.small_models import IMAGE, PER_ROW, ROWS, linear, scan
from support.tracing_cases import Calls, macs_on_meta, parameter, report_of, table_of_real_run
from torch import nn
from torch.nn.utils import parametrizations, parametrize, prune

from bopscount import InputError


def registered_parametrization(module):
    class Halved(nn.Module):
        def forward(self, weight):
            return weight / 2

    parametrize.register_parametrization(module, "weight", Halved())
    return module


def low_rank(module):
    class Product(nn.Module):
        def __init__(self):
            super().__init__()
            self.left, self.right = parameter(6, 2), parameter(2, 8)

        def forward(self, weight):
            return weight + self.left @ self.right

    parametrize.register_parametrization(module, "weight", Product())
    return module


def old_weight_norm(module):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.nn.utils.weight_norm(module)


COMPUTED = {
    "parametrization": registered_parametrization,
    "weight_norm": parametrizations.weight_norm,
    "old weight_norm": old_weight_norm,
    "spectral_norm": parametrizations.spectral_norm,
    "old spectral_norm": torch.nn.utils.spectral_norm,
    "orthogonal": parametrizations.orthogonal,
    "pruned": lambda module: prune.l1_unstructured(module, "weight", 0.5),
    "low rank": low_rank,
}


EXTRA_MACS = {"low rank": 6 * 2 * 8, "spectral_norm": PER_ROW + 6, "old spectral_norm": PER_ROW + 6}


@pytest.mark.parametrize("name", COMPUTED)
def test_a_layer_whose_weight_is_computed_costs_what_the_layer_does(name):
    model = nn.Sequential(COMPUTED[name](linear()), nn.ReLU())
    state = {key: value.clone() for key, value in model.state_dict().items()}
    expected = 3 * PER_ROW + EXTRA_MACS.get(name, 0)
    if name == "orthogonal":
        expected = macs_on_meta(model, ROWS)  # a matrix exponential
    for options in ({}, {"training": True}):
        report = report_of(model, ROWS, run="never", **options)
        assert report.totals.macs >= 3 * PER_ROW
        if not options:
            assert report.totals.macs == expected
    assert report.totals.params == sum(p.numel() for p in model.parameters())
    assert next(row for row in report.rows if row.macs).module_path.startswith("0")
    for key, value in model.state_dict().items():
        assert torch.equal(value, state[key])
    with torch.no_grad():
        assert table_of_real_run(model, ROWS).totals().macs == expected


@pytest.mark.parametrize("name", ["parametrization", "weight_norm", "old weight_norm"])
def test_a_convolution_whose_weight_is_computed_is_counted(name):
    model = nn.Sequential(COMPUTED[name](nn.Conv2d(3, 4, 3)), nn.ReLU())
    assert scan(model, IMAGE).macs == 2 * 36 * 4 * 27
    assert len(report_of(model, IMAGE).rows) == 2


def test_a_parametrization_is_cached_or_not():
    model = nn.Sequential(low_rank(linear()))
    shared = Calls(lambda self, x: (self.a(x), self.a(x)), a=low_rank(linear()))
    assert scan(model, ROWS).macs == 3 * PER_ROW + EXTRA_MACS["low rank"]
    assert scan(shared, ROWS).macs == 2 * (3 * PER_ROW + EXTRA_MACS["low rank"])
    with parametrize.cached():
        assert scan(shared, ROWS).macs == 2 * 3 * PER_ROW + EXTRA_MACS["low rank"]


def test_a_parameter_of_a_subclass_is_followed():
    class TaggedParameter(nn.Parameter):
        pass

    layer = linear()
    layer.weight = TaggedParameter(layer.weight.data)
    assert scan(nn.Sequential(layer), ROWS).macs == 3 * PER_ROW


@pytest.mark.parametrize("wrap", [lambda m: m, nn.Sequential])
@pytest.mark.parametrize("layer", [nn.LazyLinear(6), nn.LazyConv2d(4, 3), nn.LazyBatchNorm2d()])
def test_a_lazy_layer_is_refused_with_advice(layer, wrap):
    with pytest.raises(InputError) as caught:
        scan(wrap(layer), ROWS)
    assert "run it once" in str(caught.value)
    assert type(layer).__name__ in str(caught.value)


def test_a_lazy_layer_that_has_run_is_a_layer():
    model = nn.Sequential(nn.LazyLinear(6, bias=False))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model(ROWS)
    assert scan(model, ROWS).macs == 3 * PER_ROW
