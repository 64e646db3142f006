"""Searches over modules: newly built, switched, resized; nothing is kept from one to the next.

`bench/soak.py` is the same with 100,000 candidates.
"""

import gc
import weakref
from functools import partial

import pytest
import torch
from torch import nn
from torch.nn import init
from torch.nn.functional import conv2d

import bopscount
from bopscount import InputError, TraceError
from bopscount.tracing.model import module_of

WARM_UP, N_SCANS = 300, 2_000
SIDE = 8


class Block(nn.Module):
    def __init__(self, out, kernel, fails):
        super().__init__()
        self.conv = nn.Conv2d(3, out, kernel, padding=kernel // 2)
        self.norm = nn.BatchNorm2d(out)
        self.scale = nn.Parameter(torch.ones(out, 1, 1))
        self.fails = fails
        self.last = None

    def forward(self, x):
        if self.fails:
            raise RuntimeError("a candidate that fails")
        self.last = torch.relu(self.norm(self.conv(x))) * self.scale
        return self.last


def candidate(index):
    """A network of a class of its own, and its macs; None where it fails."""
    out, kernel, fails = index % 17 + 1, 2 * (index % 3) + 1, index % 20 == 0
    cls = type(f"Block{index}", (Block,), {})
    with torch.device("meta"):
        model = nn.Sequential(
            cls(out, kernel, fails), nn.Flatten(), nn.Linear(SIDE * SIDE * out, 10)
        )
    if index % 3 == 0:
        model[0].register_forward_hook(lambda module, inputs, output: output)
    macs = SIDE * SIDE * out * (3 * kernel**2 + 10)
    return model, None if fails else macs


def tracked():
    gc.collect()
    return len(gc.get_objects())


def test_thousands_of_new_modules_of_new_classes_leave_nothing():
    classes, models = weakref.WeakSet(), weakref.WeakSet()
    for index in range(N_SCANS):
        if index == WARM_UP:
            before = tracked()
        model, macs = candidate(index)
        classes.add(type(model[0]))
        models.add(model)
        if macs is None:
            with pytest.raises(TraceError):
                bopscount.scan(model, (3, SIDE, SIDE))
        else:
            assert bopscount.scan(model, (3, SIDE, SIDE)).macs == macs
    del model
    # WeakSet keeps a few objects of its own; one kept per scan would be 1,700.
    assert tracked() - before < 300
    assert not models
    assert not classes


def test_registered_rules_adapters_and_bits_keep_no_class_that_was_made_for_a_candidate():
    classes = weakref.WeakSet()
    for index in range(200):
        cls = type(f"SignLinear{index}", (nn.Linear,), {})
        classes.add(cls)
        model = nn.Sequential(cls(8, 4, bias=False))
        bopscount.register_layer(cls, weight_bits=1, input_bits=1)
        try:
            assert bopscount.scan(model, (8,)).bops == 32
        finally:
            bopscount.unregister_layer(cls)
        assert bopscount.scan(model, (8,), bits={"0": (2, 2)}).bops == 128
        assert bopscount.stat(model, (8,), timing=False).totals.macs == 32
    del cls, model
    gc.collect()
    assert not classes


class Elastic(nn.Module):
    """Kernel and width are slices of one weight."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(16, 3, 7, 7))
        self.kernel, self.width = 7, 16

    def forward(self, x):
        edge = (7 - self.kernel) // 2
        middle = slice(edge, edge + self.kernel)
        return conv2d(x, self.weight[: self.width, :, middle, middle], padding=self.kernel // 2)


def test_a_supernet_is_counted_as_it_is_switched_at_each_call():
    net = Elastic()
    for width in (16, 3, 8):
        for kernel in (7, 3, 5):
            net.width, net.kernel = width, kernel
            for side in (32, 8):
                totals = bopscount.scan(net, (3, side, side))
                assert totals.macs == side * side * width * 3 * kernel**2
                assert totals.params == 16 * 3 * 49


class Initialised(nn.Module):
    """Fills its tensors in many ways, and looks at the values of one."""

    def __init__(self):
        super().__init__()
        self.conv, self.norm, self.lstm = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.LSTM(4, 4)
        self.embedding = nn.Embedding(5, 4, padding_idx=0)
        for fill in (init.xavier_normal_, init.kaiming_normal_, init.orthogonal_, init.ones_):
            fill(self.conv.weight)
        init.trunc_normal_(tensor=self.conv.bias)
        self.register_buffer("steps", torch.empty(3, device="cpu").fill_(2))
        self.n_steps = int(init.constant_(torch.zeros(2, device="cpu"), 3).sum().item())
        self.device = torch.get_default_device() if hasattr(torch, "get_default_device") else None


def test_what_a_callable_builds_is_what_the_meta_device_builds():
    random_state = torch.get_rng_state()
    model = module_of(partial(Initialised))
    assert torch.equal(torch.get_rng_state(), random_state)
    with torch.device("meta"):
        expected = Initialised()

    def described(module):
        return [
            (name, type(tensor), tensor.shape, tensor.dtype, tensor.device, tensor.requires_grad)
            for name, tensor in (*module.named_parameters(), *module.named_buffers())
        ]

    assert described(model) == described(expected)
    assert model.steps.tolist() == [2, 2, 2]
    assert model.n_steps == expected.n_steps == 6
    assert model.device == expected.device


def test_a_builder_that_fills_what_cannot_be_filled_fails_as_ever():
    with pytest.raises(InputError, match="fewer than 2 dimensions"):
        bopscount.scan(lambda: init.kaiming_uniform_(torch.empty(3)), (3,))
