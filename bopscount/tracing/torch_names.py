"""Registry of torch's modules, functions and ATen ops for each op kind.

Each kind has one entry here and a row in the core's op table (csrc/core/op_rows.hpp), which
defines its cost and shape rule. The leaf classes, the function rules and the ATen rules are
derived from the two. A test states for every kind who answers it, or why nobody does.

Example, the entry of hardswish::

    "hardswish": names(
        modules=[nn.Hardswish], functions=[unary(F.hardswish, takes=INPLACE)], aten="hardswish"
    )
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - torch's own custom

REQUIRED = object()
"""Marker for parameters without a default."""
RANKS = (1, 2, 3)


@dataclass(frozen=True, slots=True)
class Functions:
    """Group of torch functions answered by one rule and recorded under one name.

    Attributes:
        op: Name in the records, and in `@rule("<kind>.<op>")` for a specific rule.
        functions: The functions, including methods.
        by: Generic rule: "unary", "unary_in_place", "binary", "comparison", "division",
            "binary_in_place", "reduction", "trailing_norm", "leaf"; "" for a specific rule.
        takes: Parameters after the input with their defaults, in torch's order.
        fast: Form of the core's fast path, which precedes the rule; "" for none.
        rank: Rank of the operands on the fast path, 0 for any.
        makes: Whether the rule handles constants itself.
    """

    op: str
    functions: tuple[Any, ...]
    by: str = ""
    takes: Mapping[str, Any] = field(default_factory=dict)
    fast: str = ""
    rank: int = 0
    makes: bool = False


@dataclass(frozen=True, slots=True)
class TorchNames:
    """torch's modules, functions and ATen ops of one op kind.

    Attributes:
        modules: Module class that the core answers -> name of its leaf rule.
        functions: Groups of functions.
        aten: Name of an ATen rule -> ops. Ops under "" need only the shapes of their operands
            and output; those under "norm_i" have the weight as argument number i and the bias
            after it.
    """

    modules: Mapping[type[nn.Module], str]
    functions: tuple[Functions, ...]
    aten: Mapping[str, tuple[str, ...]]


def existing(owner: Any, names: str) -> list[Any]:
    """Return the attributes of `owner` with these names that this version of torch has."""
    return [getattr(owner, name) for name in names.split() if hasattr(owner, name)]


def names(
    modules: Iterable[type[nn.Module]] | Mapping[type[nn.Module], str] = (),
    functions: Iterable[Functions] = (),
    aten: str | Mapping[str, str] = "",
) -> TorchNames:
    """Return an entry; the leaf rule of a module defaults to that with the kind's name."""
    by_rule = aten if isinstance(aten, Mapping) else {"": aten}
    return TorchNames(
        modules if isinstance(modules, Mapping) else dict.fromkeys(modules, ""),
        tuple(functions),
        {rule: tuple(listed.split()) for rule, listed in by_rule.items()},
    )


def by_rank(cls: str, rule: str) -> dict[type[nn.Module], str]:
    """Return the 1- to 3-dimensional classes, such as "Conv{}d", with the names of their rules."""
    return {
        getattr(nn, cls.format(rank)): rule.format(rank)
        for rank in RANKS
        if hasattr(nn, cls.format(rank))
    }


def _both(listed: str) -> tuple[Any, ...]:
    """Return the Tensor methods and torch functions of these names; operators are methods only."""
    functions = " ".join(name for name in listed.split() if not name.startswith("__"))
    return (*existing(Tensor, listed), *existing(torch, functions))


def unary(*functions: Any, op: str = "", takes: Mapping[str, Any] | None = None) -> Functions:
    """Return a group of functions of one tensor that keep its shape and float dtype."""
    takes = takes or {}
    fast = "activation" if "inplace" in takes else "unary"
    return Functions(op, functions, "unary", takes, fast)


def trailing_norm(*functions: Any, takes: str) -> Functions:
    """Return a group of functions that normalise over the dimensions `normalized_shape`."""
    after = {"normalized_shape": REQUIRED, **dict.fromkeys(takes.split())}
    return Functions("", functions, "trailing_norm", after)


def _binary(op: str, listed: str, by: str = "binary") -> Functions:
    return Functions(op, _both(listed), by)


def _arithmetic(op: str, operator: str, others: str = "") -> tuple[Functions, ...]:
    """Return the groups of a binary operation on tensors or a tensor and a number.

    These are the operator with the function `op`, which have a fast path in the core; `others`,
    which have none; and the in-place forms.
    """
    by = "division" if op == "div" else "binary"
    fast = (*existing(Tensor, f"{op} __{operator}__"), getattr(torch, op))
    slow = tuple(function for function in _both(others) if function not in fast)
    in_place = tuple(existing(Tensor, f"{op}_ __i{operator}__"))
    return (
        Functions(op, fast, by, fast="binary"),
        Functions(op, slow, by),
        Functions(op, in_place, "binary_in_place", fast="binary_in_place"),
    )


def _as_leaf(kind: str, takes: Mapping[str, Any]) -> tuple[Functions, ...]:
    """Return groups of the 1- to 3-dimensional functions that compute the same as a leaf module."""
    groups = []
    for rank in RANKS:
        op = f"{kind}{rank}d"
        found = [*existing(F, op), *existing(torch, op), *existing(torch._C._nn, op)]
        groups.append(Functions(op, tuple(dict.fromkeys(found)), "leaf", takes))
    return tuple(groups)


INPLACE = {"inplace": False}
_POOL = {"kernel_size": REQUIRED, "stride": None, "padding": 0}
_MATH = """
    exp log log2 log10 log1p expm1 sqrt rsqrt abs neg sin cos tan asin acos atan sinh cosh square
    reciprocal erf floor ceil round sign trunc exp2
"""
_ATTENTION = """
    _scaled_dot_product_flash_attention_for_cpu _scaled_dot_product_flash_attention
    _scaled_dot_product_efficient_attention _scaled_dot_product_cudnn_attention
    _scaled_dot_product_fused_attention_overrideable _scaled_dot_product_attention_math
    _scaled_dot_product_attention_math_for_mps
"""
_CONSTANTS = (
    *existing(torch, "zeros ones full arange empty linspace eye tensor"),
    *existing(torch, "zeros_like ones_like full_like empty_like"),
    *existing(Tensor, "new_zeros new_ones new_full new_empty new_tensor"),
)
_VF = torch._C._VariableFunctions

TORCH_NAMES: dict[str, TorchNames] = {
    # --- products ----------------------------------------------------------
    "conv": names(
        by_rank("Conv{}d", "conv{}d"),
        [Functions(f"conv{rank}d", (getattr(F, f"conv{rank}d"),)) for rank in RANKS],
        {"convolution": "convolution _convolution convolution_overrideable cudnn_convolution"},
    ),
    # The dispatcher has one convolution for both kinds.
    "conv_transpose": names(by_rank("ConvTranspose{}d", "conv_transpose{}d")),
    "linear": names(
        [nn.Linear, nn.modules.linear.NonDynamicallyQuantizableLinear],
        [Functions("linear", (F.linear,), fast="linear")],
    ),
    "bilinear": names(aten={"trilinear": "_trilinear"}),
    "matmul": names(
        functions=[
            Functions("matmul", _both("matmul __matmul__"), fast="matmul"),
            Functions("matmul", _both("mm"), fast="matmul", rank=2),
            Functions("matmul", _both("bmm"), fast="matmul", rank=3),
            Functions("addmm", _both("addmm baddbmm")),
            Functions("grouped_mm", (*existing(torch, "_grouped_mm"), *existing(F, "grouped_mm"))),
            Functions("einsum", (torch.einsum,)),
        ],
        aten={
            "mm": "mm bmm mv dot vdot _int_mm",
            "addmm": "addmm baddbmm addmv _addmm_activation",
            "addbmm": "addbmm",
        },
    ),
    "attention": names(
        functions=[
            Functions("scaled_dot_product_attention", (F.scaled_dot_product_attention,)),
            Functions("multi_head_attention_forward", (F.multi_head_attention_forward,)),
        ],
        aten={"attention": _ATTENTION},
    ),
    "lstm": names(aten={"lstm": "mkldnn_rnn_layer"}),
    "distance": names(aten={"cdist": "_cdist_forward _euclidean_dist"}),
    # --- look-ups and norms --------------------------------------------------
    "embedding": names([nn.Embedding], aten="embedding _embedding_bag _embedding_bag_forward_only"),
    "batch_norm": names(
        {**by_rank("BatchNorm{}d", "batch_norm{}d"), nn.SyncBatchNorm: "sync_batch_norm"},
        [Functions("batch_norm", (F.batch_norm, torch.batch_norm))],
        {
            "batch_norm": "native_batch_norm _native_batch_norm_legit "
            "_native_batch_norm_legit_no_training cudnn_batch_norm _batch_norm_with_update "
            "_batch_norm_no_update"
        },
    ),
    "layer_norm": names(
        [nn.LayerNorm],
        [trailing_norm(F.layer_norm, torch.layer_norm, takes="weight bias eps")],
        {"norm_2": "native_layer_norm"},
    ),
    "group_norm": names(
        [nn.GroupNorm],
        [Functions("group_norm", (F.group_norm,))],
        {"norm_1": "native_group_norm"},
    ),
    "instance_norm": names(
        by_rank("InstanceNorm{}d", "instance_norm{}d"),
        [Functions("instance_norm", (F.instance_norm,))],
    ),
    "rms_norm": names(
        [nn.RMSNorm],
        [trailing_norm(*existing(F, "rms_norm"), takes="weight")],
        {"norm_2": "_fused_rms_norm rms_norm"},
    ),
    "local_response_norm": names(
        [nn.LocalResponseNorm],
        [
            Functions(
                "local_response_norm",
                (F.local_response_norm,),
                "leaf",
                {"size": REQUIRED, "alpha": 1e-4, "beta": 0.75, "k": 1.0},
            )
        ],
    ),
    "normalize": names(functions=[Functions("normalize", (F.normalize,))]),
    # --- pooling and resizing --------------------------------------------------
    "max_pool": names(
        by_rank("MaxPool{}d", "max_pool{}d"),
        _as_leaf("max_pool", {**_POOL, "dilation": 1, "ceil_mode": False, "return_indices": False}),
        {
            "pool1d": "max_pool1d max_pool1d_with_indices quantized_max_pool1d",
            "pool2d": "max_pool2d max_pool2d_with_indices quantized_max_pool2d",
            "pool3d": "max_pool3d max_pool3d_with_indices quantized_max_pool3d",
            "fractional_pool2d": "fractional_max_pool2d",
            "fractional_pool3d": "fractional_max_pool3d",
        },
    ),
    "avg_pool": names(
        by_rank("AvgPool{}d", "avg_pool{}d"),
        _as_leaf(
            "avg_pool",
            {**_POOL, "ceil_mode": False, "count_include_pad": True, "divisor_override": None},
        ),
        {"pool1d": "avg_pool1d", "pool2d": "avg_pool2d", "pool3d": "avg_pool3d"},
    ),
    "lp_pool": names(
        by_rank("LPPool{}d", "lp_pool{}d"),
        [Functions(f"lp_pool{rank}d", tuple(existing(F, f"lp_pool{rank}d"))) for rank in RANKS],
    ),
    "adaptive_avg_pool": names(
        by_rank("AdaptiveAvgPool{}d", "adaptive_avg_pool{}d"),
        _as_leaf("adaptive_avg_pool", {"output_size": REQUIRED}),
        "_adaptive_avg_pool2d _adaptive_avg_pool3d adaptive_avg_pool2d",
    ),
    "adaptive_max_pool": names(
        by_rank("AdaptiveMaxPool{}d", "adaptive_max_pool{}d"),
        _as_leaf("adaptive_max_pool", {"output_size": REQUIRED, "return_indices": False}),
        "adaptive_max_pool2d adaptive_max_pool3d",
    ),
    "upsample_nearest": names(
        # The mode of the module, or of the function, decides on the kind.
        dict.fromkeys((nn.Upsample, nn.UpsamplingNearest2d, nn.UpsamplingBilinear2d), "upsample"),
        [Functions("interpolate", (F.interpolate, F.upsample))],
        "upsample_nearest1d upsample_nearest2d upsample_nearest3d _upsample_nearest_exact1d "
        "_upsample_nearest_exact2d _upsample_nearest_exact3d",
    ),
    "upsample_linear": names(
        aten="upsample_linear1d upsample_bilinear2d upsample_trilinear3d _upsample_bilinear2d_aa"
    ),
    "upsample_cubic": names(aten="upsample_bicubic2d _upsample_bicubic2d_aa"),
    "grid_sample": names(aten="grid_sampler_2d grid_sampler_3d"),
    # --- activations ---------------------------------------------------------
    "relu": names(
        [nn.ReLU, nn.ReLU6],
        [
            unary(F.relu, F.relu6, takes=INPLACE),
            unary(torch.relu, Tensor.relu),
            Functions("relu", _both("relu_"), "unary_in_place"),
        ],
        "relu",
    ),
    "prelu": names([nn.PReLU], aten="_prelu_kernel prelu"),
    "leaky_relu": names(
        [nn.LeakyReLU],
        [unary(F.leaky_relu, takes={"negative_slope": 0.01, **INPLACE})],
        "leaky_relu rrelu_with_noise",
    ),
    "elu": names([nn.ELU], [unary(F.elu, takes={"alpha": 1.0, **INPLACE})], "elu"),
    "selu": names([nn.SELU], [unary(F.selu, takes=INPLACE), unary(torch.selu)], "selu"),
    "celu": names([nn.CELU], [unary(F.celu, takes={"alpha": 1.0, **INPLACE})], "celu"),
    "hardtanh": names(
        [nn.Hardtanh],
        [
            unary(F.hardtanh, takes={"min_val": -1.0, "max_val": 1.0, **INPLACE}),
            Functions("clamp", _both("clamp clip")),
        ],
        "hardtanh clamp relu6",
    ),
    "hardsigmoid": names([nn.Hardsigmoid], [unary(F.hardsigmoid, takes=INPLACE)], "hardsigmoid"),
    "hardswish": names([nn.Hardswish], [unary(F.hardswish, takes=INPLACE)], "hardswish"),
    "sigmoid": names(
        [nn.Sigmoid],
        [
            unary(torch.sigmoid, Tensor.sigmoid, F.sigmoid),
            Functions("sigmoid", _both("sigmoid_"), "unary_in_place"),
        ],
        "sigmoid",
    ),
    "tanh": names(
        [nn.Tanh],
        [
            unary(torch.tanh, Tensor.tanh, F.tanh),
            Functions("tanh", _both("tanh_"), "unary_in_place"),
        ],
        "tanh",
    ),
    "silu": names([nn.SiLU], [unary(F.silu, takes=INPLACE)], "silu"),
    "gelu": names([nn.GELU], [unary(F.gelu, takes={"approximate": "none"})], "gelu"),
    "softplus": names(
        [nn.Softplus], [unary(F.softplus, takes={"beta": 1, "threshold": 20})], "softplus"
    ),
    "mish": names([nn.Mish], [unary(F.mish, takes=INPLACE)], "mish"),
    "log_sigmoid": names([nn.LogSigmoid], [unary(F.logsigmoid)], "log_sigmoid_forward"),
    "softsign": names([nn.Softsign]),
    "tanhshrink": names([nn.Tanhshrink]),
    "shrink": names([nn.Softshrink, nn.Hardshrink], aten="softshrink hardshrink"),
    "threshold": names([nn.Threshold], aten="threshold"),
    "glu": names([nn.GLU], [Functions("glu", (F.glu,), "leaf", {"dim": -1})], "glu"),
    "softmax": names(
        [nn.Softmax, nn.Softmin],
        [
            Functions("softmax", (F.softmax, torch.softmax, Tensor.softmax)),
            Functions("softmin", (F.softmin,)),
        ],
        {"softmax": "_softmax _safe_softmax"},
    ),
    "log_softmax": names(
        [nn.LogSoftmax],
        [Functions("log_softmax", (F.log_softmax, torch.log_softmax, Tensor.log_softmax))],
        {"softmax": "_log_softmax"},
    ),
    # --- what does nothing in eval mode ----------------------------------------
    "dropout": names(
        {
            **dict.fromkeys((nn.Dropout, nn.AlphaDropout, nn.FeatureAlphaDropout), "dropout"),
            **by_rank("Dropout{}d", "dropout{}d"),
        },
        [
            Functions("dropout", (F.dropout,), fast="dropout"),
            Functions(
                "dropout",
                (F.dropout1d, F.dropout2d, F.dropout3d, F.alpha_dropout, F.feature_alpha_dropout),
            ),
        ],
    ),
    "identity": names({nn.Identity: "identity", nn.Flatten: "flatten"}),
    # --- element-wise operations and reductions ----------------------------------
    "elementwise": names(
        functions=[
            *_arithmetic("add", "add", "__radd__"),
            *_arithmetic("sub", "sub", "subtract __rsub__"),
            *_arithmetic("mul", "mul", "multiply __rmul__"),
            *_arithmetic("div", "truediv", "divide true_divide __rtruediv__ __div__"),
            *(_binary(op, op) for op in ("maximum", "minimum", "fmod")),
            _binary("remainder", "remainder __mod__"),
            *(
                _binary(op, f"{op} __{op}__", "comparison")
                for op in ("eq", "ne", "lt", "le", "gt", "ge")
            ),
            *(unary(*_both(op), op=op) for op in _MATH.split()),
            Functions("pow", _both("pow __pow__")),
            Functions("where", (torch.where, Tensor.where)),
        ]
    ),
    "reduce": names(
        functions=[Functions(op, _both(op), "reduction") for op in ("sum", "mean", "amax", "amin")],
        aten="sum mean amax amin max min argmax argmin prod any all logsumexp aminmax nansum "
        "count_nonzero linalg_vector_norm norm median mode trace histc bincount",
    ),
    "variance": names(aten="var std var_mean std_mean var_mean.correction"),
    "cumulative": names(
        aten="cumsum cumprod cummax cummin _cummax_helper _cummin_helper logcumsumexp"
    ),
    # --- movement ------------------------------------------------------------
    "move": names(
        {nn.PixelShuffle: "pixel_shuffle"},
        [
            Functions("pixel_shuffle", (F.pixel_shuffle,), "leaf", {"upscale_factor": REQUIRED}),
            Functions("reshape", (*_both("reshape flatten"), Tensor.view_as, Tensor.reshape_as)),
            Functions("contiguous", (Tensor.contiguous,)),
            Functions("clone", _both("clone")),
            Functions("cast", tuple(existing(Tensor, "float half bfloat16 double long int bool"))),
            Functions("to", (Tensor.to, Tensor.type_as, Tensor.type)),
            Functions("device", (Tensor.cpu, Tensor.cuda)),
            Functions("cat", (torch.cat, torch.concat, torch.concatenate)),
            Functions("stack", (torch.stack,)),
            Functions("index", (Tensor.__getitem__,)),
            Functions("fill", (Tensor.__setitem__,), fast="set_item", makes=True),
            Functions("fill_in_place", (Tensor.zero_, Tensor.fill_)),
            Functions("permuted", _both("roll flip")),
            Functions("gather", _both("gather")),
            Functions("masked_fill", (Tensor.masked_fill,)),
            Functions("constant", _CONSTANTS, makes=True),
            Functions("pad", (F.pad,)),
            Functions("pack_padded_sequence", (_VF._pack_padded_sequence,)),
            Functions("pad_packed_sequence", (_VF._pad_packed_sequence,)),
        ],
        "clone _to_copy copy cat stack index index_select gather scatter scatter_add index_put "
        "_unsafe_index_put _unsafe_index constant_pad_nd reflection_pad1d reflection_pad2d "
        "reflection_pad3d replication_pad1d replication_pad2d replication_pad3d roll flip repeat "
        "repeat_interleave new_zeros new_ones new_full full_like zeros_like ones_like full zeros "
        "ones arange linspace eye tril triu masked_fill masked_scatter fill zero im2col col2im "
        "pixel_shuffle pixel_unshuffle channel_shuffle rand randn rand_like randn_like bernoulli "
        "normal uniform exponential randint randperm slice_scatter select_scatter tril_indices "
        "triu_indices _pack_padded_sequence scalar_tensor slice_backward as_strided_copy one_hot "
        "resize contiguous native_dropout max_unpool2d max_unpool3d take nonzero masked_select "
        "select_backward embedding_renorm index_fill index_copy put bucketize searchsorted",
    ),
}
"""Op kind -> its modules, functions and ATen ops in torch."""

NOT_NAMED: dict[str, str] = {
    "invalid": "no op",
    "uncalled": "a module that was never called",
    "parameters": "parameters of inner modules",
    "uncounted": "ops that have no rule",
    "rnn": "recurrent.py answers nn.RNN; the dispatcher shows its products",
    "gru": "recurrent.py answers nn.GRU; the dispatcher shows its products",
    "quantize": "quantised dtypes (quantized_rules.py) and classes with widths (registered.py)",
}
"""Op kind without an entry -> reason."""
