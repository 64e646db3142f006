"""autograd.Functions, torch.func, checkpoints and grad modes inside a forward."""

import warnings

import pytest
import torch
from support.small_models import PER_ROW, ROWS, linear, scan
from support.tracing_cases import (
    Calls,
    Watched,
    form,
    function,
    macs_on_meta,
    parameter,
    report_of,
    table_of_real_run,
)
from torch import nn
from torch.nn import functional as F  # noqa: N812 - torch's own custom
from torch.utils.checkpoint import checkpoint, checkpoint_sequential


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
    model = Calls(lambda self, x: torch.vmap(self.a)(x), a=linear())
    assert scan(model, ROWS).macs == 3 * PER_ROW


def test_vmap_of_a_function_counts_all_samples():
    model = function(lambda x, w: torch.vmap(lambda row: F.linear(row, w))(x), parameter(6, 8))
    assert scan(model, ROWS).macs == 3 * PER_ROW


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


@pytest.mark.filterwarnings("ignore")
def test_jvp_and_grad_inside_forward_are_followed():
    def forward(self, x):
        y, tangent = torch.func.jvp(lambda x: x @ self.own[0], (x,), (torch.ones_like(x),))
        return y + tangent, torch.func.grad(lambda x: x.sin().sum())(x)

    model = Calls(forward, parameter(8, 6))
    assert scan(model, ROWS).macs == macs_on_meta(model, ROWS) > 3 * PER_ROW


def test_inference_mode_inside_forward_is_followed():
    def forward(self, x):
        with torch.inference_mode():
            return self.a(x) @ x

    assert scan(Calls(forward, a=nn.Linear(8, 3, bias=False)), ROWS).macs == 3 * 24 + 72
