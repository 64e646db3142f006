"""Models that are compiled, data-parallel, scripted, symbolically traced or exported."""

import pytest
import torch
from support.small_models import IMAGE, NETWORK_MACS, PER_ROW, ROWS, linear, network, scan
from support.tracing_cases import Calls, function, parameter, report_of
from torch import fx, nn
from torch.nn import functional as F  # noqa: N812 - torch's own custom

import bopscount

without_deprecations = pytest.mark.filterwarnings("ignore")


@without_deprecations
def test_a_compiled_model_is_the_model_inside():
    model = network()
    compiled = torch.compile(model)
    assert scan(compiled, IMAGE) == scan(model, IMAGE)
    table = bopscount.trace(compiled, inputs=IMAGE)
    assert [node.path for node in table.nodes] == ["", "0", "1", "2", "3", "4"]
    assert compiled._orig_mod is model


@without_deprecations
def test_a_compiled_part_of_a_model_is_followed():
    model = Calls(lambda self, x: self.part(x), part=torch.compile(network()))
    report = report_of(model, IMAGE, run="never")
    assert report.totals.macs == NETWORK_MACS
    assert report.status == "complete"


@without_deprecations
def test_a_model_compiled_in_place_is_followed():
    model = network()
    model.compile()
    model[0].compile()
    assert scan(model, IMAGE).macs == NETWORK_MACS
    assert model._compiled_call_impl is not None


@without_deprecations
def test_a_data_parallel_model_is_the_model_inside():
    model = network()
    assert scan(nn.DataParallel(model), IMAGE) == scan(model, IMAGE)
    assert scan(torch.compile(nn.DataParallel(model)), IMAGE) == scan(model, IMAGE)


def test_a_data_parallel_part_of_a_model_is_followed():
    model = Calls(lambda self, x: self.part(x), part=nn.DataParallel(network()))
    assert scan(model, IMAGE).macs == NETWORK_MACS


def scripted(model):
    return torch.jit.script(model)


def jit_traced(model):
    return torch.jit.trace(model, IMAGE)


def frozen(model):
    return torch.jit.freeze(torch.jit.script(model.eval()))


@without_deprecations
@pytest.mark.parametrize("convert", [scripted, jit_traced, frozen])
def test_a_script_module_is_counted(convert):
    for model in (convert(network()), nn.Sequential(convert(network()))):
        report = report_of(model, IMAGE, run="never")
        assert report.totals.macs == NETWORK_MACS
        # A frozen module's are constants.
        assert report.totals.params == (0 if convert is frozen else 4 * 27 + 4 + 8 + 144 * 5 + 5)


@without_deprecations
def test_a_scripted_function_is_counted():
    @torch.jit.script
    def product(x, w):
        return torch.relu(x @ w) + 1.0

    report = report_of(function(product, parameter(8, 6)), ROWS)
    assert report.totals.macs == 3 * PER_ROW


def test_a_graph_module_has_the_rows_of_its_modules():
    model = network()
    graph = fx.symbolic_trace(model)
    assert scan(graph, IMAGE) == scan(model, IMAGE)
    rows = {row.module_path: row.macs for row in report_of(graph, IMAGE).rows}
    assert rows["0"] == 2 * 36 * 4 * 27


def test_a_graph_module_of_functions_is_counted():
    class Functional(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.weight = linear(), parameter(6, 4)

        def forward(self, x):
            return F.relu(self.a(x)) @ self.weight

    assert scan(fx.symbolic_trace(Functional()), ROWS).macs == 3 * (PER_ROW + 24)


@without_deprecations
def test_an_exported_program_s_module_is_counted():
    program = torch.export.export(network(), (IMAGE,))
    assert scan(program.module(), IMAGE).macs == NETWORK_MACS
