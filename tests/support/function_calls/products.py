"""Calls of matmul and its like, convolutions, attention."""

import string

import torch
from hypothesis import assume
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from bopscount.tracing.torch_names import existing
from support.against_meta import T, broadcastable, one_or_each, shapes, sizes
from support.function_calls.common import (
    CPU_SAFE,
    MOST_DTYPES,
    call,
    first_by_name,
    flags,
    seldom,
    spread,
    tensors,
)

CALLS = {}


@st.composite
def operands(draw, *some_shapes):
    """One tensor a shape; all of one dtype, and of the shape, but for rare mistakes."""
    dtype = draw(MOST_DTYPES)
    return [
        draw(tensors(seldom(draw, shape, shapes(), 20), seldom(draw, dtype, MOST_DTYPES, 20)))
        for shape in some_shapes
    ]


@st.composite
def linear(draw):
    inner, width = draw(sizes(high=5)), draw(sizes(high=5))
    weight = (width, inner) if draw(st.integers(0, 9)) else (inner,)
    shape = (*draw(shapes(max_rank=3)), inner)
    x, weight, bias = draw(operands(shape, weight, draw(broadcastable((width,)))))
    values = [("input", x), ("weight", weight), ("bias", bias if draw(flags) else None)]
    return draw(spread(values[: draw(st.integers(2, 3))], 0))


CALLS[F.linear] = linear()


@st.composite
def matmul(draw, function):
    rows, inner, columns = (draw(sizes(high=5)) for _ in range(3))
    name = function.__name__
    if name in ("mm", "bmm"):
        batch = other = (draw(sizes(high=3)),) if name == "bmm" else ()
    else:
        batch = draw(shapes(max_rank=2))
        other = draw(broadcastable(batch))
    left = (*batch, rows, inner) if draw(st.integers(0, 6)) else (inner,)
    right = (*other, inner, columns) if draw(st.integers(0, 6)) else (inner,)
    a, b = draw(operands(left, right))
    if name.startswith("__"):
        return call(a, b)
    return draw(spread([("input", a), ("mat2" if "mm" in name else "other", b)],
                       first_by_name(function)))  # fmt: skip


for _function in (torch.matmul, Tensor.matmul, Tensor.__matmul__, torch.bmm, Tensor.bmm,
                  torch.mm, Tensor.mm):  # fmt: skip
    CALLS[_function] = matmul(_function)


@st.composite
def addmm(draw, function):
    rows, inner, columns = (draw(sizes(high=5)) for _ in range(3))
    batch = (draw(sizes(high=3)),) if "baddbmm" in function.__name__ else ()
    bias = draw(broadcastable((*batch, rows, columns)))
    tensors_ = draw(operands(bias, (*batch, rows, inner), (*batch, inner, columns)))
    names = ("input", "batch1", "batch2") if batch else ("input", "mat1", "mat2")
    args, kwargs = draw(spread(list(zip(names, tensors_, strict=True)), first_by_name(function)))
    if draw(st.integers(0, 3)) == 0:
        kwargs["alpha"] = draw(st.sampled_from([1, 2, 0.5, "a"]))
        kwargs["beta"] = draw(st.sampled_from([0, 1, 0.5]))
    return args, kwargs


for _function in (torch.addmm, Tensor.addmm, torch.baddbmm, Tensor.baddbmm):
    CALLS[_function] = addmm(_function)


@st.composite
def grouped_mm(draw):
    """Of multiples of 16 bytes, as the kernels demand."""
    experts, inner, columns = (draw(st.sampled_from([8, 16])) for _ in range(3))
    rows = draw(st.sampled_from([8, 24]))
    dtype = seldom(draw, torch.bfloat16, CPU_SAFE, 6)
    left = T(seldom(draw, (rows, inner), shapes()), dtype)
    right = T(seldom(draw, (experts, inner, columns), shapes()), seldom(draw, dtype, CPU_SAFE))
    offsets = T((seldom(draw, experts, sizes()),), seldom(draw, torch.int32, MOST_DTYPES))
    return seldom(draw, call(left, right, offs=offsets), st.just(call(left, right)))


for _function in (*existing(torch, "_grouped_mm"), *existing(F, "grouped_mm")):
    CALLS[_function] = grouped_mm()


@st.composite
def einsum(draw):
    letters = {letter: draw(sizes(high=4)) for letter in string.ascii_letters[:5]}
    terms = []
    for _ in range(draw(st.sampled_from([1, 2, 2, 2, 2, 2, 3]))):
        term = draw(st.lists(st.sampled_from(sorted(letters)), max_size=4, unique=draw(flags)))
        terms.append("".join(term))
    found = sorted(set("".join(terms)))
    out = "".join(draw(st.permutations(found))[: draw(st.integers(0, len(found)))])
    equation = ",".join(terms)
    if draw(st.integers(0, 9)):
        equation += "->" + seldom(draw, out, st.sampled_from([out + out, "z", "...", "1"]))
    equation = seldom(draw, equation, st.sampled_from([equation.replace(",", " , "), "ab", "->"]))
    given = draw(operands(*(tuple(letters[letter] for letter in term) for term in terms)))
    return call(equation, given) if draw(flags) else call(equation, *given)


CALLS[torch.einsum] = einsum()


@st.composite
def attention(draw):
    width, value_width, heads = (draw(sizes(1, 4)) for _ in range(3))
    length, keys = draw(sizes(high=4)), draw(sizes(high=4))
    batch = draw(shapes(max_rank=2))
    grouped, groups = draw(flags), draw(st.integers(1, 3))
    few = heads
    if grouped:
        few, heads = seldom(draw, heads, sizes(high=4)), heads * groups
    batch = seldom(draw, (*batch, heads), st.just(()), 9)
    key_batch = seldom(draw, (*batch[:-1], few) if batch else (), broadcastable(batch))
    shapes_ = ((*batch, length, width), (*key_batch, keys, width), (*key_batch, keys, value_width))
    query, key, value = draw(operands(*shapes_))
    # Torch itself divides by zero, and ends the process, for no heads.
    assume(not grouped or not any(0 in tensor.shape for tensor in (query, key, value)))
    mask = st.none() | tensors(
        broadcastable((*batch, length, keys)), st.sampled_from([query.dtype, torch.bool])
    )
    mask = seldom(draw, draw(mask), tensors())
    kwargs = {"is_causal": True} if draw(st.integers(0, 3)) == 0 else {}
    if grouped:
        kwargs["enable_gqa"] = True
    if draw(st.integers(0, 5)) == 0:
        kwargs["scale"] = 0.5
    values = [("query", query), ("key", key), ("value", value), ("attn_mask", mask)]
    args, named = draw(spread(values[: draw(st.integers(3, 4))], 0))
    return args, {**named, **kwargs}


CALLS[F.scaled_dot_product_attention] = attention()


@st.composite
def conv(draw, rank):
    groups = draw(st.sampled_from([1, 1, 2, 3]))
    inner = draw(st.integers(1, 2))
    out = groups * draw(st.integers(1, 2))
    kernel = tuple(draw(st.integers(1, 3)) for _ in range(rank))
    batch = draw(st.sampled_from([(), (0,), (1,), (2,)]))
    spatial = tuple(draw(sizes(high=7)) for _ in range(rank))
    x, weight, bias = draw(
        operands((*batch, groups * inner, *spatial), (out, inner, *kernel), (out,))
    )
    padding = seldom(draw, draw(one_or_each(st.integers(0, 2), rank)),
                     st.sampled_from(["same", "valid", "other", -1, (1,)]), 5)  # fmt: skip
    values = [("input", x), ("weight", weight), ("bias", bias if draw(flags) else None)]
    values += [
        ("stride", seldom(draw, draw(one_or_each(st.integers(1, 3), rank)), st.just(0))),
        ("padding", padding),
        ("dilation", seldom(draw, draw(one_or_each(st.integers(1, 2), rank)), st.just(0))),
        ("groups", seldom(draw, groups, st.integers(-1, 3))),
    ]
    return draw(spread(values[: draw(st.integers(2, 7))], 0))


for _rank in (1, 2, 3):
    CALLS[getattr(F, f"conv{_rank}d")] = conv(_rank)


@st.composite
def multi_head_attention(draw):
    heads, per_head = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    width = heads * per_head
    length, keys, batch = (draw(sizes(high=4)) for _ in range(3))
    middle = (batch,) if draw(st.integers(0, 4)) else ()
    dtype = draw(CPU_SAFE)

    def make(*shape):
        right = seldom(draw, shape, shapes(), 60)
        return T(tuple(right), seldom(draw, dtype, CPU_SAFE, 60))

    key_width, value_width = (seldom(draw, width, sizes(high=4), 3) for _ in range(2))
    separate = draw(flags)
    if not separate:
        key_width = value_width = width
    need_weights = draw(flags)
    kwargs = {
        "query": make(length, *middle, width),
        "key": make(keys, *middle, key_width),
        "value": make(keys, *middle, value_width),
        "embed_dim_to_check": seldom(draw, width, sizes(), 20),
        "num_heads": seldom(draw, heads, sizes(1, 4), 20),
        "in_proj_weight": None if separate else make(3 * width, width),
        "in_proj_bias": make(3 * width) if draw(flags) else None,
        "bias_k": make(1, 1, width) if draw(st.integers(0, 5)) == 0 else None,
        "bias_v": None,
        "add_zero_attn": draw(st.integers(0, 5)) == 0,
        "dropout_p": draw(st.sampled_from([0.0, 0.5])),
        "out_proj_weight": make(width, width),
        "out_proj_bias": make(width) if draw(flags) else None,
        "training": draw(flags),
        "need_weights": need_weights,
        "use_separate_proj_weight": separate,
        "average_attn_weights": draw(flags),
    }
    if kwargs["bias_k"] is not None:
        kwargs["bias_v"] = make(1, 1, width)
    if separate:
        kwargs["q_proj_weight"] = make(width, width)
        kwargs["k_proj_weight"] = make(width, key_width)
        kwargs["v_proj_weight"] = make(width, value_width)
    if draw(st.integers(0, 2)) == 0:
        mask = draw(st.sampled_from([(length, keys), (batch * heads, length, keys)]))
        kwargs["attn_mask"] = T(
            seldom(draw, mask, shapes()), draw(st.sampled_from([dtype, torch.bool]))
        )
        kwargs["is_causal"] = draw(st.integers(0, 3)) == 0
    if draw(st.integers(0, 3)) == 0:
        kwargs["key_padding_mask"] = T(seldom(draw, (*middle, keys), shapes()), torch.bool)
    return (), kwargs


CALLS[F.multi_head_attention_forward] = multi_head_attention()
