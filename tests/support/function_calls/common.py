"""What the strategies of calls share."""

import torch
from hypothesis import strategies as st
from torch import Tensor

from support.against_meta import FLOATS, INTEGERS, MOST_DTYPES, T, shapes
from support.leaf_cases import flags, seldom

__all__ = ["flags", "seldom"]

CPU_SAFE = st.sampled_from([torch.float32] * 3 + list(FLOATS))
SCALARS = st.sampled_from([0, 1, 2, -3, 0.5, -1.0, True, False, float("inf"), 2j, None])
REALS = st.sampled_from([1, 2, 0.5, -1.5, True])


@st.composite
def tensors(draw, shape=None, dtypes=MOST_DTYPES, kinds=("meta",) * 4 + ("constant", "parameter")):
    """A tensor to be made, of one shape or of a strategy's."""
    if shape is None or not isinstance(shape, tuple):
        shape = draw(shapes() if shape is None else shape)
    dtype = dtypes if isinstance(dtypes, torch.dtype) else draw(dtypes)
    kind = draw(st.sampled_from(kinds))
    if kind == "parameter" and dtype in INTEGERS:
        kind = "meta"
    return T(shape, dtype, kind)


def floats(shape=None, dtypes=CPU_SAFE):
    return tensors(shape, dtypes)


LIVE = ("meta",)


@st.composite
def spread(draw, values, positional=1):
    """(name, value) pairs as a call: the first by position, the rest by name."""
    at = draw(st.integers(positional, len(values)))
    args = tuple(value for _, value in values[:at])
    return args, {name: value for name, value in values[at:] if value is not Ellipsis}


def call(*values, **kwargs):
    """Positional arguments only, and keywords."""
    return tuple(values), kwargs


def first_by_name(function):
    """1 for methods, whose first argument is by position, 0 for functions."""
    method = getattr(function, "__objclass__", None) is not None or (
        getattr(Tensor, getattr(function, "__name__", ""), None) is function
    )
    return 1 if method else 0
