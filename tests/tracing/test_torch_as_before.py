"""Torch itself, and a class's own methods, are as before: whatever happened."""

import pytest
from support.untouched import Messy, check_untouched, every_call, torch_state
from torch import nn

from bopscount import TraceError


class LooksAtValues(Messy):
    """The same, by a run: what it does depends on values."""

    def forward(self, x):
        self.steps.mul_(2)
        nn.functional.relu(self.steps, inplace=True)
        nn.functional.relu_(self.cache)
        self.cache.add_(1)
        if x.sum().item() > float("-inf"):
            x = x * 1
        return super().forward(x)


ENDINGS = pytest.mark.parametrize(
    ("ending", "raises"),
    [(None, None), (RuntimeError("broken"), TraceError), (KeyboardInterrupt(), KeyboardInterrupt)],
    ids=["success", "error", "interrupt"],
)


@every_call
@ENDINGS
@pytest.mark.parametrize("make", [Messy, LooksAtValues])
def test_torch_is_as_before(call, ending, raises, make):
    model = nn.Sequential(nn.Identity(), make(ending))
    before = torch_state()
    check_untouched(model, call, raises)
    assert torch_state() == before
    assert "__call__" not in nn.Conv2d.__dict__
    assert "__call__" not in make.__dict__
    assert before["function modes"] == before["dispatch modes"] == 0


class Called(Messy):
    def __call__(self, x):
        return super().__call__(x)


@every_call
@ENDINGS
def test_a_class_s_own_call_method_stays(call, ending, raises):
    own = Called.__dict__["__call__"]
    model = nn.Sequential(Called(ending))
    check_untouched(model, call, raises)
    assert Called.__dict__["__call__"] is own
