"""Every bad argument gets one clear sentence, and a broken forward says where it broke."""

import pickle
import threading
from collections import OrderedDict

import numpy as np
import pytest
import torch
from torch import nn

import bopscount
from bopscount import BopscountError, InputError, TraceError


class Broken(nn.Module):
    """Raises in a module two levels down."""

    class Inner(nn.Module):
        def __init__(self):
            super().__init__()
            self.proj = nn.Linear(4, 4)
            self.bad = Broken.Bad()

        def forward(self, x):
            return self.bad(self.proj(x), torch.zeros(3))

    class Bad(nn.Module):
        def forward(self, x, y):
            raise KeyError("no such thing")

    def __init__(self):
        super().__init__()
        self.inner = Broken.Inner()

    def forward(self, x):
        return self.inner(x)


def stat(*args, **options):
    return bopscount.stat(*args, timing=False, **options)


CALLS = [bopscount.trace, bopscount.scan, stat]
every_call = pytest.mark.parametrize("call", CALLS, ids=["trace", "scan", "stat"])


@every_call
@pytest.mark.parametrize(
    ("model", "words"),
    [
        (None, ["model", "torch.nn.Module", "NoneType"]),
        ("resnet", ["model", "torch.nn.Module", "str"]),
        (nn.Linear, ["model", "instance", "Linear", "call it"]),
        (lambda x: x, ["model", "torch.nn.Module"]),
        (torch.zeros(2), ["model", "torch.nn.Module", "Tensor"]),
    ],
)
def test_what_is_no_module_is_refused(call, model, words):
    with pytest.raises(InputError) as error:
        call(model, (4,))
    assert_says(error, words)


@every_call
@pytest.mark.parametrize(
    ("size", "words"),
    [
        ((0, 4), ["positive", "0", "(0, 4)"]),
        ((3, -1), ["positive", "-1", "(3, -1)"]),
        ((3, 2.5), ["integers", "2.5", "(3, 2.5)"]),
        ((3, "4"), ["integers", "'4'"]),
        ((3, True), ["integers", "True"]),
        ((3, None), ["integers", "None"]),
        ((1,) * 8, ["fewer than 8 dimensions", "8"]),
        ((2**30, 2**30), ["too large", str(2**30)]),
        ((), ["(3, 224, 224)", "()"]),
        ([], ["(3, 224, 224)", "[]"]),
        (4, ["(3, 224, 224)", "4"]),
        ("3x224x224", ["(3, 224, 224)", "'3x224x224'"]),
        ([(4,), (0,)], ["positive", "0", "(0,)"]),
        ([(4,), 4], ["integers", "(4,)"]),
    ],
)
def test_an_input_size_that_is_none_is_refused(call, size, words):
    with pytest.raises(InputError) as error:
        call(nn.Linear(4, 4), size)
    assert_says(error, ["input_size", *words])


def test_sizes_of_numpy_and_torch_integers_are_sizes():
    size = (np.int64(4), *torch.Size([4]))
    assert bopscount.scan(nn.Linear(4, 2), size).macs == 4 * 4 * 2


@every_call
@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, ["input_size", "inputs", "neither"]),
        ({"input_size": (4,), "inputs": torch.zeros(1, 4)}, ["input_size", "inputs", "both"]),
        ({"inputs": [torch.zeros(1, 4)]}, ["inputs", "tuple", "dict", "list"]),
        ({"inputs": 4}, ["inputs", "tensor", "int"]),
        ({"input_size": (4,), "batch_size": 0}, ["batch_size", "positive", "0"]),
        ({"input_size": (4,), "batch_size": -2}, ["batch_size", "positive", "-2"]),
        ({"input_size": (4,), "batch_size": 1.5}, ["batch_size", "integer", "1.5"]),
        ({"input_size": (4,), "batch_size": True}, ["batch_size", "integer", "True"]),
        ({"input_size": (4,), "dtype": "float32"}, ["dtype", "torch.int64", "'float32'"]),
    ],
)
def test_an_input_that_is_none_is_refused(call, options, words):
    with pytest.raises(InputError) as error:
        call(nn.Linear(4, 4), **options)
    assert_says(error, words)


@pytest.mark.parametrize("rules", ["fvcore", "", None, 1])
def test_rules_that_do_not_exist_are_refused(rules):
    layers = bopscount.new_layers(0)
    for call in (
        lambda: bopscount.scan(nn.Linear(4, 4), (4,), rules=rules),
        lambda: stat(nn.Linear(4, 4), (4,), rules=rules),
        lambda: bopscount.count(layers, rules=rules),
    ):
        with pytest.raises(InputError) as error:
            call()
        assert_says(error, ["rules", "'torchstat' or 'full'", repr(rules)])


@pytest.mark.parametrize("granularity", [0, -1, 1.0, "2", None, True])
def test_a_granularity_that_is_no_height_is_refused(granularity):
    layers = bopscount.new_layers(0)
    for call in (
        lambda: stat(nn.Linear(4, 4), (4,), granularity),
        lambda: bopscount.count(layers, query_granularity=granularity),
    ):
        with pytest.raises(InputError) as error:
            call()
        assert_says(error, ["query_granularity", "positive integer", repr(granularity)])


@pytest.mark.parametrize(
    ("layers", "words"),
    [
        ([1, 2], ["layers", "LayerTable", "list"]),
        (np.zeros(3), ["layers", "LAYER_DTYPE", "float64"]),
        (bopscount.new_layers(4)[::2], ["layers", "C-contiguous"]),
        (bopscount.new_layers(4).reshape(2, 2), ["layers", "one-dimensional"]),
    ],
)
def test_an_array_that_is_no_layer_array_is_refused(layers, words):
    with pytest.raises(InputError) as error:
        bopscount.count(layers)
    assert_says(error, words)


def test_errors_are_of_one_family():
    assert issubclass(InputError, BopscountError)
    assert issubclass(InputError, ValueError)
    assert issubclass(TraceError, BopscountError)
    with pytest.raises(ValueError, match="positive"):
        bopscount.scan(nn.Linear(4, 4), (0,))


@every_call
def test_a_forward_that_raises_is_a_trace_error_that_says_where(call):
    with pytest.raises(TraceError) as caught:
        call(Broken(), (2, 4), batch_size=5)
    error = caught.value
    assert error.module_path == "inner.bad"
    assert error.input_shapes == ((5, 2, 4), (3,))
    assert isinstance(error.__cause__, KeyError)
    assert error.__cause__.args == ("no such thing",)
    assert_says(caught, ["inner.bad", "KeyError", "no such thing", "(5, 2, 4)", "(3,)"])


def test_a_torch_error_in_a_leaf_names_the_leaf_and_what_reached_it():
    model = nn.Sequential(nn.ReLU(), nn.Linear(4, 4))
    with pytest.raises(TraceError) as caught:
        bopscount.trace(model, (3, 5))
    assert caught.value.module_path == "1"
    assert caught.value.input_shapes == ((1, 3, 5),)
    assert isinstance(caught.value.__cause__, RuntimeError)


@pytest.mark.parametrize("groups", [1, 4])
def test_channels_that_do_not_fit_a_transposed_convolution_are_an_error(groups):
    """On meta torch itself lets them pass."""
    model = nn.Sequential(nn.ReLU(), nn.ConvTranspose1d(8, 8, 3, groups=groups))
    with pytest.raises(TraceError, match="8 channels, got 4") as caught:
        bopscount.trace(model, (4, 10), run="never")
    assert caught.value.module_path == "1"


def test_a_model_that_raises_itself_has_the_empty_path():
    class Raises(nn.Module):
        def forward(self, x):
            raise ValueError("not today")

    with pytest.raises(TraceError, match="not today") as caught:
        bopscount.trace(Raises(), (2,))
    assert caught.value.module_path == ""
    assert caught.value.input_shapes == ((1, 2),)


def test_arguments_that_forward_does_not_take_are_a_trace_error():
    with pytest.raises(TraceError) as caught:
        bopscount.trace(nn.Linear(4, 4), [(4,), (4,)])
    assert isinstance(caught.value.__cause__, TypeError)
    assert caught.value.input_shapes == ((1, 4), (1, 4))


def test_an_error_that_the_forward_catches_is_no_error():
    class Careful(nn.Module):
        def __init__(self):
            super().__init__()
            self.bad = Broken.Bad()
            self.good = nn.Linear(4, 4, bias=False)

        def forward(self, x):
            try:
                return self.bad(x, x)
            except KeyError:
                return self.good(x)

    assert bopscount.scan(Careful(), (4,)).macs == 16


def test_a_trace_error_pickles_with_its_attributes():
    with pytest.raises(TraceError) as caught:
        bopscount.trace(Broken(), (4,))
    copy = pickle.loads(pickle.dumps(caught.value))
    assert type(copy) is TraceError
    assert str(copy) == str(caught.value)
    assert copy.module_path == "inner.bad"
    assert copy.input_shapes == caught.value.input_shapes


def test_an_input_error_pickles():
    with pytest.raises(InputError) as caught:
        bopscount.scan(nn.Linear(4, 4), (0,))
    copy = pickle.loads(pickle.dumps(caught.value))
    assert type(copy) is InputError
    assert str(copy) == str(caught.value)


def huge_network():
    with torch.device("meta"):
        wide = nn.Linear(2**28, 2**28, bias=False)
    return nn.Sequential(OrderedDict(act=nn.ReLU(), wide=wide))


def test_a_cost_over_63_bits_is_an_overflow_error_that_names_the_layer():
    table = bopscount.trace(huge_network(), (2**28,))
    assert bopscount.count(table).totals.macs == 2**56
    wide = bopscount.trace(huge_network(), (4, 2**28))
    with pytest.raises(OverflowError, match=r"^wide: .*2\*\*63"):
        bopscount.count(wide)
    with pytest.raises(OverflowError, match=r"^wide: "):
        bopscount.scan(huge_network(), (4, 2**28))


def test_overlapping_calls_on_one_model_succeed():
    model = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.ReLU())
    expected = bopscount.scan(model, (4,))
    found, errors = [], []

    def work():
        try:
            found.extend(bopscount.scan(model, (4,)) for _ in range(5))
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert found == [expected] * 20


def assert_says(error, words):
    """One line that holds every word."""
    message = str(error.value)
    assert "\n" not in message
    for word in words:
        assert word in message
