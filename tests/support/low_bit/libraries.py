"""What tests against real low-bit libraries share."""

import warnings
from copy import deepcopy
from importlib import import_module

import pytest
import torch
from torch import Tensor, nn

import bopscount
from bopscount._core import BIT_SOURCES, KINDS, OP_TABLE

SOURCES = {number: name for name, number in BIT_SOURCES.items()}
MACS = {KINDS[row["name"]] for row in OP_TABLE if row["macs"]}


def library(name):
    """The module, or the tests of this file are skipped; what it warns of is its own affair."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return import_module(name)
        except ImportError as error:
            pytest.skip(f"{name}: {error}", allow_module_level=True)


class Convolutional(nn.Module):
    """Plain layers of each sort, to be quantised by a library."""

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 8, 3)
        self.relu = nn.ReLU()
        self.pool = nn.MaxPool2d(2)
        self.conv2 = nn.Conv2d(8, 8, 3, groups=2, bias=False)
        self.fc = nn.Linear(8, 5)

    def forward(self, x):
        x = self.conv2(self.pool(self.relu(self.conv1(x))))
        return self.fc(torch.flatten(x, 1))


IMAGE = (3, 8, 8)


class Perceptron(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Linear(256, 128)
        self.relu = nn.ReLU()
        self.second = nn.Linear(128, 64, bias=False)

    def forward(self, x):
        return self.second(self.relu(self.first(x)))


FEATURES = (5, 256)
PERCEPTRON_PARAMS = 256 * 128 + 128 + 128 * 64


class Tokens(nn.Module):
    """An embedding and a linear layer."""

    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(16, 64)
        self.head = nn.Linear(64, 32)

    def forward(self, ids):
        return self.head(self.embedding(ids))


IDS = torch.tensor([[1, 2, 3]])
TOKENS_PARAMS = 16 * 64 + 64 * 32 + 32


def found(report):
    """(weight bits, input bits, source of each) of the rows with MACs, by path."""
    table = report.table
    return {
        table.owner_path(int(record["owner"])): (
            int(record["weight_bits"]),
            int(record["input_bits"]),
            SOURCES[int(record["weight_bits_source"])],
            SOURCES[int(record["input_bits_source"])],
        )
        for record in table.records
        if record["kind"] in MACS
    }


def state_of(model):
    """All that a trace might change, in a form that compares."""

    def plain(value):
        if isinstance(value, Tensor):
            return (id(value), value._version, tuple(value.shape), str(value.dtype))
        return repr(value) if isinstance(value, (int, float, str, tuple)) else id(value)

    modules = {}
    for path, module in model.named_modules():
        own = dict(vars(module))
        tensors = {**own.pop("_parameters"), **own.pop("_buffers")}
        children = {name: id(child) for name, child in own.pop("_modules").items()}
        hooks = {name: list(value) for name, value in own.items() if "_hooks" in name}
        others = {name: plain(value) for name, value in own.items() if "_hooks" not in name}
        modules[path] = (
            {name: plain(value) for name, value in tensors.items()}, children, hooks, others,
        )  # fmt: skip
    values = {
        name: value.detach().clone()
        for name, value in (*model.named_parameters(), *model.named_buffers())
        if type(value) in (Tensor, nn.Parameter) and not value.is_quantized
    }  # fmt: skip
    return modules, values


def assert_unchanged(model, before):
    """The model is as it was when `state_of` looked."""
    modules, values = before
    now, now_values = state_of(model)
    assert now == modules
    for name, value in values.items():
        assert torch.equal(value, now_values[name]) or value.isnan().any(), name


def report_of(model, size=None, **given):
    """A report under the complete rules, with the model left as it was."""
    before = state_of(model)
    table = bopscount.trace(model, size, **given)
    assert_unchanged(model, before)
    return bopscount.count(table, rules="full")


def assert_widths(
    model, like, expected, size=None, *, logical_params=None, assumptions=(), **given
):
    """Checks a library's model against a plain one of the same architecture.

    Args:
        model: The quantised one.
        like: A plain one: its MACs are the right ones.
        expected: Path of each row with MACs to (weight bits, input bits, sources).
        size: Input size.
        logical_params: Parameters of the quantised one by logical shape, where they are known.
        assumptions: What the report must assume.
        given: Other input than by size.

    Returns:
        The report.
    """
    report = report_of(model, size, **given)
    assert found(report) == expected
    assert report.totals.macs == bopscount.scan(deepcopy(like), size, rules="full", **given).macs
    assert report.uncounted == []
    assert list(report.assumptions) == list(assumptions)
    if logical_params is not None:
        assert report.totals.logical_params == logical_params
    return report


def of_adapter(weight, inputs):
    """Both widths from the layer's adapter."""
    return weight, inputs, "adapter", "adapter"


def of_producer(weight, inputs):
    """The input's width from the tensor that came in."""
    return weight, inputs, "adapter", "producer"
