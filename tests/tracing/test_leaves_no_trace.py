"""The model, its inputs and what is global to a forward are as before: whatever happened."""

import pytest
import torch
from support.untouched import (
    CHANNELS,
    SIZE,
    Messy,
    check_untouched,
    every_call,
    global_state,
    snapshot,
    trace_training,
)
from torch import nn

import bopscount
from bopscount import TraceError


@every_call
def test_after_success_the_model_is_as_before(call):
    check_untouched(Messy(), call)


@every_call
def test_after_a_forward_that_raises_the_model_is_as_before(call):
    check_untouched(Messy(RuntimeError("broken")), call, TraceError)


@every_call
def test_after_an_interrupt_in_forward_the_model_is_as_before(call):
    check_untouched(Messy(KeyboardInterrupt()), call, KeyboardInterrupt)


@every_call
def test_a_messy_part_of_a_model_is_as_before(call):
    check_untouched(nn.Sequential(nn.Identity(), nn.Sequential(Messy())), call)


def test_the_messy_forward_does_change_all_this_by_itself():
    model = Messy()
    before, world = snapshot(model), global_state()
    try:
        model(torch.zeros(1, *SIZE))
        after, changed_world = snapshot(model), global_state()
    finally:
        torch.set_default_dtype(torch.float32)
        torch.set_grad_enabled(True)
    changed = {key for key in before.keys() | after.keys() if before.get(key) != after.get(key)}
    assert {
        ("named_parameters", "scale"),
        ("named_parameters", "conv.bias"),
        ("named_parameters", "norm.weight"),
        ("named_parameters", "norm.bias"),
        ("named_buffers", "table"),
        ("", "__dict__", "nested"),
        ("named_buffers", "steps"),
        ("named_buffers", "cache"),
        ("named_buffers", "absent"),
        ("named_buffers", "new_buffer"),
        ("named_buffers", "norm.running_mean"),
        ("named_buffers", "norm.num_batches_tracked"),
        ("", "__dict__", "history"),
        ("", "__dict__", "counts"),
        ("", "__dict__", "seen"),
        ("", "__dict__", "last"),
        ("conv", "__dict__", "newcomer"),
        ("conv", "_forward_hooks"),
        ("new_layer", "training"),
    } <= changed
    assert all(world[name] != changed_world[name] for name in world)


@every_call
@pytest.mark.parametrize("training", [True, False])
def test_training_flags_come_back_module_by_module(call, training):
    model = nn.Sequential(nn.Conv2d(CHANNELS, 4, 3), nn.BatchNorm2d(4), nn.Sequential(nn.Dropout()))
    model.train(training)
    model[1].train(not training)
    check_untouched(model, call)
    assert model.training is training
    assert model[1].training is not training


def test_the_batch_norms_of_a_model_in_training_keep_their_statistics():
    model = nn.Sequential(nn.Conv2d(CHANNELS, 4, 3), nn.BatchNorm2d(4)).train()
    check_untouched(model, trace_training)
    assert model[1].num_batches_tracked.item() == 0


@every_call
def test_the_user_s_own_hooks_stay_and_no_other_does(call):
    model = nn.Sequential(nn.Conv2d(CHANNELS, 4, 3), nn.ReLU())
    model[0].register_forward_hook(own_hook)
    check_untouched(model, call)
    assert list(model[0]._forward_hooks.values()) == [own_hook]
    assert not model[1]._forward_hooks
    assert not model._forward_pre_hooks


def own_hook(module, args, output):
    return output


@every_call
def test_the_caller_s_grad_mode_and_default_dtype_stay(call):
    model = nn.Conv2d(CHANNELS, 4, 3)
    torch.set_default_dtype(torch.bfloat16)
    try:
        with torch.no_grad():
            call(model)
            assert not torch.is_grad_enabled()
            assert torch.get_default_dtype() is torch.bfloat16
        call(model)
        assert torch.is_grad_enabled()
    finally:
        torch.set_default_dtype(torch.float32)


def test_the_caller_s_inputs_stay_as_they_are():
    class Overwrites(nn.Module):
        def forward(self, x, options):
            options["scale"] = 2
            return nn.functional.relu(x.mul_(2), inplace=True)

    x, options = -torch.ones(2, 3), {"scale": 1}
    bopscount.stat(Overwrites(), inputs=(x, options))
    assert x.tolist() == [[-1.0] * 3] * 2
    assert options == {"scale": 1}


def test_gradients_and_the_graph_of_the_user_stay():
    model = nn.Linear(3, 3)
    loss = model(torch.ones(1, 3)).sum()
    bopscount.stat(model, (3,))
    loss.backward()
    assert model.weight.grad.tolist() == [[1.0] * 3] * 3
    bopscount.stat(model, (3,))
    assert model.weight.grad.tolist() == [[1.0] * 3] * 3


def test_a_model_that_is_run_leaves_its_input_as_it_was():
    class Overwrites(nn.Module):
        def forward(self, x):
            x.mul_(2)
            nn.functional.relu(x, inplace=True)
            return x.sum().item()

    x = -torch.ones(2, 3)
    version = x._version
    assert bopscount.trace(Overwrites(), inputs=x).ran_model
    assert x.tolist() == [[-1.0] * 3] * 2
    assert x._version == version


def test_layers_that_work_in_place_on_buffers_leave_them_in_a_run():
    class InPlace(nn.Module):
        def __init__(self):
            super().__init__()
            self.act = nn.ReLU(inplace=True)
            self.register_buffer("state", -torch.ones(3))

        def forward(self, x):
            if x.sum().item() > float("-inf"):
                return self.act(self.state) + x

    model = InPlace()
    state = snapshot(model)
    assert bopscount.trace(model, (3,)).ran_model
    assert snapshot(model) == state
