"""An interrupt, wherever and whenever it comes, leaves nothing behind."""

import random
import signal
from collections import Counter

import pytest
import torch
from support.untouched import CHANNELS, SIZE, check_untouched, scan, snapshot, torch_state
from torch import nn

from bopscount.tracing.driver import TRACING


def raising(*_):
    raise KeyboardInterrupt


class InterruptedFunction(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        raise KeyboardInterrupt


def hooked(register):
    layer = nn.Conv2d(CHANNELS, 4, 3)
    getattr(layer, register)(raising)
    return layer


class Interrupted(nn.Module):
    """Is interrupted in something that its forward calls."""

    def __init__(self, call):
        super().__init__()
        self.call = call

    def forward(self, x):
        return self.call(x)


def interrupted_vmap(x):
    return torch.vmap(raising)(x)


def interrupted_checkpoint(x):
    return torch.utils.checkpoint.checkpoint(raising, x, use_reentrant=False)


class BadTensor(torch.Tensor):
    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        raise KeyboardInterrupt


def interrupted_tensor(x):
    return torch.zeros(2).as_subclass(BadTensor) + 1


@pytest.mark.parametrize(
    "make",
    [
        lambda: hooked("register_forward_hook"),
        lambda: hooked("register_forward_pre_hook"),
        lambda: Interrupted(InterruptedFunction.apply),
        lambda: Interrupted(interrupted_vmap),
        lambda: Interrupted(interrupted_checkpoint),
        lambda: Interrupted(interrupted_tensor),
    ],
    ids=["hook", "pre-hook", "autograd", "vmap", "checkpoint", "tensor"],
)
def test_an_interrupt_anywhere_leaves_nothing(make):
    model = nn.Sequential(nn.Conv2d(CHANNELS, CHANNELS, 1), make())
    before = torch_state()
    check_untouched(model, scan, KeyboardInterrupt)
    assert torch_state() == before
    assert torch._C._functorch.peek_interpreter_stack() is None
    assert scan(model[0]).macs == CHANNELS * CHANNELS * 64


class Functions(nn.Module):
    """Answered by rules in Python, or by torch itself, and changing itself meanwhile."""

    def __init__(self):
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3)
        self.register_buffer("steps", torch.zeros(1))
        self.history = []

    def forward(self, x):
        self.steps.add_(1)
        self.history.append(1)
        x = nn.functional.relu(self.norm(self.conv(x))) + torch.arange(8)
        return nn.functional.interpolate(torch.special.i0(x), scale_factor=1)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="no timers")
@pytest.mark.parametrize(
    ("make", "number", "seconds"),
    [
        (lambda: nn.Sequential(nn.Conv2d(3, 3, 1), nn.ReLU()), 20, 1.5e-3),
        (Functions, 4, 6e-3),
    ],
    ids=["modules", "functions"],
)
def test_an_interrupt_at_any_moment_leaves_nothing(make, number, seconds):
    model = nn.Sequential(*(make() for _ in range(number)))
    model(torch.zeros(1, *SIZE))
    expected = scan(model)
    before, state, chance = torch_state(), snapshot(model), random.Random(0)
    spoiled, interrupts = [], 0
    old = signal.signal(signal.SIGALRM, raising)
    try:
        for _ in range(300):
            try:
                signal.setitimer(signal.ITIMER_REAL, chance.uniform(2e-5, seconds))
                for _ in range(50):
                    scan(model)
            except KeyboardInterrupt:
                interrupts += 1
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0)
            spoiled += ["function mode"] * torch._C._len_torch_function_stack()
            if spoiled:
                break
            after = torch_state()
            spoiled += [name for name in before if after[name] != before[name]]
            spoiled += ["grad mode"] * (not torch.is_grad_enabled())
            spoiled += ["training"] * (not all(module.training for module in model.modules()))
            spoiled += ["lock"] * clean_up(model)
    finally:
        signal.signal(signal.SIGALRM, old)
    assert interrupts > 200
    assert Counter(spoiled) == {}
    assert snapshot(model) == state
    assert scan(model) == expected


def clean_up(model):
    """For the tests after one that fails; how often the lock was still held."""
    for cls in {type(module) for module in model.modules()}:
        if "__call__" in cls.__dict__:
            del cls.__call__
    while torch._C._len_torch_function_stack():
        torch._C._pop_torch_function_stack()
    torch.set_grad_enabled(True)
    model.train()
    for held in range(100):
        try:
            TRACING.release()
        except RuntimeError:
            return held
    return 100
