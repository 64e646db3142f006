"""Calls of reductions, softmax, normalisations, pooling."""

import torch
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from support.against_meta import MOST_DTYPES, dims, shapes, sizes
from support.function_calls.common import (
    CPU_SAFE,
    LIVE,
    call,
    first_by_name,
    flags,
    floats,
    seldom,
    spread,
    tensors,
)

CALLS = {}


@st.composite
def reduction(draw, function):
    x = draw(tensors())
    one = dims(len(x.shape))
    dim = draw(one | st.lists(one, max_size=3) | st.lists(one, max_size=3).map(tuple) | st.none())
    dim = seldom(draw, dim, st.sampled_from([True, 1.0, "a"]), 20)
    names = draw(st.sampled_from([("dim", "keepdim")] * 3 + [("axis", "keepdims")]))
    values = [("input", x), (names[0], dim), (names[1], seldom(draw, draw(flags), st.just(1)))]
    args, kwargs = draw(spread(values[: draw(st.integers(1, 3))], first_by_name(function)))
    if draw(st.integers(0, 6)) == 0:
        kwargs["dtype"] = draw(MOST_DTYPES)
    return args, kwargs


for _name in ("sum", "mean", "amax", "amin"):
    for _function in (getattr(Tensor, _name), getattr(torch, _name)):
        CALLS[_function] = reduction(_function)


@st.composite
def softmax(draw, function):
    x = draw(tensors())
    dim = seldom(draw, draw(dims(len(x.shape))), st.sampled_from([None, True, 1.0]))
    args, kwargs = draw(spread([("input", x), ("dim", dim)], first_by_name(function)))
    if draw(st.integers(0, 3)) == 0:
        dtype = seldom(draw, draw(MOST_DTYPES), st.sampled_from([None, "a"]))
        if len(args) > 1 and function not in (F.softmax, F.log_softmax) and draw(flags):
            args = (*args, dtype)
        else:
            kwargs["dtype"] = dtype
    return args, kwargs


for _function in (F.softmax, torch.softmax, Tensor.softmax,
                  F.log_softmax, torch.log_softmax, Tensor.log_softmax):  # fmt: skip
    CALLS[_function] = softmax(_function)


@st.composite
def layer_norm(draw, names):
    normalized = draw(shapes(max_rank=2, min_rank=1))
    dtype = draw(CPU_SAFE)
    x = draw(tensors(seldom(draw, (*draw(shapes(max_rank=2)), *normalized), shapes()), dtype))
    weight = st.none() | tensors(
        seldom(draw, normalized, shapes()), seldom(draw, dtype, MOST_DTYPES)
    )
    values = [("input", x), ("normalized_shape", seldom(draw, normalized, st.just(3)))]
    values += [(name, draw(weight)) for name in names]
    values.append(("eps", draw(st.sampled_from([1e-5, 1e-3]))))
    return draw(spread(values[: draw(st.integers(2, len(values)))], 0))


CALLS[F.layer_norm] = CALLS[torch.layer_norm] = layer_norm(("weight", "bias"))
CALLS[F.rms_norm] = layer_norm(("weight",))


@st.composite
def normalize(draw):
    x = draw(tensors())
    values = [("input", x), ("p", draw(st.sampled_from([1.0, 2.0, 3])))]
    axis = draw(dims(len(x.shape)))
    values.append(("dim", seldom(draw, axis, st.sampled_from([(0,), (0, 1), None]), 5)))
    return draw(spread(values[: draw(st.integers(1, 3))], 0))


CALLS[F.normalize] = normalize()


@st.composite
def batch_norm(draw, function):
    dtype, features = draw(CPU_SAFE), draw(sizes(high=3))
    shape = (draw(sizes(high=3)), features, *draw(shapes(max_rank=2)))
    x = draw(tensors(seldom(draw, shape, shapes()), dtype, kinds=LIVE))
    vectors = [
        draw(floats(seldom(draw, (features,), shapes(), 20), seldom(draw, dtype, CPU_SAFE, 20)))
        for _ in range(4)
    ]
    mean, var = vectors[:2] if draw(st.integers(0, 5)) else (None, None)
    weight, bias = (vector if draw(st.integers(0, 2)) else None for vector in vectors[2:])
    training = draw(st.integers(0, 5)) == 0
    if function is torch.batch_norm:
        return call(x, weight, bias, mean, var, training, 0.1, 1e-5, False)
    values = [("input", x), ("running_mean", mean), ("running_var", var), ("weight", weight)]
    values += [("bias", bias), ("training", training), ("momentum", 0.1), ("eps", 1e-5)]
    return draw(spread(values[: draw(st.integers(3, 8))], 0))


CALLS[F.batch_norm] = batch_norm(F.batch_norm)
CALLS[torch.batch_norm] = batch_norm(torch.batch_norm)


@st.composite
def adaptive_pool(draw, function):
    x = draw(tensors(seldom(draw, draw(shapes(max_rank=4, min_rank=3)), shapes())))
    one = (
        st.integers(0, 5)
        if function is not F.adaptive_avg_pool2d
        else st.integers(0, 5) | st.none()
    )
    size = draw(one | st.tuples(one, one) | st.lists(one, min_size=2, max_size=2))
    size = seldom(draw, size, st.sampled_from([-1, (-1, 2), (2,), (2, 2, 2), 1.0]))
    return draw(spread([("input", x), ("output_size", size)], 0))


for _function in (F.adaptive_avg_pool2d, torch._C._nn.adaptive_avg_pool2d):
    CALLS[_function] = adaptive_pool(_function)
