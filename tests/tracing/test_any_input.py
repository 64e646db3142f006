"""Whatever forward takes and gives, and wherever its tensors are."""

import tracemalloc
from collections import OrderedDict, namedtuple
from dataclasses import dataclass

import pytest
import torch
from support.small_models import PER_ROW, ROWS, linear
from support.tracing_cases import Calls, Watched, form, function, parameter, values
from torch import nn
from torch.nn import functional as F  # noqa: N812 - torch's own custom

import bopscount
from bopscount import InputError


def scan(model, *args, **options):
    options.setdefault("run", "never")
    return bopscount.scan(model, *args, **options)


@pytest.mark.parametrize("size", [(8,), [8], [(8,)], ((8,),), torch.Size([8])])
@pytest.mark.parametrize("batch", [1, 2, 1000])
def test_a_size_is_a_shape_without_the_batch(size, batch):
    assert scan(linear(), size, batch_size=batch).macs == batch * PER_ROW


def test_sizes_of_several_inputs_are_a_list():
    model = Calls(lambda self, x, y: self.a(x) @ y, a=linear())
    expected = 4 * (5 * PER_ROW + 5 * 6 * 7)
    assert scan(model, [(5, 8), (6, 7)], batch_size=4).macs == expected
    assert scan(model, ((5, 8), (6, 7)), batch_size=4).macs == expected


def test_the_dtype_completes_a_size():
    model = nn.Sequential(nn.Embedding(10, 8), linear())
    assert scan(model, (7,), dtype=torch.int64, batch_size=2).macs == 14 * PER_ROW


def test_a_size_has_the_dtype_of_the_model():
    model = linear().bfloat16()
    totals = scan(model, (8,))
    assert totals.macs == PER_ROW
    assert totals.mem_read == 2 * (8 + PER_ROW)
    assert scan(linear().double(), (8,)).mem_read == 8 * (8 + PER_ROW)


def two(self, x, *, scale=None, mask=None):
    x = self.a(x)
    x = x if scale is None else x * scale
    return x if mask is None else x.masked_fill(mask, 0.0)


@pytest.mark.parametrize(
    "inputs",
    [
        ROWS,
        (ROWS,),
        {"x": ROWS},
        {"x": ROWS, "scale": 2.0, "mask": None},
        {"x": ROWS, "scale": None, "mask": torch.zeros(3, 6, dtype=torch.bool)},
        {"x": ROWS, "scale": torch.ones(6), "mask": torch.zeros(6, dtype=torch.bool)},
        OrderedDict(x=ROWS, scale=3),
        ROWS.to("meta"),
        {"x": ROWS.to("meta"), "mask": torch.zeros(6, dtype=torch.bool, device="meta")},
        nn.Parameter(ROWS),
        ROWS.clone().requires_grad_(),
        ROWS.expand(3, 8),
        values(8, 3).t(),
    ],
)
def test_inputs_are_a_tensor_a_tuple_or_a_dict(inputs):
    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.a = linear()

        def forward(self, x, scale=None, mask=None):
            return two(self, x, scale=scale, mask=mask)

    assert scan(Two(), inputs=inputs).macs == 3 * PER_ROW


Pair = namedtuple("Pair", "first second")


@dataclass
class Batch:
    tokens: torch.Tensor
    lengths: list
    mask: torch.Tensor | None = None


class Sample:
    """A user's own input, opaque to the tracer."""

    def __init__(self, tensor):
        self.tensor = tensor


NESTED = {
    "list": ([ROWS, ROWS], lambda x: x[0] + x[1]),
    "empty list": ([[], ROWS], lambda x: x[1] if not x[0] else None),
    "list of tuples": ([(ROWS, 1.0), (ROWS, 2)], lambda x: sum(t * f for t, f in x)),
    "dict": ({"a": {"b": [ROWS]}}, lambda x: x["a"]["b"][0]),
    "named tuple": (Pair(ROWS, None), lambda x: x.first),
    "ordered dict": (OrderedDict(a=ROWS), lambda x: x["a"]),
    "None among them": ((None, ROWS, "text", 3), lambda x: x[1]),
    "dataclass": (Batch(ROWS, [8, 8, 8]), lambda x: x.tokens),
    "opaque": (Sample(ROWS), lambda x: x.tensor),
    "size": ((ROWS, ROWS.shape), lambda x: x[0].view(x[1])),
}


@pytest.mark.parametrize("name", NESTED)
def test_inputs_may_be_nested(name):
    given, take = NESTED[name]
    model = Calls(lambda self, x: self.a(take(x)), a=linear())
    assert scan(model, inputs=(given,)).macs == 3 * PER_ROW
    assert scan(model, inputs=(given,), rules="full").macs == 3 * PER_ROW


def test_keyword_arguments_may_have_any_name_and_forward_may_take_them_all():
    model = Calls(lambda self, **kwargs: self.a(kwargs["model"]), a=linear())
    assert scan(model, inputs={"model": ROWS, "self_": 1, "inputs": None}).macs == 3 * PER_ROW


def test_a_forward_without_inputs_is_traced():
    model = Calls(lambda self: self.a(torch.zeros(2, 8)), a=linear())
    assert scan(model, inputs=()).macs == 2 * PER_ROW
    assert scan(model, inputs={}).macs == 2 * PER_ROW


IDS = torch.tensor([[1, 2, 3], [0, 0, 9]])


@pytest.mark.parametrize(
    "ids", [IDS, IDS.int(), IDS.to("meta"), IDS.expand(2, 3)], ids=["long", "int", "meta", "view"]
)
def test_token_ids_of_any_kind_are_looked_up(ids):
    model = nn.Sequential(nn.Embedding(10, 8), linear())
    assert scan(model, inputs=ids).macs == 6 * PER_ROW
    by_function = function(lambda ids, table: F.embedding(ids, table) @ table.t(), parameter(10, 8))
    assert scan(by_function, inputs=ids).macs == 6 * 80
    by_index = function(lambda ids, table: table[ids] @ table.t(), parameter(10, 8))
    assert scan(by_index, inputs=ids).macs == 6 * 80


def test_the_values_of_ids_and_masks_may_be_asked_for():
    def forward(self, ids, mask):
        if bool(mask.all()):
            return self.a(self.embed(ids))
        return self.a(self.embed(ids[:, : int(mask.sum(1).max())]))

    model = Calls(forward, embed=nn.Embedding(10, 8), a=linear())
    mask = torch.tensor([[True, False, False], [True, True, False]])
    assert scan(model, inputs=(IDS, mask)).macs == 4 * PER_ROW
    assert scan(model, inputs=(IDS, torch.ones_like(mask))).macs == 6 * PER_ROW


DTYPES = [torch.float64, torch.bfloat16, torch.float16]


@pytest.mark.parametrize("dtype", DTYPES)
def test_models_of_other_dtypes_are_traced(dtype):
    model = Watched(nn.Sequential(nn.Linear(8, 8), nn.LayerNorm(8), nn.GELU(), linear()).to(dtype))
    table = bopscount.trace(model, inputs=ROWS.to(dtype), run="never")
    assert form(model.outputs.last) == ((3, 6), dtype)
    assert table.totals().macs == 3 * (64 + PER_ROW)
    assert set(table.records["input_item_bytes"]) == {dtype.itemsize}


def test_autocast_inside_forward_is_followed():
    def forward(self, x):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            return self.a(x) @ torch.ones(6, 5)

    model = Watched(Calls(forward, a=linear()))
    totals = bopscount.scan(model, inputs=ROWS)
    assert totals.macs == 3 * PER_ROW + 3 * 6 * 5


def test_complex_inputs_are_followed():
    model = function(lambda x, w: (x @ w.to(torch.complex64)).abs(), parameter(8, 6))
    assert scan(model, inputs=ROWS.to(torch.complex64)).macs == 3 * PER_ROW


def test_meta_inputs_do_for_a_real_model_and_real_ones_for_a_meta_model():
    real, meta = linear(), linear().to("meta")
    for model in (real, meta):
        for inputs in (ROWS, ROWS.to("meta")):
            assert scan(model, inputs=inputs).macs == 3 * PER_ROW
            assert bopscount.scan(model, inputs=inputs).macs == 3 * PER_ROW
    assert scan(meta, (8,)).macs == PER_ROW


def test_a_model_partly_on_meta_is_traced():
    model = nn.Sequential(nn.Linear(8, 8), linear().to("meta"))
    assert scan(model, inputs=ROWS).macs == 3 * (64 + PER_ROW)


def test_a_huge_batch_costs_no_memory():
    tracemalloc.start()
    assert scan(linear(), (8,), batch_size=10**9).macs == 10**9 * PER_ROW
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2**24
    x = torch.empty(10**9, 8, device="meta")
    assert scan(linear(), inputs=x).macs == 10**9 * PER_ROW


def test_an_empty_batch_costs_nothing():
    model = nn.Sequential(linear(), nn.ReLU(), nn.Linear(6, 2))
    assert scan(model, inputs=torch.zeros(0, 8)).macs == 0


def test_the_batch_of_given_inputs_is_that_of_the_first_tensor():
    assert bopscount.trace(linear(), inputs=ROWS).batch_size == 3
    assert bopscount.trace(linear(), inputs={"input": ROWS}).batch_size == 3
    assert bopscount.trace(linear(), (8,), batch_size=5).batch_size == 5


@dataclass
class Result:
    logits: torch.Tensor
    hidden: tuple = ()


OUTPUTS = {
    "None": lambda y: None,
    "a number": lambda y: 3,
    "text": lambda y: "done",
    "tuple": lambda y: (y, (y, None)),
    "dict": lambda y: {"logits": y, "more": [y]},
    "dataclass": Result,
    "dataclass of a tuple": lambda y: Result(y, (y, y)),
    "named tuple": lambda y: Pair(y, 1),
    "generator": lambda y: (part for part in (y, y)),
    "the shape": lambda y: y.shape,
    "opaque": Sample,
    "empty": lambda y: (),
    "a parameter": lambda y: nn.Parameter(torch.zeros(1)),
    "distribution": lambda y: torch.distributions.Normal(
        y, torch.ones_like(y), validate_args=False
    ),
}


@pytest.mark.parametrize("name", OUTPUTS)
def test_outputs_of_any_kind_are_passed_on(name):
    inner = Calls(lambda self, x: OUTPUTS[name](self.a(x)), a=linear())
    model = Watched(Calls(lambda self, x: self.inner(x), inner=inner))
    assert scan(model, inputs=ROWS).macs == 3 * PER_ROW
    assert type(model.outputs.last) is type(OUTPUTS[name](torch.zeros(1)))
    assert bopscount.count(bopscount.trace(model, inputs=ROWS)).status == "complete"


@pytest.mark.parametrize("name", OUTPUTS)
def test_a_leaf_may_return_anything(name):
    class Leaf(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = parameter(8, 6)

        def forward(self, x):
            return OUTPUTS[name](x @ self.weight)

    model = nn.Sequential(Leaf())
    assert scan(model, inputs=ROWS).macs == 3 * PER_ROW


def test_a_builder_is_built_on_meta_at_no_cost_in_memory():
    built = []

    def build():
        built.append(nn.Sequential(nn.Linear(2**17, 2**17), nn.ReLU()))
        return built[-1]

    totals = scan(build, (2**17,))  # 64 GiB of parameters
    assert totals.macs == 2**34
    assert totals.params == 2**34 + 2**17
    assert all(parameter.is_meta for parameter in built[-1].parameters())
    assert torch.empty(1).device.type == "cpu"


def test_a_builder_may_be_a_class_s_partial_a_lambda_or_an_object():
    class Factory:
        def __call__(self):
            return linear()

    for build in (lambda: nn.Sequential(linear()), linear, Factory(), Factory().__call__):
        assert scan(build, (8,)).macs == PER_ROW


def test_a_builder_s_inputs_may_be_real():
    assert scan(linear, inputs=ROWS).macs == 3 * PER_ROW


def test_a_builder_that_asks_for_values_says_so():
    def build():
        model = linear()
        if model.weight.sum().item() > 0:
            return model
        return nn.Sequential(model)

    with pytest.raises(InputError) as caught:
        scan(build, (8,))
    assert "calling it" in str(caught.value)
    assert isinstance(caught.value.__cause__, RuntimeError)


def test_stat_of_meta_inputs_and_of_a_builder_has_no_durations(capsys):
    for model, inputs in ((linear, ROWS), (linear(), ROWS.to("meta"))):
        report = bopscount.stat(model, inputs=inputs)
        assert not report.timed
        assert report.totals.macs == 3 * PER_ROW
    assert "duration" not in capsys.readouterr().out


@pytest.mark.parametrize(
    "inputs",
    [[ROWS], 3, None, "x", ROWS.numpy(), iter([ROWS])],
    ids=["list", "int", "none", "text", "numpy", "iterator"],
)
def test_inputs_that_are_none_are_refused_with_a_word_on_what_they_may_be(inputs):
    with pytest.raises(InputError):
        scan(linear(), inputs=inputs)


def test_the_caller_s_inputs_are_left_alone():
    x, mask = ROWS.clone(), torch.zeros(3, 6, dtype=torch.bool)
    model = Calls(
        lambda self, x, mask: self.a(x.add_(1)).masked_fill_(mask.logical_not_(), 0), a=linear()
    )
    versions = x._version, mask._version
    assert scan(model, inputs=(x, mask)).macs == 3 * PER_ROW
    assert torch.equal(x, ROWS)
    assert not mask.any()
    assert (x._version, mask._version) == versions
