"""Leaf modules of torch.nn: which op kind each is, and its fixed attributes.

One table: exact class -> LeafRule. What depends on shapes is filled in by the
recorder, so a rule states only what the module itself knows.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from typing import Any

from torch import Tensor, nn

from bopscount._core import LAYER_FLAGS
from bopscount.tracing.recorder import Recorder, three, three_paddings

Fields = dict[str, Any]


def _nothing(_module: Any) -> Fields:
    return {}


@dataclass(frozen=True, slots=True)
class LeafRule:
    """How a leaf class is recorded.

    Attributes:
        kind: Op table row.
        channel_axis: 1 for channels-first tensors, -1 for features-last.
        batched_rank: Rank of a batched input where an unbatched one is allowed too
            (one less), 0 where dimension 0 is always the batch.
        fields: Record fields that the module fixes.
        views: Whether the output is a view (nothing moves).
    """

    kind: str
    channel_axis: int = 1
    batched_rank: int = 0
    fields: Callable[[Any], Fields] = _nothing
    views: bool = False

    def record(
        self, recorder: Recorder, module: nn.Module, operand: Tensor, output: Tensor
    ) -> None:
        """Adds the module's one op."""
        fields = self.fields(module)
        if self.views:
            fields["flags"] = fields.get("flags", 0) | LAYER_FLAGS["unmoved"]
        recorder.add(
            self.kind,
            type(module).__name__,
            operand,
            output,
            channel_axis=self.channel_axis,
            batched=operand.dim() >= self.batched_rank,
            **fields,
        )


def _weights(module: Any) -> Fields:
    """Element counts and widths of `weight` and `bias`, where there are any."""
    weight, bias = getattr(module, "weight", None), getattr(module, "bias", None)
    fields: Fields = {}
    if isinstance(weight, Tensor):
        fields["weight_elements"] = weight.numel()
        fields["weight_bits"] = 8 * weight.itemsize
        fields["weight_item_bytes"] = weight.itemsize
    if isinstance(bias, Tensor):
        fields["bias_elements"] = bias.numel()
    return fields


def _conv(module: Any) -> Fields:
    same = module.padding == "same"
    fields = {
        **_weights(module),
        "groups": module.groups,
        "kernel": three(module.kernel_size),
        "stride": three(module.stride),
        "dilation": three(module.dilation),
    }
    if isinstance(module.padding, str):
        fields["flags"] = LAYER_FLAGS["same_padding"] if same else 0
    else:
        fields["padding"] = three_paddings(module.padding)
    return fields


def _conv_transpose(module: Any) -> Fields:
    return {**_conv(module), "output_padding": three_paddings(module.output_padding)}


def _spread(value: Any, rank: int) -> tuple[int, ...]:
    return (value,) * rank if isinstance(value, int) else tuple(value)


def _pool(rank: int) -> Callable[[Any], Fields]:
    def fields(module: Any) -> Fields:
        flags = LAYER_FLAGS["ceil_mode"] if module.ceil_mode else 0
        if not getattr(module, "count_include_pad", True):
            flags |= LAYER_FLAGS["exclude_padding"]
        stride = module.kernel_size if module.stride is None else module.stride
        return {
            "kernel": three(_spread(module.kernel_size, rank)),
            "stride": three(_spread(stride, rank)),
            "padding": three_paddings(_spread(getattr(module, "padding", 0), rank)),
            "dilation": three(_spread(getattr(module, "dilation", 1), rank)),
            "flags": flags,
        }

    return fields


def _batch_norm(module: Any) -> Fields:
    statistics = 0 if module.running_mean is None else 2 * module.num_features
    return {**_weights(module), "extra_elements": statistics}


def _local_response(module: Any) -> Fields:
    return {"kernel": (module.size, 1, 1)}


_UPSAMPLE_KINDS = {
    "nearest": "upsample_nearest",
    "nearest-exact": "upsample_nearest",
    "linear": "upsample_linear",
    "bilinear": "upsample_linear",
    "trilinear": "upsample_linear",
    "bicubic": "upsample_cubic",
}


class _UpsampleRule(LeafRule):
    """The mode decides the kind."""

    def record(
        self, recorder: Recorder, module: nn.Module, operand: Tensor, output: Tensor
    ) -> None:
        recorder.add(_UPSAMPLE_KINDS[str(module.mode)], "Upsample", operand, output)


class _SoftmaxRule(LeafRule):
    """The channels are the dimension that the softmax sums over."""

    def record(
        self, recorder: Recorder, module: nn.Module, operand: Tensor, output: Tensor
    ) -> None:
        dim: Any = getattr(module, "dim", 1)
        if dim is None:
            # torch's own implicit choice, by rank
            dim = 0 if operand.dim() in (0, 1, 3) else 1
        record_softmax(recorder, self.kind, type(module).__name__, operand, output, dim)


def record_softmax(
    recorder: Recorder, kind: str, op: str, operand: Tensor, output: Tensor, dim: int
) -> None:
    """A softmax over `dim`: batch x in_positions vectors of in_channels each."""
    channels = operand.shape[dim] if operand.dim() else 1
    batch = operand.shape[0] if operand.dim() > 1 and dim % operand.dim() != 0 else 1
    positions = operand.numel() // max(1, channels * batch)
    shape: Fields = {"in_channels": channels, "out_channels": channels}
    recorder.add(
        kind, op, operand, output,
        **shape, batch=batch, in_positions=positions, out_positions=positions,
    )  # fmt: skip


class _EmbeddingRule(LeafRule):
    """Reads the rows that are looked up, not the table."""

    def record(
        self, recorder: Recorder, module: nn.Module, operand: Tensor, output: Tensor
    ) -> None:
        fields = {**_weights(module), "weight_elements": output.numel()}
        if isinstance(module, nn.EmbeddingBag):
            fields["weight_elements"] = operand.numel() * module.embedding_dim
        recorder.add(self.kind, type(module).__name__, operand, output, channel_axis=-1, **fields)


class _RecurrentRule(LeafRule):
    """One record a layer and direction (and one for a cell)."""

    def record(
        self, recorder: Recorder, module: nn.Module, operand: Tensor, output: Tensor
    ) -> None:
        for suffix in _recurrent_suffixes(module):
            fields = _recurrent_layer(module, suffix, prod(operand.shape[:-1]))
            recorder.add(self.kind, type(module).__name__, operand, output, **fields)


def _recurrent_suffixes(module: Any) -> list[str]:
    """What torch appends to the weight names of each layer and direction."""
    if isinstance(module, nn.RNNCellBase):
        return [""]
    directions = ["", "_reverse"] if module.bidirectional else [""]
    return [
        f"_l{layer}{direction}" for layer in range(module.num_layers) for direction in directions
    ]


def _recurrent_layer(module: Any, suffix: str, steps: int) -> Fields:
    """Record fields of one layer in one direction, run for steps x batch vectors."""
    input_weight = getattr(module, "weight_ih" + suffix)
    hidden_weight = getattr(module, "weight_hh" + suffix)
    projection = getattr(module, "weight_hr" + suffix, None)
    bias = getattr(module, "bias_ih" + suffix, None)
    weights = [input_weight, hidden_weight] + ([] if projection is None else [projection])
    state_size = hidden_weight.shape[1]
    return {
        "batch": steps,
        "in_channels": input_weight.shape[1],
        "in_positions": 1,
        "out_channels": state_size,
        "out_positions": 1,
        "extra_elements": steps * state_size,
        "weight_elements": sum(weight.numel() for weight in weights),
        "weight_bits": 8 * input_weight.itemsize,
        "weight_item_bytes": input_weight.itemsize,
        "bias_elements": 0 if bias is None else 2 * bias.numel(),
        "kernel": (module.hidden_size, 1, 1),
    }


def _per_rank(template: str, kind: str, fields: Callable[[Any], Fields]) -> dict[type, LeafRule]:
    """Rules of a family with a class a rank, e.g. "Conv{}d"."""
    return {
        getattr(nn, template.format(rank)): LeafRule(kind, 1, rank + 2, fields)
        for rank in (1, 2, 3)
        if hasattr(nn, template.format(rank))
    }


def _pools(template: str, kind: str) -> dict[type, LeafRule]:
    return {
        getattr(nn, template.format(rank)): LeafRule(kind, 1, rank + 2, _pool(rank))
        for rank in (1, 2, 3)
        if hasattr(nn, template.format(rank))
    }


_ACTIVATIONS = {
    "relu": (nn.ReLU, nn.ReLU6),
    "leaky_relu": (nn.LeakyReLU, nn.RReLU),
    "elu": (nn.ELU,),
    "selu": (nn.SELU,),
    "celu": (nn.CELU,),
    "hardtanh": (nn.Hardtanh,),
    "hardsigmoid": (nn.Hardsigmoid,),
    "hardswish": (nn.Hardswish,),
    "sigmoid": (nn.Sigmoid,),
    "tanh": (nn.Tanh,),
    "silu": (nn.SiLU,),
    "gelu": (nn.GELU,),
    "softplus": (nn.Softplus,),
    "mish": (nn.Mish,),
    "log_sigmoid": (nn.LogSigmoid,),
    "softsign": (nn.Softsign,),
    "tanhshrink": (nn.Tanhshrink,),
    "shrink": (nn.Softshrink, nn.Hardshrink),
    "threshold": (nn.Threshold,),
    "dropout": (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout,
                nn.FeatureAlphaDropout),
}  # fmt: skip

LEAF_RULES: dict[type, LeafRule] = {
    **_per_rank("Conv{}d", "conv", _conv),
    **_per_rank("ConvTranspose{}d", "conv_transpose", _conv_transpose),
    nn.Linear: LeafRule("linear", -1, 0, _weights),
    **{
        getattr(nn, f"BatchNorm{rank}d"): LeafRule("batch_norm", 1, 0, _batch_norm)
        for rank in (1, 2, 3)
    },
    nn.SyncBatchNorm: LeafRule("batch_norm", 1, 0, _batch_norm),
    **{
        getattr(nn, f"InstanceNorm{rank}d"): LeafRule("instance_norm", 1, rank + 2, _weights)
        for rank in (1, 2, 3)
    },
    nn.GroupNorm: LeafRule("group_norm", 1, 0, _weights),
    nn.LayerNorm: LeafRule("layer_norm", -1, 0, _weights),
    nn.RMSNorm: LeafRule("rms_norm", -1, 0, _weights),
    nn.LocalResponseNorm: LeafRule("local_response_norm", 1, 0, _local_response),
    **_pools("MaxPool{}d", "max_pool"),
    **_pools("AvgPool{}d", "avg_pool"),
    **_pools("LPPool{}d", "lp_pool"),
    **_per_rank("AdaptiveAvgPool{}d", "adaptive_avg_pool", _nothing),
    **_per_rank("AdaptiveMaxPool{}d", "adaptive_max_pool", _nothing),
    nn.Upsample: _UpsampleRule("upsample_nearest"),
    nn.UpsamplingNearest2d: _UpsampleRule("upsample_nearest"),
    nn.UpsamplingBilinear2d: _UpsampleRule("upsample_linear"),
    **{cls: LeafRule(kind) for kind, classes in _ACTIVATIONS.items() for cls in classes},
    nn.PReLU: LeafRule("prelu", 1, 0, _weights),
    nn.GLU: LeafRule("glu", 1),
    nn.Softmax: _SoftmaxRule("softmax"),
    nn.Softmin: _SoftmaxRule("softmax"),
    nn.LogSoftmax: _SoftmaxRule("log_softmax"),
    nn.Embedding: _EmbeddingRule("embedding"),
    nn.EmbeddingBag: _EmbeddingRule("embedding"),
    **{
        cls: _RecurrentRule(kind)
        for kind, classes in {
            "rnn": (nn.RNN, nn.RNNCell),
            "lstm": (nn.LSTM, nn.LSTMCell),
            "gru": (nn.GRU, nn.GRUCell),
        }.items()
        for cls in classes
    },
    nn.Identity: LeafRule("identity", views=True),
    nn.Flatten: LeafRule("identity", views=True),
    nn.Unflatten: LeafRule("identity", views=True),
    nn.PixelShuffle: LeafRule("move"),
    nn.PixelUnshuffle: LeafRule("move"),
    nn.ChannelShuffle: LeafRule("move"),
}
"""Exact class -> rule; subclasses that keep the class's forward count too."""

LEAF_BASES = (
    nn.modules.conv._ConvNd,
    nn.Linear,
    nn.Bilinear,
    nn.modules.batchnorm._NormBase,
    nn.GroupNorm,
    nn.LayerNorm,
    nn.RMSNorm,
    nn.LocalResponseNorm,
    nn.Embedding,
    nn.EmbeddingBag,
    nn.RNNBase,
    nn.RNNCellBase,
)
"""Subclasses of these are leaves whatever they contain."""


def leaf_rule(module: nn.Module) -> LeafRule | None:
    """The rule of the module's class, or of the torch class whose forward it keeps."""
    cls = type(module)
    rule = LEAF_RULES.get(cls)
    if rule is None and isinstance(module, LEAF_BASES):
        for base in cls.__mro__[1:]:
            if base in LEAF_RULES and cls.forward is base.forward:  # type: ignore[attr-defined]
                return LEAF_RULES[base]
    return rule
