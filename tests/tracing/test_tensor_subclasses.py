"""Tensors of the user's classes, and what stands for a tensor without being one."""

from typing import NamedTuple

import pytest
import torch
from support.small_models import PER_ROW, ROWS, linear, scan
from support.tracing_cases import Calls, table_of_real_run
from torch.nn import functional as F  # noqa: N812 - torch's own custom


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
