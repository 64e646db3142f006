"""Calls of functions that move data."""

import torch
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from bopscount.tracing.torch_names import existing
from support.against_meta import FLOATS, MOST_DTYPES, Lengths, T, dims, shapes, sizes
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
)  # fmt: skip

CALLS = {}
FORMATS = st.sampled_from([torch.contiguous_format, torch.preserve_format, torch.channels_last])


@st.composite
def reshape(draw, function):
    x = draw(tensors())
    shape = list(draw(st.permutations(x.shape)))
    if shape and draw(flags):
        shape[draw(st.integers(0, len(shape) - 1))] = -1
    if len(shape) > 1 and draw(flags):
        shape = [shape[0] * shape[1], *shape[2:]]
    shape = tuple(seldom(draw, shape, shapes()))
    if function is torch.reshape:
        return draw(spread([("input", x), ("shape", shape)], 0))
    return seldom(draw, call(x, *shape), st.just(call(x, list(shape))), 2)


@st.composite
def reshape_as(draw):
    x = draw(tensors())
    return call(x, T(seldom(draw, tuple(draw(st.permutations(x.shape))), shapes())))


@st.composite
def flatten(draw, function):
    x = draw(tensors())
    values = [("input", x), ("start_dim", draw(dims(len(x.shape))))]
    values.append(("end_dim", draw(dims(len(x.shape)))))
    return draw(spread(values[: draw(st.integers(1, 3))], first_by_name(function)))


for _function in (Tensor.reshape, torch.reshape):
    CALLS[_function] = reshape(_function)
for _function in (Tensor.view_as, Tensor.reshape_as):
    CALLS[_function] = reshape_as()
for _function in (Tensor.flatten, torch.flatten):
    CALLS[_function] = flatten(_function)


@st.composite
def copies(draw):
    kwargs = {"memory_format": draw(FORMATS)} if draw(st.integers(0, 4)) == 0 else {}
    return call(draw(tensors()), **kwargs)


for _function in (Tensor.contiguous, Tensor.clone, torch.clone):
    CALLS[_function] = copies()
CALLS[Tensor.zero_] = st.builds(call, tensors())
CALLS[Tensor.fill_] = st.builds(call, tensors(), SCALARS | tensors(()))
for _function in existing(Tensor, "float half bfloat16 double long int bool"):
    CALLS[_function] = copies()


@st.composite
def to(draw):
    x = draw(tensors(kinds=LIVE))
    dtype, other = draw(MOST_DTYPES), draw(tensors(kinds=LIVE))
    choices = [
        call(x, dtype), call(x, other), call(x, "meta"), call(x, torch.device("meta"), dtype),
        call(x, dtype=dtype), call(x, device="meta", dtype=dtype), call(x, dtype, True),
        call(x, dtype, copy=True), call(x, dtype, False, True), call(x, other, copy=True),
        call(x, other, False, True), call(x, "meta", None, True), call(x, other=other),
        call(x, memory_format=torch.channels_last), call(x, None), call(x, dtype, dtype),
        call(x, 3.5), call(x), call(x, dtype, x), call(x, what=dtype), call(x, "meta", dtype, True),
    ]  # fmt: skip
    return draw(st.sampled_from(choices))


CALLS[Tensor.to] = to()
CALLS[Tensor.type_as] = st.tuples(st.tuples(tensors(kinds=LIVE), tensors()), st.just({}))
CALLS[Tensor.type] = st.tuples(
    st.tuples(tensors(kinds=LIVE), MOST_DTYPES), st.sampled_from([{}, {}, {"non_blocking": True}])
) | st.tuples(st.tuples(tensors(kinds=LIVE)), MOST_DTYPES.map(lambda dtype: {"dtype": dtype}))


@st.composite
def cat(draw):
    shape = draw(shapes(min_rank=1))
    dim = seldom(draw, draw(dims(len(shape))), st.sampled_from([True, 0.0, None]), 20)
    dtype = draw(MOST_DTYPES)
    parts = []
    for _ in range(draw(st.integers(1, 3))):
        part = list(shape)
        if isinstance(dim, int) and -len(part) <= dim < len(part):
            part[dim] = draw(sizes(high=3))
        part = seldom(draw, tuple(part), st.just((0,)) | shapes())
        parts.append(draw(tensors(part, seldom(draw, dtype, MOST_DTYPES))))
    parts = seldom(draw, parts, st.just([]), 30)
    values = [("tensors", tuple(parts) if draw(flags) else parts)]
    values.append((draw(st.sampled_from(["dim", "dim", "axis"])), dim))
    return draw(spread(values[: draw(st.integers(1, 2))], 0))


@st.composite
def stack(draw):
    shape, dtype = draw(shapes()), draw(MOST_DTYPES)
    parts = [
        draw(tensors(seldom(draw, shape, shapes()), seldom(draw, dtype, MOST_DTYPES)))
        for _ in range(draw(st.integers(1, 3)))
    ]
    values = [
        ("tensors", seldom(draw, parts, st.just([]), 30)),
        ("dim", draw(dims(len(shape) + 1))),
    ]
    return draw(spread(values[: draw(st.integers(1, 2))], 0))


for _function in (torch.cat, torch.concat, torch.concatenate):
    CALLS[_function] = cat()
CALLS[torch.stack] = stack()


@st.composite
def getitem(draw):
    x = draw(tensors(shapes(low=1)))
    bound = st.none() | st.integers(-4, 4)
    numbers = tensors(kinds=LIVE, dtypes=st.sampled_from([torch.int64, torch.int32, torch.uint8]))
    part = st.one_of(
        st.integers(-3, 3), st.builds(slice, bound, bound, st.sampled_from([None, 1, 2])),
        st.just(None), st.just(Ellipsis), st.just([0, 1]), numbers, numbers, flags, st.just(1.5),
    )  # fmt: skip
    return call(x, draw(part | st.lists(part, max_size=3).map(tuple)))


CALLS[Tensor.__getitem__] = getitem()


@st.composite
def roll(draw, function):
    x = draw(tensors())
    number = draw(st.integers(1, 2))
    shifts = tuple(draw(st.integers(-3, 3)) for _ in range(number))
    axes = tuple(draw(dims(len(x.shape))) for _ in range(seldom(draw, number, st.integers(0, 2))))
    values = [("input", x), ("shifts", shifts[0] if draw(flags) else shifts)]
    values.append(("dims", axes[0] if axes and draw(flags) else axes))
    return draw(spread(values[: draw(st.integers(2, 3))], first_by_name(function)))


@st.composite
def flip(draw, function):
    x = draw(tensors())
    axes = tuple(draw(dims(len(x.shape))) for _ in range(draw(st.integers(0, 2))))
    if function is Tensor.flip and draw(flags):
        return call(x, *axes)
    return draw(spread([("input", x), ("dims", axes)], first_by_name(function)))


@st.composite
def gather(draw, function):
    x = draw(tensors())
    rank = len(x.shape)
    index = tuple(draw(st.integers(0, size)) for size in x.shape)
    index = seldom(draw, index, shapes(), 4)
    indices = draw(tensors(index, seldom(draw, torch.int64, MOST_DTYPES), kinds=LIVE))
    values = [("input", x), ("dim", draw(dims(rank))), ("index", indices)]
    return draw(spread(values, first_by_name(function)))


for _function in (torch.roll, Tensor.roll):
    CALLS[_function] = roll(_function)
for _function in (torch.flip, Tensor.flip):
    CALLS[_function] = flip(_function)
for _function in (torch.gather, Tensor.gather):
    CALLS[_function] = gather(_function)

KEYWORDS = st.fixed_dictionaries(
    {}, optional={"dtype": MOST_DTYPES, "device": st.just("meta"), "requires_grad": st.just(False)}
)


@st.composite
def factory(draw, values):
    args = draw(values)
    return args if isinstance(args, tuple) else (args,), draw(KEYWORDS)


_sizes = st.tuples(shapes()) | shapes(min_rank=1) | st.just(((-1,),)) | st.just(("a",))
_one, _x = st.sampled_from([0, 1, 5, 2.5, -1]), tensors(kinds=LIVE)
FACTORIES = {
    "zeros ones empty": _sizes,
    "full": st.tuples(shapes(), REALS),
    "arange": st.tuples(_one) | st.tuples(_one, _one) | st.tuples(_one, _one, _one),
    "linspace": st.tuples(_one, _one, st.integers(-1, 4)),
    "eye": st.tuples(st.integers(-1, 4)) | st.tuples(st.integers(0, 4), st.integers(0, 4)),
    "tensor": st.tuples(st.sampled_from([1, 2.0, True, [1, 2], [[0.5]], [], [[1], [1, 2]], "a"])),
    "zeros_like ones_like empty_like": st.tuples(_x),
    "full_like": st.tuples(_x, REALS),
    "new_zeros new_ones new_empty": st.tuples(_x, shapes()),
    "new_full": st.tuples(_x, shapes(), REALS),
    "new_tensor": st.tuples(_x, st.sampled_from([1, 2.0, [1, 2], [True]])),
}
for _names, _values in FACTORIES.items():
    for _function in existing(Tensor if _names.startswith("new_") else torch, _names):
        CALLS[_function] = factory(_values)


@st.composite
def pad(draw):
    x = draw(tensors())
    amounts = draw(st.lists(st.integers(-1, 3), max_size=2 * len(x.shape) + 1))
    amounts = amounts[: len(amounts) // 2 * 2] if draw(st.integers(0, 9)) else amounts
    modes = ["constant"] * 4 + ["reflect", "replicate", "circular", "other"]
    values = [("input", x), ("pad", tuple(amounts) if draw(flags) else amounts)]
    values += [("mode", draw(st.sampled_from(modes))), ("value", draw(st.none() | REALS))]
    return draw(spread(values[: draw(st.integers(2, 4))], 0))


CALLS[F.pad] = pad()


@st.composite
def pack(draw):
    steps, batch = draw(sizes(1, 4)), draw(sizes(1, 3))
    lengths = sorted((draw(st.integers(1, steps)) for _ in range(batch)), reverse=True)
    batch_first = draw(flags)
    shape = (batch, steps) if batch_first else (steps, batch)
    x = draw(tensors((*shape, *draw(shapes(max_rank=2))), st.sampled_from(FLOATS), LIVE))
    return call(x, Lengths(tuple(seldom(draw, lengths, st.just([9])))), batch_first)


@st.composite
def unpack(draw):
    sizes_ = sorted((draw(st.integers(1, 3)) for _ in range(draw(sizes(1, 4)))), reverse=True)
    x = draw(tensors((sum(sizes_), *draw(shapes(max_rank=2))), st.sampled_from(FLOATS), LIVE))
    longest = draw(st.sampled_from([-1, len(sizes_), len(sizes_) + 2]))
    return call(x, Lengths(tuple(sizes_)), draw(flags), 0.0, longest)


_VF = torch._C._VariableFunctions
CALLS[_VF._pack_padded_sequence], CALLS[_VF._pad_packed_sequence] = pack(), unpack()
