"""Models of every make: wrapped, compiled, patched, hooked, or deciding by values."""

import types
import warnings
from collections import OrderedDict
from typing import NamedTuple

import pytest
import torch
from torch import fx, nn
from torch.nn import functional as F  # noqa: N812 - torch's own custom
from torch.nn.utils import parametrizations, parametrize, prune
from torch.utils.checkpoint import checkpoint, checkpoint_sequential
from tracing_cases import (
    Calls,
    Watched,
    form,
    function,
    macs_on_meta,
    parameter,
    report_of,
    table_of_real_run,
    values,
)

import bopscount
from bopscount import InputError, TraceError

ROWS, IMAGE = values(3, 8), values(2, 3, 8, 8)
PER_ROW = 8 * 6


def linear():
    return nn.Linear(8, 6, bias=False)


def network():
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(),
                         nn.Linear(144, 5)).eval()  # fmt: skip


NETWORK_MACS = 2 * (36 * 4 * 27 + 144 * 5)


def scan(model, inputs, **options):
    options.setdefault("run", "never")
    return bopscount.scan(model, inputs=inputs, **options)


@pytest.fixture
def no_deprecations():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


# Wrappers.


@pytest.mark.usefixtures("no_deprecations")
def test_a_compiled_model_is_the_model_inside():
    model = network()
    compiled = torch.compile(model)
    assert scan(compiled, IMAGE) == scan(model, IMAGE)
    table = bopscount.trace(compiled, inputs=IMAGE)
    assert [node.path for node in table.nodes] == ["", "0", "1", "2", "3", "4"]
    assert compiled._orig_mod is model


@pytest.mark.usefixtures("no_deprecations")
def test_a_compiled_part_of_a_model_is_followed():
    model = Calls(lambda self, x: self.part(x), part=torch.compile(network()))
    report = report_of(model, IMAGE, run="never")
    assert report.totals.macs == NETWORK_MACS
    assert report.status == "complete"


@pytest.mark.usefixtures("no_deprecations")
def test_a_model_compiled_in_place_is_followed():
    model = network()
    model.compile()
    model[0].compile()
    assert scan(model, IMAGE).macs == NETWORK_MACS
    assert model._compiled_call_impl is not None


@pytest.mark.usefixtures("no_deprecations")
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


@pytest.mark.usefixtures("no_deprecations")
@pytest.mark.parametrize("convert", [scripted, jit_traced, frozen])
def test_a_script_module_is_counted_or_refused_with_advice(convert):
    for model in (convert(network()), nn.Sequential(convert(network()))):
        try:
            report = report_of(model, IMAGE)
        except InputError as error:
            assert "script" in str(error).lower()  # noqa: PT017
        else:
            assert report.totals.macs == NETWORK_MACS
            assert report.totals.params in (4 * 27 + 4 + 8 + 144 * 5 + 5, 0)


@pytest.mark.usefixtures("no_deprecations")
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


def test_an_exported_program_s_module_is_counted():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.export.export(network(), (IMAGE,))
    assert scan(program.module(), IMAGE).macs == NETWORK_MACS


class Cache:
    """Keys and values of former tokens, as an object that forward extends."""

    def __init__(self, n_layers):
        self.layers = [None] * n_layers
        self.filled = torch.zeros(n_layers)

    def update(self, index, key, value):
        if self.layers[index] is not None:
            key = torch.cat([self.layers[index][0], key], 1)
            value = torch.cat([self.layers[index][1], value], 1)
        self.layers[index] = key, value
        self.filled[index] = key.shape[1]
        return key, value


class Output(OrderedDict):
    """A dict whose items are attributes too."""

    def __init__(self, **items):
        super().__init__(items)
        self.__dict__.update(items)


class Decoder(nn.Module):
    """What transformers' decoders do: a mask out of positions, a cache, a dict as output."""

    def __init__(self, n_layers=2, width=8):
        super().__init__()
        self.embed = nn.Embedding(10, width)
        self.layers = nn.ModuleList(nn.Linear(width, 3 * width) for _ in range(n_layers))

    def forward(self, input_ids, attention_mask=None, past=None, use_cache=True):
        past = Cache(len(self.layers)) if past is None and use_cache else past
        start = 0 if past is None or past.layers[0] is None else past.layers[0][0].shape[1]
        x = self.embed(input_ids)
        positions = torch.arange(start, start + x.shape[1])
        allowed = torch.arange(start + x.shape[1])[None] <= positions[:, None]
        if attention_mask is not None and not attention_mask.all():
            allowed = allowed & attention_mask[:, None].bool()
        mask = torch.zeros(allowed.shape).masked_fill(~allowed, torch.finfo(x.dtype).min)
        for index, layer in enumerate(self.layers):
            query, key, value = layer(x).chunk(3, -1)
            if past is not None:
                key, value = past.update(index, key, value)
            x = x + F.scaled_dot_product_attention(query, key, value, mask)
        return Output(last_hidden_state=x, past=past)


@pytest.mark.parametrize("real", [False, True])
def test_a_decoder_with_masks_a_cache_and_a_dict_as_output_is_followed(real):
    model = Decoder().eval()
    ids = torch.arange(5)[None]
    projections = 2 * 8 * 24

    def macs_of(inputs):
        table = table_of_real_run(model, inputs) if real else None
        return (scan(model, inputs) if table is None else table.totals()).macs

    assert macs_of({"input_ids": ids}) == 5 * projections + 2 * 2 * 5 * 5 * 8
    padded = torch.tensor([[0, 1, 1, 1, 1]])
    assert macs_of({"input_ids": ids, "attention_mask": padded}) == macs_of({"input_ids": ids})
    with torch.no_grad():
        cache = model(ids).past
    layers, filled = list(cache.layers), cache.filled.tolist()
    step = {"input_ids": ids[:, :1], "past": cache}
    assert macs_of(step) == projections + 2 * 2 * 6 * 8
    assert all(now is then for now, then in zip(cache.layers, layers, strict=True))
    assert cache.filled.tolist() == filled == [5, 5]


# Weights that are computed.


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


# Ops of the user's.


class StraightThroughSign(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x.sign()

    @staticmethod
    def backward(ctx, grad):
        (x,) = ctx.saved_tensors
        return grad * (x.abs() <= 1)


class SignWithSetup(torch.autograd.Function):
    @staticmethod
    def forward(x):
        return x.sign()

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx, grad):
        return grad


class MatmulFunction(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, w):
        ctx.mark_non_differentiable(w)
        return x @ w, w

    @staticmethod
    def backward(ctx, grad, _):
        return grad, None


@pytest.mark.parametrize("sign", [StraightThroughSign, SignWithSetup])
@pytest.mark.parametrize("training", [True, False])
def test_a_straight_through_sign_is_followed(sign, training):
    class BinaryLinear(nn.Linear):
        def forward(self, x):
            return F.linear(sign.apply(x), sign.apply(self.weight), self.bias)

    model = Watched(nn.Sequential(BinaryLinear(8, 6), nn.ReLU(), function(sign.apply)))
    report = report_of(model, ROWS, run="never", training=training)
    assert report.totals.macs == 3 * PER_ROW
    assert report.status == "complete"
    assert form(model.outputs.last) == ((3, 6), torch.float32)
    assert table_of_real_run(model, ROWS).totals().macs == 3 * PER_ROW


def test_ops_inside_an_autograd_function_are_counted():
    model = function(lambda x, w: MatmulFunction.apply(x, w)[0], parameter(8, 6))
    assert scan(model, ROWS).macs == 3 * PER_ROW
    assert table_of_real_run(model, ROWS).totals().macs == 3 * PER_ROW


def test_functional_call_inside_forward_is_followed():
    def forward(self, x):
        weights = {"weight": torch.tanh(self.a.weight)}
        return torch.func.functional_call(self.a, weights, (x,))

    model = Calls(forward, a=linear())
    report = report_of(model, ROWS, run="never")
    assert report.totals.macs == 3 * PER_ROW
    assert {row.module_path for row in report.rows if row.macs} == {"a"}
    assert isinstance(model.a.weight, nn.Parameter)
    assert not model.a.weight.is_meta


def test_vmap_inside_forward_is_followed():
    def forward(self, x):
        return torch.vmap(lambda row: self.own[0].t() @ row)(x)

    report = report_of(Calls(forward, parameter(8, 6)), ROWS, run="never")
    assert report.totals.macs == 3 * PER_ROW


def test_vmap_of_a_layer_counts_all_samples():
    report = report_of(Calls(lambda self, x: torch.vmap(self.a)(x), a=linear()), ROWS)
    assert report.totals.macs == 3 * PER_ROW


def test_vmap_of_a_function_counts_all_samples():
    model = function(lambda x, w: torch.vmap(lambda row: F.linear(row, w))(x), parameter(6, 8))
    assert bopscount.scan(model, inputs=ROWS).macs == 3 * PER_ROW


def test_functional_call_with_weights_of_another_shape_is_followed():
    def forward(self, x):
        return torch.func.functional_call(self.a, {"weight": self.own[0]}, (x,))

    assert scan(Calls(forward, parameter(2, 8), a=linear()), ROWS).macs == 3 * 16


def test_inside_vmap_a_copy_to_where_the_constants_are_is_followed():
    """As transformers does with masks, for which it takes the device of its positions."""

    def forward(self, x):
        positions = torch.arange(3, device=x.device)

        def allowed(i, j):
            allowed = positions.new_ones((), dtype=torch.bool) & (i <= j)
            return allowed & (x[i, 0] > 0).to(allowed.device)

        mask = torch.vmap(torch.vmap(allowed, (None, 0)), (0, None))(positions, positions)
        return mask.to(x.dtype) @ self.a(x)

    model = Calls(forward, a=linear())
    assert scan(model, ROWS).macs == macs_on_meta(model, ROWS) == 3 * PER_ROW + 3 * 3 * 6


def test_a_size_may_come_from_a_tensor_of_integers():
    def forward(self, x, sizes):
        height, width = sizes
        return self.a(F.interpolate(x[None, None], size=(height, width), mode="bilinear"))

    model = Calls(forward, a=linear())
    assert scan(model, (ROWS, torch.tensor([5, 8]))).macs == 5 * PER_ROW


@pytest.mark.parametrize(
    "move",
    [
        lambda i, x: i.to(x.device),
        lambda i, x: i.to(device=x.device, dtype=torch.int32),
        lambda i, x: torch.as_tensor(i, device=x.device),
        lambda i, x: torch.as_tensor([2], device=x.device),
    ],
)
def test_integers_that_are_moved_to_where_the_input_is_keep_their_values(move):
    model = Calls(lambda self, x, i: self.a(x[: move(i, x).tolist()[0]]), a=linear())
    assert scan(model, (ROWS, torch.tensor([2]))).macs == 2 * PER_ROW
    assert scan(model, (ROWS.to("meta"), torch.tensor([2]))).macs == 2 * PER_ROW


CHOSEN = torch.tensor([True, False, True])


@pytest.mark.parametrize(
    "select",
    [
        lambda x, chosen: x[chosen],
        lambda x, chosen: x[chosen.to(x.device), :],
        lambda x, chosen: x[None, chosen][0],
        lambda x, chosen: x.t()[..., chosen].t(),
        lambda x, chosen: x[chosen[:, None].expand_as(x)].view(-1, 8),
        lambda x, chosen: x[:, None][chosen, torch.zeros(2, dtype=torch.int64)],
    ],
)
def test_an_index_by_a_mask_of_known_values_has_a_known_shape(select):
    model = Calls(lambda self, x, chosen: self.a(select(x, chosen)), a=linear())
    assert select(ROWS, CHOSEN).shape == (2, 8)
    assert scan(model, (ROWS, CHOSEN)).macs == 2 * PER_ROW


def test_a_large_mask_that_is_a_small_one_expanded_is_looked_into():
    def forward(self, x, chosen):
        mask = chosen[:, None].expand_as(x).to(x.device)
        return self.a(x[mask].view(-1, 8))

    chosen = torch.arange(20_000) < 7
    assert scan(
        Calls(forward, a=linear()), (torch.empty(20_000, 8, device="meta"), chosen)
    ).macs == (7 * PER_ROW)


def test_a_mask_of_another_length_is_an_error_and_one_from_the_input_is_not_known():
    with pytest.raises(TraceError):
        scan(function(lambda x, chosen: x[chosen]), (ROWS, CHOSEN[:2]))
    with pytest.raises(TraceError):
        scan(function(lambda x: x[x[:, 0] > 0]), ROWS)
    written = function(lambda x, chosen: x[chosen.clone().logical_and_(x[:, 0] > 0)])
    with pytest.raises(TraceError):
        scan(written, (ROWS, CHOSEN))


def test_vmap_over_an_ensemble_is_followed():
    def forward(self, x):
        def one(weight):
            return torch.func.functional_call(self.a, {"weight": weight}, (x,))

        return torch.vmap(one)(self.own[0])

    report = report_of(Calls(forward, parameter(5, 6, 8), a=linear()), ROWS, run="never")
    assert report.totals.macs == 5 * 3 * PER_ROW


@pytest.mark.parametrize("reentrant", [True, False])
def test_checkpoint_inside_forward_is_followed(reentrant):
    def forward(self, x):
        x = checkpoint(self.a, x, use_reentrant=reentrant)
        return checkpoint(lambda y: y @ y.t(), x, use_reentrant=reentrant)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert scan(Calls(forward, a=linear()), ROWS).macs == 3 * PER_ROW + 54
        model = nn.Sequential(linear(), nn.Linear(6, 6, bias=False))
        outer = Calls(
            lambda self, x: checkpoint_sequential(self.body, 2, x, use_reentrant=reentrant),
            body=model,
        )
        assert scan(outer, ROWS).macs == 3 * (PER_ROW + 36)


def test_gradients_inside_forward_are_followed():
    def forward(self, x):
        with torch.enable_grad():
            y = self.a(x).square().sum()
        return y

    assert scan(Calls(forward, a=linear()), ROWS).macs == 3 * PER_ROW


@pytest.mark.usefixtures("no_deprecations")
def test_jvp_and_grad_inside_forward_are_followed():
    def forward(self, x):
        y, tangent = torch.func.jvp(lambda x: x @ self.own[0], (x,), (torch.ones_like(x),))
        return y + tangent, torch.func.grad(lambda x: x.sin().sum())(x)

    assert bopscount.scan(Calls(forward, parameter(8, 6)), inputs=ROWS).macs >= 3 * PER_ROW


def test_inference_mode_inside_forward_is_followed():
    def forward(self, x):
        with torch.inference_mode():
            return self.a(x) @ x

    assert scan(Calls(forward, a=nn.Linear(8, 3, bias=False)), ROWS).macs == 3 * 24 + 72


class Tagged(torch.Tensor):
    """A tensor subclass that keeps its class."""

    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        return super().__torch_function__(func, types, args, kwargs or {})


def test_a_tensor_subclass_is_followed():
    given = ROWS.as_subclass(Tagged)
    model = Calls(lambda self, x: F.relu(self.a(x)) @ torch.ones(6, 2), a=linear())
    assert scan(model, given).macs == 3 * (PER_ROW + 12)
    inside = Calls(lambda self, x: self.a(x.as_subclass(Tagged)) * 2, a=linear())
    assert scan(inside, ROWS).macs == 3 * PER_ROW
    assert table_of_real_run(inside, ROWS).totals().macs == 3 * PER_ROW


class Scaled(NamedTuple):
    """A quantised tensor that is no tensor, as brevitas has them."""

    value: torch.Tensor
    scale: float

    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        return func(*(arg.value if isinstance(arg, cls) else arg for arg in args), **kwargs or {})


@pytest.mark.parametrize(
    ("forward", "macs"),
    [
        (lambda self, x: F.conv2d(Scaled(x, 0.5), torch.ones(4, 3, 3, 3)), 4 * 27 * 36),
        (lambda self, x: F.conv2d(x, Scaled(torch.ones(4, 3, 3, 3), 0.5)), 4 * 27 * 36),
        (lambda self, x: F.linear(Scaled(x, 0.5), torch.ones(5, 8)), 3 * 8 * 8 * 5),
    ],
)
def test_what_stands_for_a_tensor_is_followed(forward, macs):
    assert scan(Calls(forward), torch.ones(1, 3, 8, 8)).macs == macs


def test_a_parameter_of_a_subclass_is_followed():
    class TaggedParameter(nn.Parameter):
        pass

    layer = linear()
    layer.weight = TaggedParameter(layer.weight.data)
    assert scan(nn.Sequential(layer), ROWS).macs == 3 * PER_ROW


# Hooks and overrides.


def test_hooks_that_change_outputs_change_what_follows():
    first, second = nn.Linear(8, 4, bias=False), nn.Linear(8, 6, bias=False)
    model = nn.Sequential(first, second)
    first.register_forward_hook(lambda module, args, output: torch.cat([output, output], -1))
    report = report_of(model, ROWS, run="never")
    assert [row.macs for row in report.rows if row.macs] == [3 * 32, 3 * PER_ROW]
    first.register_forward_hook(lambda module, args, output: output @ torch.ones(8, 8))
    assert scan(model, ROWS).macs == 3 * (32 + 64 + PER_ROW)


def test_pre_hooks_that_change_inputs_change_what_is_done():
    model = nn.Sequential(linear(), nn.ReLU())
    model[0].register_forward_pre_hook(lambda module, args: (args[0].repeat(2, 1),))
    report = report_of(model, ROWS, run="never")
    assert report.totals.macs == 6 * PER_ROW
    model.register_forward_pre_hook(lambda module, args: (torch.cat([args[0]] * 5),))
    assert scan(model, ROWS).macs == 30 * PER_ROW


@pytest.mark.parametrize("index", [0, 1])
@pytest.mark.parametrize("kind", ["register_forward_hook", "register_forward_pre_hook"])
def test_hooks_that_a_forward_registers_are_called_and_taken_away(kind, index):
    """As transformers does, the first time that a model is asked for its hidden states."""
    seen = []

    def forward(self, x):
        getattr(self.layers[index], kind)(lambda module, args, *output: seen.append(form(args[0])))
        return self.layers(x)

    model = Calls(forward, layers=nn.Sequential(linear(), nn.Sequential(nn.ReLU())))
    assert scan(model, ROWS).macs == 3 * PER_ROW
    assert seen == [((3, (8, 6)[index]), torch.float32)]
    layer = model.layers[index]
    assert not layer._forward_hooks
    assert not layer._forward_pre_hooks


def test_hooks_with_keywords_and_hooks_on_inner_modules_are_called():
    seen = []

    def before(module, args, kwargs):
        seen.append("before")
        return args, {**kwargs, "times": 2}

    def after(module, args, kwargs, output):
        seen.append(kwargs["times"])
        return output * 2

    class Repeats(nn.Module):
        def __init__(self):
            super().__init__()
            self.a = nn.Linear(8, 8, bias=False)

        def forward(self, x, times=1):
            for _ in range(times):
                x = self.a(x)
            return x

    model = nn.Sequential(Repeats())
    model[0].register_forward_pre_hook(before, with_kwargs=True)
    model[0].register_forward_hook(after, with_kwargs=True)
    assert scan(model, ROWS).macs == 2 * 3 * 64
    assert seen == ["before", 2]


def test_a_hook_that_records_features_sees_tensors_of_the_right_shape():
    features = []
    model = network()
    model[0].register_forward_hook(lambda module, args, output: features.append(form(output)))
    model[2].register_forward_pre_hook(lambda module, args: features.append(form(args[0])))
    assert scan(model, IMAGE).macs == NETWORK_MACS
    assert features == [((2, 4, 6, 6), torch.float32)] * 2


def test_global_hooks_of_torch_are_called():
    seen = []
    handle = nn.modules.module.register_module_forward_hook(
        lambda module, args, output: seen.append(type(module).__name__)
    )
    try:
        assert scan(network(), IMAGE).macs == NETWORK_MACS
    finally:
        handle.remove()
    assert seen == ["Conv2d", "BatchNorm2d", "ReLU", "Flatten", "Linear", "Sequential"]


def test_an_own_call_method_is_called():
    class Doubles(nn.Module):
        def __init__(self):
            super().__init__()
            self.a = linear()

        def __call__(self, x, *args, **kwargs):
            return super().__call__(torch.cat([x, x]), *args, **kwargs)

        def forward(self, x):
            return self.a(x)

    class CallsConv(nn.Conv2d):
        def __call__(self, x):
            return super().__call__(x) + 1

    assert scan(Doubles(), ROWS).macs == 6 * PER_ROW
    report = report_of(nn.Sequential(Doubles(), nn.ReLU()), ROWS, run="never")
    assert report.totals.macs == 6 * PER_ROW
    assert [row.calls for row in report.rows] == [1, 1]
    model = nn.Sequential(CallsConv(3, 4, 3, bias=False))
    assert scan(model, IMAGE).macs == 2 * 36 * 4 * 27
    assert "__call__" in CallsConv.__dict__


def test_a_call_method_without_super_is_called():
    class Bare(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = parameter(8, 6)

        def __call__(self, x):
            return x @ self.weight

    assert scan(nn.Sequential(Bare()), ROWS).macs == 3 * PER_ROW


def test_a_forward_of_the_instance_or_patched_into_the_class_is_called():
    model = nn.Sequential(linear())
    model[0].forward = types.MethodType(lambda self, x: F.linear(x, self.weight) * 2, model[0])
    assert scan(model, ROWS).macs == 3 * PER_ROW
    model[0].forward = lambda x: x @ torch.ones(8, 3)
    assert scan(model, ROWS).macs == 3 * 24

    class Patched(nn.Linear):
        pass

    Patched.forward = lambda self, x: x @ torch.ones(8, 2)
    assert scan(nn.Sequential(Patched(8, 6)), ROWS).macs == 3 * 16


def test_slots_and_attributes_without_setattr_are_no_hindrance():
    class Guarded(nn.Module):
        def __init__(self):
            super().__init__()
            self.a = linear()
            self.locked = True

        def __setattr__(self, name, value):
            if self.__dict__.get("locked"):
                raise AttributeError("locked")
            super().__setattr__(name, value)

        def __getattr__(self, name):
            if name == "proj":
                return self.a
            return super().__getattr__(name)

        def forward(self, x):
            return self.proj(x)

    assert scan(Guarded(), ROWS).macs == 3 * PER_ROW


def test_a_model_with_its_own_equality_and_hash_is_no_hindrance():
    class Equal(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = linear(), linear()

        def __eq__(self, other):
            return True

        __hash__ = None

        def forward(self, x):
            return self.a(x) + self.b(x)

    assert scan(Equal(), ROWS).macs == 6 * PER_ROW


def test_modules_made_inside_forward_count_for_their_caller():
    def forward(self, x):
        head = nn.Sequential(nn.Linear(8, 6, bias=False), nn.ReLU())
        return self.a(head(x))

    model = Calls(forward, a=nn.Linear(6, 8, bias=False))
    report = report_of(model, ROWS, run="never")
    assert report.totals.macs == 6 * PER_ROW
    assert report.totals.params == 48
    assert table_of_real_run(model, ROWS).totals().macs == 6 * PER_ROW


def test_modules_kept_in_plain_containers_count_for_their_caller():
    class Hidden(nn.Module):
        def __init__(self):
            super().__init__()
            self.act = nn.ReLU()
            self.plain = [linear()]

        def forward(self, x):
            return self.act(self.plain[0](x))

    report = report_of(nn.Sequential(Hidden()), ROWS, run="never")
    assert report.totals.macs == 3 * PER_ROW
    assert report.totals.params == 0


# Training.


def test_branches_of_training_are_taken_with_training_only():
    def forward(self, x):
        x = self.a(x)
        return (x, self.b(x)) if self.training else x

    model = Calls(forward, a=linear(), b=nn.Linear(6, 4, bias=False)).train()
    assert scan(model, ROWS).macs == 3 * PER_ROW
    assert scan(model, ROWS, training=True).macs == 3 * (PER_ROW + 24)
    assert scan(model.eval(), ROWS, training=True).macs == 3 * PER_ROW
    assert not model.training


def test_layers_in_training_are_traced():
    model = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Dropout2d(), nn.RReLU(), nn.InstanceNorm2d(4),
        nn.Flatten(), nn.Dropout(), nn.Linear(144, 5), nn.BatchNorm1d(5), nn.AlphaDropout(),
    )  # fmt: skip
    report = report_of(model, IMAGE, run="never", training=True)
    assert report.totals.macs == NETWORK_MACS
    assert report.status == "complete"
    encoder = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
    x = values(2, 5, 8)
    assert scan(encoder, x, training=True).macs == scan(encoder, x).macs


# Models that look at values.


def by_item(self, x):
    x = self.a(x)
    return x * 2 if x.sum().item() > 0 else x


def by_branch(self, x):
    x = self.a(x)
    return x if (x > 0).all() else -x


def by_nonzero(self, x):
    x = self.a(x)
    return x[x.sum(1).abs() >= 0] @ torch.ones(6, 2)


def by_index(self, x):
    x = self.a(x)
    rows = torch.nonzero(x.sum(1).abs() >= 0).squeeze(1)
    return x[rows] @ torch.ones(6, 2)


def by_list(self, x):
    return self.a(x)[: len(x.argmax(1).tolist())]


def by_numpy(self, x):
    return self.a(torch.from_numpy(x.numpy() * 2))


def by_loop(self, x):
    x = self.a(x)
    for value in x.flatten()[:2]:
        if float(value) < float("inf"):
            x = x + 1
    return x


def by_unique(self, x):
    return self.a(x).unique() * 1


BY_VALUES = [by_item, by_branch, by_nonzero, by_index, by_list, by_numpy, by_loop, by_unique]
by_values = pytest.mark.parametrize("forward", BY_VALUES)


def macs_by_values(forward):
    return 3 * PER_ROW + (36 if forward in (by_nonzero, by_index) else 0)


@by_values
def test_a_model_that_looks_at_values_is_run_and_says_so(forward, capsys):
    model = Calls(forward, a=linear())
    table = bopscount.trace(model, inputs=ROWS)
    assert table.ran_model
    report = bopscount.stat(model, inputs=ROWS, timing=False)
    assert report.ran_model
    assert report.to_dict()["ran_model"] is True
    assert report.totals.macs == macs_by_values(forward)
    assert "run" in capsys.readouterr().out.strip().splitlines()[-1]
    assert bopscount.scan(model, (8,), batch_size=3).macs == macs_by_values(forward)


@by_values
def test_a_model_that_looks_at_values_is_not_run_under_never(forward):
    with pytest.raises(TraceError) as caught:
        scan(Calls(forward, a=linear()), ROWS)
    assert "run='auto'" in str(caught.value)
    assert caught.value.__cause__ is not None
    assert caught.value.module_path == ""


@by_values
def test_a_model_on_meta_that_looks_at_values_is_an_error_that_says_where(forward):
    inner = Calls(forward, a=linear()).to("meta")
    for given in (ROWS, ROWS.to("meta")):
        with pytest.raises(TraceError) as caught:
            bopscount.scan(nn.Sequential(nn.ReLU(), inner), inputs=given)
        assert caught.value.module_path == "1"
        assert "meta" in str(caught.value).lower()


def test_a_model_on_meta_that_looks_at_values_names_the_op():
    model = Calls(by_item, a=linear()).to("meta")
    with pytest.raises(TraceError) as caught:
        bopscount.scan(model, inputs=ROWS)
    assert "item" in str(caught.value)


def test_a_model_run_for_its_values_takes_the_branch_that_they_say():
    def forward(self, x):
        return self.a(x) if x.sum() > 0 else self.b(x)

    model = Calls(forward, a=linear(), b=nn.Linear(8, 2, bias=False))
    assert bopscount.scan(model, inputs=torch.ones(3, 8)).macs == 3 * PER_ROW
    assert bopscount.scan(model, inputs=-torch.ones(3, 8)).macs == 3 * 16


def test_a_model_run_for_its_values_has_its_rows_and_its_flow():
    model = nn.Sequential(linear(), Calls(lambda self, x: x * x.max().item()), nn.Linear(6, 2))
    table = bopscount.trace(model, inputs=ROWS)
    report = bopscount.count(table, rules="full")
    rows = {row.module_path: row for row in report.rows}
    assert rows["0"].macs == 3 * PER_ROW
    assert rows["2"].macs == 3 * 12
    assert rows["1.(functional)"].flops > 0
    assert sum(row.flops for row in report.rows) == report.totals.flops


def test_an_error_of_a_model_that_is_run_is_its_own():
    def forward(self, x):
        if x.sum().item() > float("-inf"):
            raise ValueError("not these values")

    with pytest.raises(TraceError, match="not these values") as caught:
        bopscount.scan(Calls(forward, a=linear()), inputs=ROWS)
    assert isinstance(caught.value.__cause__, ValueError)


def test_constants_may_be_looked_at_without_a_run():
    def forward(self, x):
        steps = torch.arange(4)
        for step in steps:
            x = x + step.item()
        lengths = torch.tensor([3, 2, 1])
        mask = torch.arange(int(lengths.max()))[None] < lengths[:, None]
        if mask.any() and torch.equal(steps, torch.arange(4)) and bool(self.flag):
            x = self.a(x)
        return x[: int(lengths[0])]

    model = Calls(forward, a=linear())
    model.register_buffer("flag", torch.ones(()))
    report = report_of(model, ROWS, run="never")
    assert report.totals.macs == 3 * PER_ROW
    assert not report.ran_model


def test_a_check_of_values_is_taken_to_hold_without_a_run():
    def forward(self, x, low):
        torch._check_tensor_all(x.abs() >= low)
        return self.a(x)

    model = Calls(forward, a=linear())
    assert scan(model, (ROWS, torch.tensor(0))).macs == 3 * PER_ROW
    assert table_of_real_run(model, (ROWS, torch.tensor(0))).totals().macs == 3 * PER_ROW
    known = Calls(lambda self, x: torch._check_tensor_all(torch.arange(3) > x.shape[0]))
    with pytest.raises(TraceError):
        scan(known, ROWS)


def test_shapes_may_be_looked_at_without_a_run():
    def forward(self, x):
        batch, width = x.shape
        assert x.dim() == 2 and x.size(-1) == width and len(x) == batch  # noqa: PT018
        assert x.dtype == torch.float32
        assert x.is_floating_point()
        assert x.numel() == batch * width
        assert isinstance(x, torch.Tensor)
        if torch.is_tensor(x) and not torch.is_complex(x) and x.stride(0) == width:
            torch._assert(x.shape[0] == batch, "batch")
            x = self.a(x.to(self.a.weight.device).to(self.a.weight.dtype))
        return x.new_zeros(x.shape).copy_(x)

    assert scan(Calls(forward, a=linear()), ROWS).macs == 3 * PER_ROW


def test_the_device_that_a_model_sees_does_for_new_tensors():
    def forward(self, x):
        y = self.a(x) + torch.ones(6, device=x.device, dtype=x.dtype)
        return y + torch.zeros_like(y) + torch.full((3, 6), 2.0, device=self.a.weight.device)

    for model in (Calls(forward, a=linear()), Calls(forward, a=linear()).to("meta")):
        assert scan(model, ROWS).macs == 3 * PER_ROW


def test_parameters_and_tensors_moved_to_a_device_stay_in_the_trace():
    def forward(self, x):
        weight = self.a.weight.cpu().to("cpu").to(torch.device("cpu"))
        table = torch.zeros(3, 6)
        table[:] = self.a(x)
        return F.linear(x.cpu().to("cpu"), weight) @ table.cpu().t()

    report = report_of(Calls(forward, a=linear()), ROWS, run="never")
    assert report.totals.macs == 2 * 3 * PER_ROW + 3 * 6 * 3
