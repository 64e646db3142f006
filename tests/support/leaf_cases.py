"""For each leaf class with a rule: a strategy of (module arguments, input shape); its module."""

import torch
from hypothesis import reject
from hypothesis import strategies as st
from torch import nn

from support.against_meta import one_or_each, shapes, sizes

flags = st.booleans()
windows = st.integers(1, 4)


def seldom(draw, value, otherwise, odds=12):
    """`value`, but once in a while what the strategy `otherwise` gives."""
    return draw(otherwise) if draw(st.integers(0, odds)) == 0 else value


@st.composite
def planes(draw, rank, channels):
    """(batch, channels, ...), also unbatched; seldom something else."""
    channels = seldom(draw, channels, sizes())
    batch = draw(st.sampled_from([(), (0,), (1,), (2,), (2,), (2,)]))
    shape = (*batch, channels, *(draw(sizes()) for _ in range(rank)))
    return seldom(draw, shape, shapes(max_rank=6))


@st.composite
def convs(draw, rank, transposed=False):
    groups = draw(st.sampled_from([1, 1, 2, 3]))
    channels = groups * draw(st.integers(1, 2))
    kwargs = {
        "in_channels": channels,
        "out_channels": groups * draw(st.integers(1, 2)),
        "kernel_size": draw(one_or_each(windows, rank)),
        "stride": seldom(draw, draw(one_or_each(st.integers(1, 3), rank)), st.just(0)),
        "padding": seldom(draw, draw(one_or_each(st.integers(0, 3), rank)), st.just(-1)),
        "dilation": seldom(draw, draw(one_or_each(st.integers(1, 3), rank)), st.just(0)),
        "groups": groups,
        "bias": draw(flags),
    }
    if transposed:
        kwargs["output_padding"] = draw(one_or_each(st.integers(0, 3), rank))
    else:
        kwargs["padding_mode"] = draw(
            st.sampled_from(["zeros"] * 4 + ["reflect", "replicate", "circular"])
        )
        kwargs["padding"] = seldom(
            draw, kwargs["padding"], st.sampled_from(["same", "valid"]), odds=3
        )
        if kwargs["padding"] == "same":
            kwargs["stride"] = 1
    return kwargs, draw(planes(rank, channels))


@st.composite
def pools(draw, rank, kind):
    window, padding = one_or_each(windows, rank), one_or_each(st.integers(0, 2), rank)
    kwargs = {"kernel_size": seldom(draw, draw(window), st.just(0))}
    stride = st.none() | one_or_each(st.integers(1, 5), rank)
    kwargs["stride"] = seldom(draw, draw(stride), st.just(0))
    kwargs["ceil_mode"] = draw(flags)
    if kind == "LPPool":
        kwargs["norm_type"] = draw(st.sampled_from([1, 2, float("inf")]))
    else:
        kwargs["padding"] = seldom(draw, draw(padding), st.just(-1))
    if kind == "MaxPool":
        kwargs["dilation"] = seldom(draw, draw(one_or_each(st.integers(1, 3), rank)), st.just(0))
        kwargs["return_indices"] = draw(st.sampled_from([False, False, True]))
    if kind == "AvgPool":
        kwargs["count_include_pad"] = draw(flags)
        if rank > 1:
            kwargs["divisor_override"] = draw(st.sampled_from([None, None, 3, 0]))
    return kwargs, draw(planes(rank, draw(st.integers(1, 3))))


@st.composite
def adaptive_pools(draw, rank, returns_indices):
    size = st.integers(0, 7) | st.none()
    kwargs = {"output_size": seldom(draw, draw(one_or_each(size, rank)), st.just(-1))}
    if returns_indices:
        kwargs["return_indices"] = draw(st.sampled_from([False, False, True]))
    return kwargs, draw(planes(rank, draw(st.integers(1, 3))))


@st.composite
def channel_norms(draw, rank, name="num_features", batch=True):
    channels = draw(st.integers(1, 4))
    kwargs = {name: channels, "affine": draw(flags)}
    if batch:
        kwargs["track_running_stats"] = draw(flags)
    return kwargs, draw(planes(rank, channels))


@st.composite
def group_norms(draw):
    groups = draw(st.integers(1, 3))
    channels = groups * draw(st.integers(1, 2))
    kwargs = {"num_groups": groups, "num_channels": channels, "affine": draw(flags)}
    return kwargs, draw(planes(draw(st.integers(0, 3)), channels))


@st.composite
def layer_norms(draw, biased):
    normalized = draw(shapes(max_rank=2, min_rank=1))
    kwargs = {"normalized_shape": normalized, "elementwise_affine": draw(flags)}
    if biased:
        kwargs["bias"] = draw(flags)
    shape = (*draw(shapes(max_rank=2)), *normalized)
    return kwargs, seldom(draw, shape, shapes())


@st.composite
def linears(draw):
    features = draw(sizes())
    kwargs = {"in_features": features, "out_features": draw(sizes()), "bias": draw(flags)}
    return kwargs, seldom(draw, (*draw(shapes(max_rank=3)), features), shapes())


@st.composite
def upsamples(draw):
    rank = draw(st.sampled_from([1, 2, 3]))
    modes = ("nearest", "nearest-exact", "linear", "bilinear", "trilinear", "bicubic")
    kwargs = {"mode": seldom(draw, draw(st.sampled_from(modes)), st.just("nearest"), 1)}
    if draw(flags):
        kwargs["size"] = draw(one_or_each(sizes(), rank))
    else:
        factor = st.sampled_from([0.3, 0.5, 1, 1.5, 2, 2.7, 3.0])
        kwargs["scale_factor"] = draw(one_or_each(factor, rank))
        kwargs["recompute_scale_factor"] = draw(st.sampled_from([None, True, False]))
    if kwargs["mode"].endswith("linear") or kwargs["mode"] == "bicubic":
        kwargs["align_corners"] = draw(st.sampled_from([None, False, True]))
    return kwargs, draw(planes(rank, draw(sizes(high=3))))


@st.composite
def fixed_upsamples(draw):
    key, value = draw(st.sampled_from([("size", 6), ("size", (3, 5)), ("scale_factor", 2)]))
    return {key: value}, draw(planes(2, 3))


def activations(**kwargs):
    return st.tuples(st.fixed_dictionaries({}, optional=kwargs), shapes(max_rank=6))


@st.composite
def prelus(draw):
    channels = draw(st.sampled_from([1, 1, 3]))
    shape = seldom(draw, draw(planes(draw(st.integers(0, 3)), channels)), shapes(), 3)
    return {"num_parameters": channels}, shape


@st.composite
def embeddings(draw):
    kwargs = {"num_embeddings": 7, "embedding_dim": draw(sizes())}
    kwargs["padding_idx"] = draw(st.sampled_from([None, 0, -1]))
    kwargs["max_norm"] = draw(st.sampled_from([None, None, None, 1.0]))
    return kwargs, draw(shapes())


@st.composite
def shuffles(draw):
    factor = draw(st.integers(1, 3))
    channels = factor * factor * draw(sizes(high=2))
    shape = (*draw(shapes(max_rank=2)), channels, *draw(shapes(min_rank=2, max_rank=2)))
    return {"upscale_factor": factor}, seldom(draw, shape, shapes(max_rank=5))


CASES = {
    nn.Linear: linears(),
    nn.modules.linear.NonDynamicallyQuantizableLinear: linears(),
    nn.SyncBatchNorm: st.integers(0, 3).flatmap(channel_norms),
    nn.GroupNorm: group_norms(),
    nn.LayerNorm: layer_norms(True),
    nn.RMSNorm: layer_norms(False),
    nn.LocalResponseNorm: st.tuples(
        st.fixed_dictionaries({"size": st.integers(1, 4)}), shapes(max_rank=6)
    ),
    nn.Upsample: upsamples(),
    nn.UpsamplingNearest2d: fixed_upsamples(),
    nn.UpsamplingBilinear2d: fixed_upsamples(),
    nn.ReLU: activations(inplace=flags),
    nn.ReLU6: activations(inplace=flags),
    nn.LeakyReLU: activations(inplace=flags, negative_slope=st.just(0.2)),
    nn.PReLU: prelus(),
    nn.ELU: activations(inplace=flags),
    nn.SELU: activations(inplace=flags),
    nn.CELU: activations(inplace=flags, alpha=st.sampled_from([0.5, 0.0])),
    nn.Hardtanh: activations(inplace=flags),
    nn.Hardsigmoid: activations(inplace=flags),
    nn.Hardswish: activations(inplace=flags),
    nn.Sigmoid: activations(),
    nn.Tanh: activations(),
    nn.SiLU: activations(inplace=flags),
    nn.GELU: activations(approximate=st.sampled_from(["none", "tanh", "wrong"])),
    nn.Softplus: activations(beta=st.sampled_from([1, 2.0])),
    nn.Mish: activations(inplace=flags),
    nn.LogSigmoid: activations(),
    nn.Softsign: activations(),
    nn.Tanhshrink: activations(),
    nn.Softshrink: activations(lambd=st.sampled_from([0.5, -1.0])),
    nn.Hardshrink: activations(lambd=st.sampled_from([0.5, -1.0])),
    nn.Threshold: st.tuples(
        st.fixed_dictionaries({"threshold": st.just(0.1), "value": st.just(2), "inplace": flags}),
        shapes(),
    ),
    nn.GLU: activations(dim=st.integers(-4, 3)),
    nn.Softmax: activations(dim=st.none() | st.integers(-4, 3)),
    nn.Softmin: activations(dim=st.none() | st.integers(-4, 3)),
    nn.LogSoftmax: activations(dim=st.none() | st.integers(-4, 3)),
    nn.Dropout: activations(p=st.just(0.3), inplace=flags),
    nn.AlphaDropout: activations(inplace=flags),
    nn.FeatureAlphaDropout: activations(inplace=flags),
    nn.Identity: activations(),
    nn.Flatten: activations(start_dim=st.integers(-4, 4), end_dim=st.integers(-4, 4)),
    nn.Embedding: embeddings(),
    nn.PixelShuffle: shuffles(),
}
for _rank in (1, 2, 3):
    CASES[getattr(nn, f"Conv{_rank}d")] = convs(_rank)
    CASES[getattr(nn, f"ConvTranspose{_rank}d")] = convs(_rank, transposed=True)
    CASES[getattr(nn, f"BatchNorm{_rank}d")] = channel_norms(_rank)
    CASES[getattr(nn, f"InstanceNorm{_rank}d")] = channel_norms(_rank)
    CASES[getattr(nn, f"Dropout{_rank}d")] = activations(inplace=flags)
    CASES[getattr(nn, f"AdaptiveAvgPool{_rank}d")] = adaptive_pools(_rank, False)
    CASES[getattr(nn, f"AdaptiveMaxPool{_rank}d")] = adaptive_pools(_rank, True)
    for _kind in ("MaxPool", "AvgPool", "LPPool"):
        if hasattr(nn, f"{_kind}{_rank}d"):
            CASES[getattr(nn, f"{_kind}{_rank}d")] = pools(_rank, _kind)


def build(cls, kwargs, dtype):
    """The module on meta; what torch does not let anyone construct is of no interest."""
    try:
        with torch.device("meta"):
            module = cls(**kwargs)
    except Exception:
        reject()
    return module.to(dtype).eval()
