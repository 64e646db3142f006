"""Modules with methods of their own in the place of torch's: calls, forwards, attributes."""

import types

import torch
from support.small_models import IMAGE, PER_ROW, ROWS, linear, scan
from support.tracing_cases import parameter, report_of
from torch import nn
from torch.nn import functional as F  # noqa: N812 - torch's own custom


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
