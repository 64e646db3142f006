"""Holds a call's outcome in a trace against the same call on torch's meta device."""

import copy
import os
import warnings
from dataclasses import dataclass, replace

import torch
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from torch import Tensor, nn

import bopscount
from bopscount import TraceError

THOROUGH = int(os.environ.get("BOPSCOUNT_EXAMPLES", "0"))
"""Examples of each property, drawn anew each time; without it few, always the same."""

FLOATS = (torch.float32, torch.bfloat16, torch.float64, torch.float16)
INTEGERS = (torch.int64, torch.int32, torch.uint8, torch.bool)
DTYPES = FLOATS + INTEGERS
MOST_DTYPES = st.sampled_from([torch.float32] * 4 + list(DTYPES))


def examples(number):
    return settings(
        max_examples=THOROUGH or number,
        derandomize=not THOROUGH,
        database=None,
        deadline=None,
        phases=[Phase.explicit, Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )


@dataclass(frozen=True)
class T:
    """A tensor to be made: "meta" as in the midst of a trace, "constant", "parameter"."""

    shape: tuple
    dtype: torch.dtype = torch.float32
    kind: str = "meta"

    def make(self, device=None):
        device = device or ("meta" if self.kind == "meta" else "cpu")
        tensor = torch.zeros(self.shape, dtype=self.dtype, device=device)
        return nn.Parameter(tensor, self.dtype.is_floating_point) if self.is_parameter else tensor

    @property
    def is_parameter(self):
        return self.kind == "parameter"


@dataclass(frozen=True)
class Lengths:
    """Numbers that functions look at, on the CPU wherever the rest is."""

    values: tuple


def rebuild(function, value):
    """`value` with `function` applied to every T in it."""
    if isinstance(value, T):
        return function(value)
    if isinstance(value, Lengths):
        return torch.tensor(value.values)
    if isinstance(value, (tuple, list)):
        return type(value)(rebuild(function, item) for item in value)
    if isinstance(value, dict):
        return {key: rebuild(function, item) for key, item in value.items()}
    return value


def leaves(value):
    if isinstance(value, (tuple, list)):
        return [leaf for item in value for leaf in leaves(item)]
    if isinstance(value, dict):
        return leaves(list(value.values()))
    return [value]


def with_something_live(call):
    """Constants are computed for real: a call of nothing else is not of interest here."""
    tensors = [leaf for leaf in leaves(call) if isinstance(leaf, T)]
    if any(tensor.kind != "constant" for tensor in tensors) or not tensors:
        return call
    return rebuild(lambda tensor: replace(tensor, kind="meta"), call)


def traced(args, kwargs):
    """The arguments in order, but for parameters: stand-ins of these may come out."""
    return [
        leaf if isinstance(leaf, Tensor) and not isinstance(leaf, nn.Parameter) else None
        for leaf in leaves([args, kwargs])
    ]


def describe(out, given):
    """Shapes, dtypes, structure, and which argument a tensor is, if it is one."""
    if isinstance(out, Tensor):
        same = next((i for i, tensor in enumerate(given) if tensor is out), None)
        return (tuple(out.shape), out.dtype, same)
    if isinstance(out, (tuple, list)):
        return [type(out).__name__, *(describe(item, given) for item in out)]
    return out


def outside(function, args, kwargs, device="meta", same=True):
    """("error", type) or ("out", description) of the call itself."""
    if device == "cpu" and isinstance(function, nn.Module):
        function = copy.deepcopy(function).to_empty(device="cpu")
    args, kwargs = rebuild(lambda t: t.make(device), (args, kwargs))
    try:
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            out = function(*args, **kwargs)
    except Exception as error:
        return ("error", type(error))
    return ("out", describe(out, traced(args, kwargs) if same else []))


class Calls(nn.Module):
    """Calls a function, or a module that it has, and keeps what came out."""

    def __init__(self, function, args, kwargs, keep):
        super().__init__()
        self.function = function
        self.call = lambda: (args, kwargs, keep)

    def forward(self, _x):
        args, kwargs, keep = self.call()
        out = self.function(*args, **kwargs)
        keep(out)
        return out


def in_trace(function, args, kwargs, same=True):
    """The same of the call in a trace, and the table."""
    args, kwargs = rebuild(T.make, (args, kwargs))
    seen, given = [], traced(args, kwargs) if same else []
    model = Calls(function, args, kwargs, lambda out: seen.append(describe(out, given)))
    x = torch.empty(1, device="meta")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            table = bopscount.trace(model, inputs=x, run="never")
    except TraceError as error:
        return ("error", type(error.__cause__)), None
    return ("out", seen[0]), table


def check(function, args, kwargs=None, same=True):
    """Fails unless the trace gives what torch's meta kernels give, or raises as they do.

    Some meta kernels let pass what all others refuse, or fall over what these do. Where
    torch contradicts itself, the trace may side with the CPU.

    Args:
        function: A function or a module on meta.
        args: Its positional arguments, with a T for every tensor.
        kwargs: Its keyword arguments likewise.
        same: Whether to check if what comes out is one of the arguments itself.
    """
    args, kwargs = with_something_live((args, kwargs or {}))
    expected = outside(function, args, kwargs, same=same)
    ours, table = in_trace(function, args, kwargs, same)
    if ours != expected and "error" in (ours[0], expected[0]):
        expected = outside(function, args, kwargs, "cpu", same)
    assert ours == expected, f"{function}, {args}, {kwargs}: {ours}, torch: {expected}"
    return table


# --- strategies that several tests use ---------------------------------------


def sizes(low=0, high=9):
    """Sizes of a dimension, few of them 0."""
    return st.sampled_from([*range(max(1, low), high + 1)] * 3 + [low])


def shapes(max_rank=4, min_rank=0, low=0, high=5):
    return st.lists(sizes(low, high), min_size=min_rank, max_size=max_rank).map(tuple)


def one_or_each(values, rank):
    """One value for all dimensions, or a tuple of them."""
    return values | st.tuples(*[values] * rank)


@st.composite
def broadcastable(draw, shape, odds=8):
    """A shape that broadcasts with `shape`; seldom one that does not."""
    if draw(st.integers(0, odds)) == 0:
        return draw(shapes())
    kept = shape[draw(st.integers(0, len(shape))) :]
    return tuple(1 if draw(st.integers(0, 3)) == 0 else size for size in kept)


def dims(rank):
    """Mostly valid, also negative; seldom out of range."""
    inside = range(-rank, rank) if rank else (0, -1)
    return st.sampled_from([*inside] * 3 + [rank, -rank - 1])
