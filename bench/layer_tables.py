"""Random valid tables of layers that look like real networks.

A table is a run of motifs (a residual block, a transformer block, ...), so kinds follow
each other as they do in networks, and every layer has sizes of its own. A share
of STRAY_SHARE has a kind drawn from all of them. Same seed, same table.
"""

from __future__ import annotations

import numpy as np

from bopscount import _core

KINDS: dict[str, int] = _core.KINDS
STRAY_SHARE = 0.02
_BLOCK = 1 << 17

_COUNTABLE = np.array([kind for name, kind in KINDS.items() if name != "invalid"], np.uint16)
_SOURCE_USER = _core.BIT_SOURCES["user"]

# A step of a motif is a kind; "name/variant" where its sizes need a hint:
#   pointwise (kernel 1), depthwise, strided, binary (1 x 1 bit), int8, functional.
MOTIFS = (
    # a ResNet bottleneck
    "conv/pointwise batch_norm relu conv batch_norm relu conv/pointwise batch_norm "
    "elementwise/functional relu",
    # a basic block with a downsampling branch
    "conv/strided batch_norm relu conv batch_norm conv/strided batch_norm "
    "elementwise/functional relu",
    # an inverted residual
    "conv/pointwise batch_norm hardswish conv/depthwise batch_norm hardswish "
    "conv/pointwise batch_norm",
    # a binary block, an integer block
    "quantize/binary conv/binary batch_norm prelu",
    "quantize/int8 conv/int8 relu quantize/int8 linear/int8",
    # VGG with its pooling, a DenseNet transition
    "conv relu conv relu max_pool",
    "avg_pool conv/pointwise batch_norm relu",
    # transformer blocks, without and with a fused attention
    "layer_norm linear linear linear matmul/functional softmax matmul/functional linear "
    "elementwise/functional layer_norm linear gelu linear dropout elementwise/functional",
    "rms_norm linear attention/functional linear elementwise/functional rms_norm linear silu "
    "linear elementwise/functional",
    # heads and the rest
    "adaptive_avg_pool dropout linear",
    "upsample_nearest move/functional conv group_norm silu",
    "embedding lstm linear",
    "conv_transpose batch_norm leaky_relu",
)

# Steps as columns, so that a table's steps are one fancy index away.
_steps = [step.partition("/") for motif in MOTIFS for step in motif.split()]
_STEP_KIND = np.array([KINDS[name] for name, _, _ in _steps], np.uint16)
_STEP_VARIANT = np.array([variant for _, _, variant in _steps])
_MOTIF_LENGTH = np.array([len(motif.split()) for motif in MOTIFS])
_MOTIF_START = np.cumsum(_MOTIF_LENGTH) - _MOTIF_LENGTH


def _random_steps(n_layers: int, random: np.random.Generator) -> np.ndarray:
    """Indices into the step columns: whole motifs, cut at n_layers."""
    n_motifs = n_layers // int(_MOTIF_LENGTH.min()) + 1
    motif = random.integers(len(MOTIFS), size=n_motifs)
    length = _MOTIF_LENGTH[motif]
    end = np.cumsum(length)
    motif = motif[: np.searchsorted(end, n_layers) + 1]
    length, end = length[: motif.size], end[: motif.size]
    within = np.arange(end[-1]) - np.repeat(end - length, length)
    return (np.repeat(_MOTIF_START[motif], length) + within)[:n_layers]


class _Block:
    """Fills some records: each method sets the fields that it is named for."""

    def __init__(self, layers: np.ndarray, random: np.random.Generator, in_motifs: bool) -> None:
        self.layers, self.random, self.n = layers, random, layers.size
        self.kind, self.variant = self._random_kinds(in_motifs)
        self.functional = self.variant == "functional"
        self.is_conv = self._is("conv", "conv_transpose")
        self.is_dense = self._is("linear", "bilinear", "matmul")
        self.is_recurrent = self._is("rnn", "lstm", "gru")
        self.is_attention = self._is("attention")
        self.is_pool = self._is("max_pool", "avg_pool", "lp_pool")

    def fill(self) -> None:
        self.layers["kind"] = self.kind
        self.layers["owner"] = np.arange(self.n) // 2
        uncalled = self._is("uncalled", "parameters")
        self.layers["calls"] = np.where(uncalled, 0, self._choice(1, 1, 1, 1, 1, 2))
        self.layers["batch"] = self._choice(1, 1, 1, 2, 8, 32)
        self.set_channels()
        self.set_windows()
        self.set_positions()
        self.set_operands()
        self.set_flags()
        self.set_widths()

    def set_channels(self) -> None:
        inputs, outputs = self._sizes(), self._sizes()
        outputs = np.where(self.is_conv | self.is_dense, outputs, inputs)
        groups = np.where(self.is_conv, self._choice(1, 1, 1, 1, 1, 1, 2, 4), 1)
        depthwise = self.is_conv & (self.variant == "depthwise")
        outputs[depthwise] = groups[depthwise] = inputs[depthwise]
        self.layers["in_channels"], self.layers["out_channels"] = inputs, outputs
        self.layers["groups"] = groups

    def set_windows(self) -> None:
        sides = np.where(self.variant == "pointwise", 1, self._choice(3, 3, 3, 5, 7))
        sides = np.where(self.is_pool, self._choice(2, 3), sides)
        sides[~(self.is_conv | self.is_pool)] = 1
        kernel = self.layers["kernel"]
        kernel[:, :2] = sides[:, None]
        self.layers["padding"][:, :2] = (sides // 2)[:, None]
        keys_or_hidden = self.is_attention | self.is_recurrent
        kernel[keys_or_hidden, 0] = self._sizes()[keys_or_hidden]

    def set_positions(self) -> None:
        side = self.random.integers(4, 113, size=self.n)
        stride = np.where(self.is_pool | (self.variant == "strided"), 2, 1)
        out_side = -(-side // stride)
        doubled = self._is("upsample_nearest", "upsample_linear", "upsample_cubic")
        out_side[doubled] = 2 * side[doubled]
        out_side[self._is("adaptive_avg_pool", "adaptive_max_pool")] = 1
        self.layers["stride"][:, :2] = stride[:, None]
        self.layers["in_positions"], self.layers["out_positions"] = side**2, out_side**2

    def set_operands(self) -> None:
        layers = self.layers
        inputs, outputs = layers["in_channels"], layers["out_channels"]
        window = layers["kernel"][:, 0].astype(np.int64) * layers["kernel"][:, 1]
        norms = ("batch_norm", "layer_norm", "group_norm", "instance_norm", "rms_norm")
        affine = self._is(*norms) & self._chance(0.9)
        weights = np.zeros(self.n, np.int64)
        for where, size in (
            (self.is_conv | self.is_dense, inputs // layers["groups"] * outputs * window),
            (affine | self._is("prelu"), inputs),
            (self.is_recurrent, 8 * inputs * inputs),
            (self.is_attention, 2 * inputs * layers["in_positions"]),
        ):
            np.copyto(weights, size, where=where)
        may_have_bias = affine | self.is_conv | self.is_dense | self.is_recurrent
        biases = np.where(may_have_bias & self._chance(0.5), outputs, 0)
        layers["weight_elements"], layers["bias_elements"] = weights, biases
        layers["params"] = np.where(self.functional, 0, weights + biases)
        layers["logical_params"] = layers["params"]
        second = layers["batch"] * inputs * layers["in_positions"]
        layers["extra_elements"] = second * (self._is("elementwise") & self.functional)

    def set_flags(self) -> None:
        flags = _core.LAYER_FLAGS
        masked = self.is_attention & self._chance(0.5)
        unmoved = self._is("dropout", "identity")
        self.layers["flags"] = (
            self.functional * flags["functional"]
            + masked * flags["masked"]
            + unmoved * flags["unmoved"]
        )

    def set_widths(self) -> None:
        layers = self.layers
        low_bits = np.where(self.variant == "binary", 1, 8)
        low = (self.variant == "binary") | (self.variant == "int8")
        quantiser = self._is("quantize")
        is_half = self._chance(0.1)
        for operand, quantised in (
            ("input", low & ~quantiser),
            ("weight", low & ~quantiser),
            ("output", low & quantiser),
        ):
            layers[f"{operand}_item_bytes"] = np.where(is_half, 2, 4)
            float_bits = np.where(is_half, 16, 32)
            layers[f"{operand}_bits"] = np.where(quantised, low_bits, float_bits)
            layers[f"{operand}_bits_source"] = quantised * _SOURCE_USER

    def _random_kinds(self, in_motifs: bool) -> tuple[np.ndarray, np.ndarray]:
        if in_motifs:
            step = _random_steps(self.n, self.random)
            kind, variant = _STEP_KIND[step], _STEP_VARIANT[step]
            stray = self._chance(STRAY_SHARE)
            kind[stray] = self.random.choice(_COUNTABLE, int(stray.sum()))
            variant[stray] = ""
            return kind, variant
        variants = np.unique(_STEP_VARIANT)
        return (
            self.random.choice(_COUNTABLE, self.n),
            variants[self.random.integers(variants.size, size=self.n)],
        )

    def _is(self, *names: str) -> np.ndarray:
        return np.isin(self.kind, [KINDS[name] for name in names])

    def _choice(self, *values: int) -> np.ndarray:
        return np.array(values, np.int64)[self.random.integers(len(values), size=self.n)]

    def _chance(self, probability: float) -> np.ndarray:
        return self.random.random(self.n) < probability

    def _sizes(self) -> np.ndarray:
        """Channels, keys or hidden sizes: multiples of 8 up to 2,048."""
        return 8 * self.random.integers(1, 257, size=self.n)


def mixed_table(n_layers: int, seed: int = 0, *, in_motifs: bool = True) -> np.ndarray:
    """A table of `n_layers` records of `_core.LAYER_DTYPE`.

    `in_motifs=False` draws every record's kind from all kinds, independently: no network
    looks like that, and a branch predictor gets nothing from it.
    """
    layers = _core.new_layers(n_layers)
    random = np.random.default_rng(seed)
    for start in range(0, n_layers, _BLOCK):
        _Block(layers[start : start + _BLOCK], random, in_motifs).fill()
    return layers


def touched_costs(n_layers: int) -> np.ndarray:
    """An output for the costs of `n_layers`, every page of it written once."""
    costs = np.empty(n_layers, _core.COST_DTYPE)
    costs.view(np.int64).fill(-1)
    return costs
