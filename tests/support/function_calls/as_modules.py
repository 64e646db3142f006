"""Calls of functions that do what a leaf module does."""

import torch
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F  # noqa: N812

from bopscount.tracing.torch_names import existing
from support.against_meta import T, shapes
from support.function_calls.common import CPU_SAFE, flags, floats, seldom, tensors
from support.leaf_cases import CASES, planes

CALLS = {}
ORDER = (
    "kernel_size stride padding dilation ceil_mode count_include_pad divisor_override "
    "return_indices output_size"
).split()


@st.composite
def as_module(draw, case, order=()):
    """The module's arguments, by name or, in this order, by position."""
    kwargs, shape = draw(case)
    x = draw(tensors(shape, kinds=("meta",) * 5 + ("parameter",)))
    args = [x]
    for name in order:
        if name not in kwargs or draw(st.integers(0, 2)) == 0:
            break
        args.append(kwargs.pop(name))
    if args == [x] and draw(st.integers(0, 4)) == 0:
        return (), {"input": x, **kwargs}
    return tuple(args), kwargs


def _order(kind):
    """What a function takes after the input, up to where its module differs."""
    if kind.startswith("LP"):
        return ("norm_type", "kernel_size", "stride", "ceil_mode")
    if kind.startswith("Avg"):
        return ("kernel_size", "stride", "padding", "ceil_mode", "count_include_pad")
    return ORDER


for _name, _kinds in {
    "max_pool": "MaxPool",
    "avg_pool": "AvgPool",
    "lp_pool": "LPPool",
    "adaptive_avg_pool": "AdaptiveAvgPool",
    "adaptive_max_pool": "AdaptiveMaxPool",
}.items():
    for _rank in (1, 2, 3):
        _function_name, _class = f"{_name}{_rank}d", getattr(nn, f"{_kinds}{_rank}d")
        for _owner in (F, torch, torch._C._nn):
            for _function in existing(_owner, _function_name):
                CALLS[_function] = as_module(CASES[_class], _order(_kinds))
CALLS[F.glu] = as_module(CASES[nn.GLU], ("dim",))
CALLS[F.softmin] = as_module(CASES[nn.Softmin], ("dim",))
CALLS[F.pixel_shuffle] = as_module(CASES[nn.PixelShuffle], ("upscale_factor",))
CALLS[F.local_response_norm] = as_module(CASES[nn.LocalResponseNorm], ("size",))


@st.composite
def group_norm(draw):
    groups, dtype = draw(st.integers(1, 3)), draw(CPU_SAFE)
    channels = groups * draw(st.integers(1, 2))
    x = T(draw(planes(draw(st.integers(0, 3)), channels)), dtype)
    kwargs = {"num_groups": seldom(draw, groups, st.integers(0, 4))}
    for name in ("weight", "bias"):
        vector = floats(seldom(draw, (channels,), shapes()), seldom(draw, dtype, CPU_SAFE))
        kwargs[name] = draw(vector | st.none())
    return (x,), kwargs


@st.composite
def instance_norm(draw):
    channels, dtype = draw(st.integers(1, 3)), draw(CPU_SAFE)
    x = T(draw(planes(draw(st.integers(1, 3)), channels)), dtype)
    kwargs = {}
    for name in ("weight", "bias", "running_mean", "running_var"):
        vector = floats(seldom(draw, (channels,), shapes()), seldom(draw, dtype, CPU_SAFE))
        if draw(flags):
            kwargs[name] = draw(vector)
    if draw(flags):
        kwargs["use_input_stats"] = draw(flags)
    return (x,), kwargs


CALLS[F.group_norm] = group_norm()
CALLS[F.instance_norm] = instance_norm()


@st.composite
def interpolate(draw):
    args, kwargs = draw(as_module(CASES[nn.Upsample], ("size", "scale_factor", "mode")))
    if draw(st.integers(0, 9)) == 0:
        kwargs["antialias"] = True
    if draw(st.integers(0, 9)) == 0:
        kwargs["size"], kwargs["scale_factor"] = draw(
            st.sampled_from([(None, None), (2, 2), ([3, 3], None)])
        )
        args = args[:1]
    return args, kwargs


@st.composite
def upsample(draw):
    args, kwargs = draw(as_module(CASES[nn.Upsample]))
    if draw(st.integers(0, 9)):
        kwargs.pop("recompute_scale_factor", None)
    return args, kwargs


CALLS[F.interpolate] = interpolate()
CALLS[F.upsample] = upsample()
