"""Calls of element-wise functions and activations."""

from dataclasses import replace

import torch
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from bopscount.tracing.torch_names import existing
from support.against_meta import INTEGERS, T, broadcastable, shapes
from support.function_calls.common import (
    LIVE,
    REALS,
    SCALARS,
    call,
    first_by_name,
    flags,
    seldom,
    spread,
    tensors,
)

CALLS = {}


@st.composite
def binary(draw, function, keywords=None):
    shape = draw(shapes())
    left = draw(tensors(broadcastable(shape)))
    right = draw(tensors(broadcastable(shape)) | SCALARS)
    if draw(st.integers(0, 7)) == 0:
        left, right = right, left
    name = function.__name__
    if name.startswith("__"):
        return call(left, right)
    args, kwargs = draw(spread([("input", left), ("other", right)], first_by_name(function)))
    if keywords is not None and draw(flags):
        kwargs.update(draw(keywords))
    return args, kwargs


ALPHAS = st.fixed_dictionaries({"alpha": st.sampled_from([1, 2, 0.5, True, "a"])})
MODES = st.fixed_dictionaries({"rounding_mode": st.sampled_from([None, "floor", "trunc", "up"])})
BINARY = {
    "add __add__ __radd__ sub subtract __sub__ __rsub__": ALPHAS,
    "mul multiply __mul__ __rmul__ maximum minimum fmod remainder __mod__": None,
    "div divide true_divide __truediv__ __rtruediv__ __div__": MODES,
    "eq ne lt le gt ge __eq__ __ne__ __lt__ __le__ __gt__ __ge__": None,
}
for _names, _keywords in BINARY.items():
    _plain = " ".join(name for name in _names.split() if name[:2] != "__")
    for _function in (*existing(Tensor, _names), *existing(torch, _plain)):
        CALLS[_function] = binary(_function, _keywords)


@st.composite
def binary_in_place(draw, keywords):
    target = draw(tensors(kinds=LIVE))
    other = draw(tensors(broadcastable(target.shape)) | SCALARS)
    kwargs = draw(keywords) if keywords is not None and draw(st.integers(0, 4)) == 0 else {}
    return (target, other), kwargs


for _name in ("add", "sub", "mul", "div"):
    _keywords = ALPHAS if _name in ("add", "sub") else MODES if _name == "div" else None
    CALLS[getattr(Tensor, f"{_name}_")] = binary_in_place(_keywords)
    _dunder = "__itruediv__" if _name == "div" else f"__i{_name}__"
    CALLS[getattr(Tensor, _dunder)] = binary_in_place(None)


@st.composite
def unary(draw, function):
    x = draw(tensors(kinds=LIVE if function.__name__.endswith("_") else LIVE * 4 + ("parameter",)))
    args, kwargs = draw(spread([("input", x)], first_by_name(function)))
    if draw(st.integers(0, 12)) == 0:
        kwargs[draw(st.sampled_from(["out", "dim", "inplace"]))] = None
    return seldom(draw, args, st.just((*args, 1))), kwargs


UNARY = (
    "exp log log2 log10 log1p expm1 sqrt rsqrt abs neg sin cos tan asin acos atan sinh cosh "
    "square reciprocal erf floor ceil round sign trunc exp2 relu relu_ sigmoid sigmoid_ tanh "
    "tanh_ selu"
)
for _function in (*existing(Tensor, UNARY), *existing(torch, UNARY), *existing(F, "sigmoid tanh")):
    CALLS[_function] = unary(_function)


@st.composite
def activation(draw, parameters):
    x = draw(tensors(kinds=LIVE * 4 + ("parameter",)))
    values = [(name, draw(strategy)) for name, strategy in parameters.items()]
    values = values[: draw(st.integers(0, len(values)))]
    too_many = draw(st.integers(0, 12)) == 0
    if dict(values).get("inplace") or too_many:
        x = replace(x, kind="meta")
    args, kwargs = draw(spread([("input", x), *values], 0))
    return (*args, 1, 2, 3) if too_many else args, kwargs


ACTIVATIONS = {
    "relu relu6 selu silu hardsigmoid hardswish mish": {"inplace": flags},
    "leaky_relu": {"negative_slope": REALS, "inplace": flags},
    "elu celu": {"alpha": st.sampled_from([1.0, 0.5, 2, 0]), "inplace": flags},
    "hardtanh": {"min_val": REALS, "max_val": REALS, "inplace": flags},
    "softplus": {"beta": REALS, "threshold": REALS},
    "logsigmoid": {},
}
for _names, _parameters in ACTIVATIONS.items():
    for _function in existing(F, _names):
        CALLS[_function] = activation(_parameters)
CALLS[F.relu_] = unary(F.relu_)


@st.composite
def gelu(draw):
    kwargs = draw(st.sampled_from([{}, {"approximate": "tanh"}, {"approximate": "none"},
                                   {"approximate": "other"}, {"approximate": 1}]))  # fmt: skip
    return call(*seldom(draw, (draw(tensors()),), st.just((T((2,)), "tanh"))), **kwargs)


CALLS[F.gelu] = gelu()


@st.composite
def power(draw, function):
    x = draw(tensors())
    exponent = draw(SCALARS | tensors(broadcastable(x.shape)))
    if function is Tensor.__pow__:
        return call(x, exponent)
    return draw(spread([("input", x), ("exponent", exponent)], first_by_name(function)))


for _function in (Tensor.pow, torch.pow, Tensor.__pow__):
    CALLS[_function] = power(_function)


@st.composite
def clamp(draw, function):
    x = draw(tensors())
    bound = st.none() | REALS | tensors(broadcastable(x.shape)) | st.just("a")
    values = [("input", x), ("min", draw(bound)), ("max", draw(bound))]
    return draw(spread(values[: draw(st.integers(1, 3))], first_by_name(function)))


for _function in (Tensor.clamp, torch.clamp, Tensor.clip, torch.clip):
    CALLS[_function] = clamp(_function)


@st.composite
def dropout(draw):
    values = [
        ("input", draw(tensors(kinds=LIVE))),
        ("p", draw(st.sampled_from([0.1, 0, 1, 2, -1]))),
    ]
    values += [("training", draw(st.sampled_from([False] * 3 + [True]))), ("inplace", draw(flags))]
    return draw(spread(values[: draw(st.integers(1, 4))], 0))


for _function in existing(F, "dropout dropout1d dropout2d dropout3d alpha_dropout "
                             "feature_alpha_dropout"):  # fmt: skip
    CALLS[_function] = dropout()


@st.composite
def where(draw, function):
    shape = draw(shapes())
    condition = draw(
        tensors(broadcastable(shape), st.sampled_from([torch.bool] * 5 + [torch.int64]))
    )
    one, other = (draw(tensors(broadcastable(shape)) | REALS) for _ in range(2))
    if draw(flags) and isinstance(one, T) and isinstance(other, T):
        other = replace(other, dtype=one.dtype, kind="meta")
    if function is Tensor.where:
        return call(draw(st.sampled_from([one, T(shape)])), condition, other)
    return seldom(draw, call(condition, one, other), st.just(call(condition)))


CALLS[torch.where], CALLS[Tensor.where] = where(torch.where), where(Tensor.where)


@st.composite
def masked_fill(draw):
    x = draw(tensors(dtypes=st.sampled_from([torch.float32, torch.float16, *INTEGERS])))
    mask = draw(tensors(broadcastable(x.shape), st.sampled_from([torch.bool] * 6 + [torch.uint8])))
    value = draw(SCALARS | tensors(()))
    return draw(spread([("input", x), ("mask", mask), ("value", value)]))


CALLS[Tensor.masked_fill] = masked_fill()
