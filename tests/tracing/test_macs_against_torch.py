"""2 x MACs of products is what torch's own counter says on meta, for random arguments."""

import pytest
import torch
from hypothesis import given, reject
from hypothesis import strategies as st
from support.against_meta import (
    T,
    examples,
    in_trace,
    leaves,
    outside,
    rebuild,
    with_something_live,
)
from support.function_calls import CALLS
from support.function_calls.common import flags
from support.leaf_cases import CASES, build
from support.recurrent_cases import CELLS, RECURRENT
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812
from torch.utils.flop_counter import FlopCounterMode

import bopscount

FUNCTIONS = [
    F.linear, torch.matmul, Tensor.__matmul__, torch.mm, torch.bmm, torch.addmm, torch.baddbmm,
    torch.einsum, F.scaled_dot_product_attention, F.conv1d, F.conv2d, F.conv3d,
    F.multi_head_attention_forward,
]  # fmt: skip
LEAVES = [getattr(nn, f"Conv{kind}{rank}d") for kind in ("", "Transpose") for rank in (1, 2, 3)]
LEAVES.append(nn.Linear)


def flops_on_meta(function, args, kwargs):
    """Torch's count; calls that raise are another test's."""
    args, kwargs = rebuild(lambda tensor: tensor.make("meta"), (args, kwargs))
    try:
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            function(*args, **kwargs)
    except Exception:
        reject()
    return counter.get_total_flops()


def check_macs(function, args, kwargs):
    flops = flops_on_meta(function, args, kwargs)
    if outside(function, args, kwargs, "cpu")[0] == "error":
        reject()  # some meta kernels let pass what no other does
    table = in_trace(function, *with_something_live((args, kwargs)))[1]
    if table is None:
        reject()
    macs = bopscount.count(table).totals.macs
    assert 2 * macs == flops, f"{function}, {args}, {kwargs}: 2 x {macs}, torch: {flops}"


def has_vector(args, kwargs):
    """Torch's counter knows no mv and dot."""
    operands = [leaf for leaf in leaves([args, kwargs]) if isinstance(leaf, T)][:2]
    return any(len(operand.shape) < 2 for operand in operands)


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda function: function.__name__)
def test_macs_of_function(function):
    @examples(15)
    @given(CALLS[function])
    def agrees(call):
        if function in (F.linear, torch.matmul, Tensor.__matmul__) and has_vector(*call):
            reject()
        check_macs(function, *call)

    agrees()


@pytest.mark.parametrize("cls", LEAVES, ids=lambda cls: cls.__name__)
def test_macs_of_leaf(cls):
    @examples(15)
    @given(CASES[cls])
    def agrees(case):
        kwargs, shape = case
        check_macs(build(cls, kwargs, torch.float32), (T(shape),), {})

    agrees()


@pytest.mark.parametrize("cls", [*RECURRENT, *CELLS], ids=lambda cls: cls.__name__)
def test_macs_of_recurrent(cls):
    @examples(15)
    @given({**RECURRENT, **CELLS}[cls])
    def agrees(case):
        kwargs, args, named = case
        check_macs(build(cls, kwargs, torch.float32), args, named)

    agrees()


@st.composite
def multi_head_attention(draw):
    heads = draw(st.integers(1, 3))
    width = heads * draw(st.integers(1, 3))
    kwargs = {
        "embed_dim": width,
        "num_heads": heads,
        "bias": draw(flags),
        "add_bias_kv": draw(st.integers(0, 4)) == 0,
        "add_zero_attn": draw(st.integers(0, 4)) == 0,
        "kdim": draw(st.sampled_from([None, None, 2])),
        "vdim": draw(st.sampled_from([None, None, 3])),
        "batch_first": draw(flags),
    }
    length, keys = draw(st.integers(1, 4)), draw(st.integers(1, 4))
    batch = draw(st.sampled_from([(), (1,), (2,)]))

    def shape(positions, features):
        first, second = ((batch, (positions,)), ((positions,), batch))[not kwargs["batch_first"]]
        return (*first, *second, features)

    query = T(shape(length, width))
    key = T(shape(keys, kwargs["kdim"] or width))
    value = T(shape(keys, kwargs["vdim"] or width))
    if kwargs["kdim"] is kwargs["vdim"] is None and draw(flags):
        key = value = query
    named = {"need_weights": draw(flags)}
    if draw(st.integers(0, 2)) == 0:
        named["attn_mask"] = T((length, key.shape[-2 if kwargs["batch_first"] else 0]), torch.bool)
    return kwargs, (query, key, value), named


def test_macs_of_multi_head_attention():
    @examples(20)
    @given(multi_head_attention())
    def agrees(case):
        kwargs, args, named = case
        check_macs(build(nn.MultiheadAttention, kwargs, torch.float32), args, named)

    agrees()


@st.composite
def transformer_layers(draw):
    heads = draw(st.integers(1, 2))
    width = 2 * heads
    kwargs = {
        "d_model": width,
        "nhead": heads,
        "dim_feedforward": draw(st.integers(1, 5)),
        "batch_first": draw(flags),
        "norm_first": draw(flags),
        "bias": draw(flags),
    }
    x = T((draw(st.integers(1, 3)), draw(st.integers(1, 3)), width))
    return kwargs, x


@pytest.mark.parametrize("cls", [nn.TransformerEncoderLayer, nn.TransformerDecoderLayer])
def test_macs_of_transformer_layer(cls):
    @examples(8)
    @given(transformer_layers())
    def agrees(case):
        kwargs, x = case
        args = (x,) if cls is nn.TransformerEncoderLayer else (x, x)
        check_macs(build(cls, kwargs, torch.float32), args, {})

    agrees()
