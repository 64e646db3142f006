"""A model that changes whatever it can, and all that must be as before after a trace."""

import pickle
import random

import numpy as np
import pytest
import torch
import torch._dynamo  # Torch does on first use, and adds to itself: not to be laid to a trace.
from torch import nn
from torch.utils._python_dispatch import _get_current_dispatch_mode_stack

import bopscount
from support.entries import entries

CHANNELS, SIZE = 3, (3, 8, 8)
HOOK_TABLES = (
    "_forward_hooks",
    "_forward_hooks_with_kwargs",
    "_forward_hooks_always_called",
    "_forward_pre_hooks",
    "_forward_pre_hooks_with_kwargs",
    "_backward_hooks",
    "_backward_pre_hooks",
    "_state_dict_hooks",
    "_load_state_dict_pre_hooks",
)


class Messy(nn.Module):
    """Changes whatever a forward can change, then ends as it is told."""

    def __init__(self, ending=None):
        super().__init__()
        self.conv = nn.Conv2d(CHANNELS, 4, 3)
        self.norm = nn.BatchNorm2d(4)
        self.drop = nn.Dropout(0.5)
        self.scale = nn.Parameter(torch.ones(4, 1, 1))
        self.register_buffer("steps", torch.zeros(1))
        self.register_buffer("cache", torch.zeros(1))
        self.register_buffer("table", torch.zeros(2, 3))
        self.register_buffer("absent", None)
        self.history = [1]
        self.counts = {"forward": 0}
        self.seen = {"a"}
        self.nested = {"a": [{1}, ([2],)]}
        self.last = None
        self.ending = ending

    def forward(self, x):
        self.steps.add_(1)
        self.cache = self.cache + 1
        self.absent = torch.ones(2)
        with torch.no_grad():
            self.scale.mul_(0.5)
            self.norm.running_mean.fill_(7)
        self.conv.bias.data.zero_()
        self.conv.bias.grad = torch.ones_like(self.conv.bias)
        self.scale.requires_grad_(False)
        self.norm.weight.requires_grad = False
        self.norm.bias.data = torch.zeros_like(self.norm.bias)
        self.table.numpy().fill(7)
        self.table.resize_(1, 2).squeeze_(0)
        self.history.append(x)
        self.history[0] = 2
        self.counts["forward"] += 1
        self.seen.add("b")
        self.nested["a"][0].add(2)
        self.nested["a"][1][0].append(3)
        self.nested["b"] = 1
        self.last = x
        self.conv.newcomer = x
        self.new_layer = nn.ReLU()
        self.register_buffer("new_buffer", torch.ones(1))
        self.conv.register_forward_hook(lambda module, args, output: output)
        self.norm.train()
        torch.rand(2)
        torch.manual_seed(3)
        random.random()
        np.random.rand(2)
        x = self.drop(self.norm(self.conv(x))) * self.scale
        torch.set_default_dtype(torch.float64)
        torch.set_grad_enabled(not torch.is_grad_enabled())
        if self.ending is not None:
            raise self.ending
        return x


def contents(value):
    """A container's members by identity, and theirs."""
    if isinstance(value, dict):
        return [(key, id(item), contents(item)) for key, item in value.items()]
    if isinstance(value, (list, tuple)):
        return [(id(item), contents(item)) for item in value]
    return sorted(value) if isinstance(value, set) else None


def snapshot(model):
    """All there is to know of a model, without copies of identical things."""
    state = {}
    for path, module in model.named_modules():
        state[path, "training"] = module.training
        for name, value in module.__dict__.items():
            state[path, "__dict__", name] = (id(value), contents(value))
        for name in HOOK_TABLES:
            state[path, name] = contents(getattr(module, name))
    for kind in ("named_parameters", "named_buffers"):
        for path, tensor in getattr(model, kind)():
            state[kind, path] = (
                id(tensor),
                id(tensor.grad),
                tensor.data_ptr(),
                tensor.shape,
                tensor._version,
                tensor.requires_grad,
                tensor.dtype,
                tensor.is_meta,
                tensor.flatten().tolist(),
            )
    return state


def global_state():
    keys, positions, *rest = np.random.get_state()[1:4]
    return {
        "torch": torch.get_rng_state().tolist(),
        "random": random.getstate(),
        "numpy": (keys.tolist(), positions, rest),
        "grad": torch.is_grad_enabled(),
        "dtype": torch.get_default_dtype(),
    }


OWNERS = (
    torch,
    torch.jit.ScriptFunction,
    torch.Tensor,
    torch._C._TensorBase,
    torch._tensor,
    torch.functional,
    torch.overrides,
    nn.functional,
    nn.Module,
    torch.nn.init,
)


# Adds __slotnames__ to the class on first use: likewise.
pickle.dumps(torch.zeros(1))


def torch_state():
    """Whatever a tracer might have put in the place of something of torch's."""
    classes = [cls for cls in vars(nn).values() if isinstance(cls, type)]
    return {
        "names": [{name: id(value) for name, value in vars(owner).items()} for owner in OWNERS],
        "calls": [cls for cls in classes if "__call__" in cls.__dict__],
        "function modes": torch._C._len_torch_function_stack(),
        "dispatch modes": len(_get_current_dispatch_mode_stack()),
        "functions": torch._C._is_torch_function_enabled(),
        "hooks": [
            len(hooks)
            for name, hooks in vars(nn.modules.module).items()
            if name.startswith("_global") and isinstance(hooks, dict)
        ],
        "entries": entries(),
        "inference": torch.is_inference_mode_enabled(),
        "device": torch.get_default_device(),
    }


def trace(model):
    return bopscount.trace(model, SIZE)


def trace_training(model):
    return bopscount.trace(model, SIZE, training=True)


def scan(model):
    return bopscount.scan(model, SIZE)


def stat(model):
    return bopscount.stat(model, SIZE)


def stat_untimed(model):
    return bopscount.stat(model, SIZE, timing=False)


every_call = pytest.mark.parametrize("call", [trace, trace_training, scan, stat, stat_untimed])


def check_untouched(model, call, raises=None):
    before, world = snapshot(model), global_state()
    frozen = pickle.dumps(model.state_dict())
    if raises is None:
        call(model)
    else:
        with pytest.raises(raises):
            call(model)
    assert snapshot(model) == before
    assert global_state() == world
    assert pickle.dumps(model.state_dict()) == frozen
    thawed = pickle.loads(pickle.dumps(model))
    assert [path for path, _ in thawed.named_modules()] == [p for p, _ in model.named_modules()]
