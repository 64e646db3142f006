"""Hooks of the user's, on modules and on all of torch, are called and have their effect."""

import pytest
import torch
from support.small_models import IMAGE, NETWORK_MACS, PER_ROW, ROWS, linear, network, scan
from support.tracing_cases import Calls, form, report_of
from torch import nn


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


@pytest.mark.parametrize("kind", ["register_forward_hook", "register_forward_pre_hook"])
def test_hooks_keep_their_order_after_a_forward_that_changed_them(kind):
    """One that was put first stays first: an OrderedDict has an order beside its dict's own."""
    called = []

    def forward(self, x):
        getattr(self.layer, kind)(lambda *_: None)
        return self.layer(x)

    model = Calls(forward, layer=linear())
    getattr(model.layer, kind)(lambda *_: called.append("last"))
    getattr(model.layer, kind)(lambda *_: called.append("middle"), prepend=True)
    getattr(model.layer, kind)(lambda *_: called.append("first"), prepend=True)
    scan(model, ROWS)
    called.clear()
    model.layer(torch.zeros(3, 8))
    assert called == ["first", "middle", "last"]


def test_hooks_that_a_forward_reorders_are_back_in_order():
    called = []

    def forward(self, x):
        hooks = self.layer._forward_hooks
        hooks.move_to_end(next(iter(hooks)))
        return self.layer(x)

    model = Calls(forward, layer=linear())
    for name in ("first", "second"):
        model.layer.register_forward_hook(lambda *_, name=name: called.append(name))
    scan(model, ROWS)
    called.clear()
    model.layer(torch.zeros(3, 8))
    assert called == ["first", "second"]
