"""A slow, obvious cost model in plain Python ints, to hold the C++ core against.

Written from docs/counting.md and the op table's descriptions, not from the code in csrc;
matters of taste follow the op table. A record is a mapping of
the fields of `struct Layer`, its `kind` a name.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from math import prod

METRICS = (
    "params",
    "logical_params",
    "macs",
    "flops",
    "madd",
    "bops",
    "ops_x64",
    "memory_bytes",
    "mem_read",
    "mem_write",
)
FUNCTIONAL, MASKED, UNMOVED = 1, 16, 64  # of LayerFlag
LARGEST = 2**63 - 1

# The fields that costs follow from, at the defaults of `struct Layer`.
DEFAULTS = {
    "kind": "invalid",
    "calls": 1,
    "params": 0,
    "logical_params": 0,
    "batch": 1,
    "in_channels": 1,
    "in_positions": 1,
    "out_channels": 1,
    "out_positions": 1,
    "groups": 1,
    "weight_elements": 0,
    "bias_elements": 0,
    "extra_elements": 0,
    "kernel": (1, 1, 1),
    "flags": 0,
    "input_bits": 32,
    "weight_bits": 32,
    "output_bits": 32,
    "input_bits_source": 0,
    "weight_bits_source": 0,
    "input_item_bytes": 4,
    "weight_item_bytes": 4,
}


@dataclass(frozen=True)
class Sizes:
    """What one call handles: element counts, and the macs that follow from them."""

    batch: int
    inputs: int
    outputs: int
    in_channels: int
    out_channels: int
    rows: int  # batch x positions of the input: vectors along the channels
    kernel: int
    weights: int  # elements of weight and bias
    has_weight: bool
    has_bias: bool
    masked: bool
    macs: int

    @property
    def channels(self) -> int:
        return self.in_channels

    @property
    def biases(self) -> int:
        return self.outputs if self.has_bias else 0

    @property
    def scaled_inputs(self) -> int:
        return self.inputs if self.has_weight else 0

    @property
    def window(self) -> int:
        return self.outputs * self.kernel

    @property
    def scores(self) -> int:
        return self.rows * self.kernel

    @property
    def scatter(self) -> int:
        return self.rows * self.out_channels

    @property
    def scatter_bias(self) -> int:
        return self.scatter if self.has_bias else 0

    @property
    def biased_scores(self) -> int:
        return self.scores if self.has_bias else 0

    @property
    def masked_scores(self) -> int:
        return self.scores if self.masked else 0


def sizes_of(fields: Mapping, macs: int = 0) -> Sizes:
    f = fields
    return Sizes(
        batch=f["batch"],
        inputs=f["batch"] * f["in_channels"] * f["in_positions"],
        outputs=f["batch"] * f["out_channels"] * f["out_positions"],
        in_channels=f["in_channels"],
        out_channels=f["out_channels"],
        rows=f["batch"] * f["in_positions"],
        kernel=prod(f["kernel"]),
        weights=f["weight_elements"] + f["bias_elements"],
        has_weight=f["weight_elements"] > 0,
        has_bias=f["bias_elements"] > 0,
        masked=bool(f["flags"] & MASKED),
        macs=macs,
    )


def macs_of(fields: Mapping, s: Sizes) -> int | None:
    """Multiply-accumulates of one call; None for kinds that have none by nature."""
    match fields["kind"]:
        case "conv" | "linear" | "bilinear" | "matmul" | "distance":
            return s.outputs * (s.in_channels // fields["groups"]) * s.kernel
        case "conv_transpose":
            return s.inputs * (s.out_channels // fields["groups"]) * s.kernel
        case "attention":
            return s.scores * s.in_channels + s.scores * s.out_channels
        case "rnn" | "lstm" | "gru":
            return s.batch * fields["weight_elements"]
    return None


def dot_products(s: Sizes) -> tuple[int, int]:
    """One product fewer addition per output, and one addition for its bias."""
    return s.macs + s.biases, 2 * s.macs - s.outputs + s.biases


def scattered(s: Sizes) -> tuple[int, int]:
    """A transposed convolution counts additions over input positions."""
    return s.macs + s.biases, 2 * s.macs - s.scatter + s.scatter_bias


def attention(s: Sizes) -> tuple[int, int]:
    """Scale, exponential, sum, divide: four a score less one a row; one more for a mask."""
    others = 4 * s.scores - s.rows + s.masked_scores
    return s.macs + others, 2 * s.macs - s.scores - s.outputs + others


def recurrent(gates: int, pointwise: int) -> Callable[[Sizes], tuple[int, int]]:
    """Two products and two biases a gate, then pointwise operations a hidden unit."""

    def cost(s: Sizes) -> tuple[int, int]:
        others = pointwise * s.scores + 2 * gates * s.biased_scores
        return s.macs + others, 2 * s.macs - 2 * gates * s.scores + others

    return cost


def per_input(n: int) -> Callable[[Sizes], tuple[int, int]]:
    return lambda s: (n * s.inputs, n * s.inputs)


def per_output(n: int) -> Callable[[Sizes], tuple[int, int]]:
    return lambda s: (n * s.outputs, n * s.outputs)


def both(cost: Callable[[Sizes], int]) -> Callable[[Sizes], tuple[int, int]]:
    """Every operation is one flop and one of madd."""
    return lambda s: (cost(s), cost(s))


nothing = both(lambda s: 0)


def norm(s: Sizes) -> tuple[int, int]:
    """fvcore's flops; madd: mean, subtract, square, sum, divide; weight and bias."""
    return 4 * s.inputs + s.scaled_inputs, 5 * s.inputs + 2 * s.scaled_inputs


def batch_norm(s: Sizes) -> tuple[int, int]:
    """fvcore's flops; madd: subtract and divide; weight and bias."""
    return s.inputs + s.scaled_inputs, 2 * s.inputs + 2 * s.scaled_inputs


# Flops and madd of one call under the complete rules.
FULL: dict[str, Callable[[Sizes], tuple[int, int]]] = {
    "invalid": nothing,
    "uncalled": nothing,
    "parameters": nothing,
    "uncounted": nothing,
    "conv": dot_products,
    "conv_transpose": scattered,
    "linear": dot_products,
    "bilinear": dot_products,
    "matmul": dot_products,
    "attention": attention,
    "rnn": recurrent(gates=1, pointwise=2),
    "lstm": recurrent(gates=4, pointwise=22),
    "gru": recurrent(gates=3, pointwise=17),
    "quantize": per_output(3),
    "embedding": nothing,
    "batch_norm": batch_norm,
    "layer_norm": norm,
    "group_norm": norm,
    "instance_norm": norm,
    "rms_norm": both(lambda s: 3 * s.inputs + s.scaled_inputs),
    "local_response_norm": both(lambda s: 5 * s.outputs + s.window),
    "normalize": per_input(3),
    "max_pool": both(lambda s: s.window - s.outputs),
    "avg_pool": both(lambda s: s.window),
    "lp_pool": both(lambda s: 2 * s.window),
    "adaptive_avg_pool": per_input(1),
    "adaptive_max_pool": per_input(1),
    "upsample_nearest": per_output(1),
    "upsample_linear": lambda s: (4 * s.outputs, 7 * s.outputs),
    "upsample_cubic": lambda s: (16 * s.outputs, 31 * s.outputs),
    "grid_sample": lambda s: (4 * s.outputs, 7 * s.outputs),
    "relu": per_input(1),
    "prelu": per_input(1),
    "leaky_relu": per_input(1),
    "elu": per_input(3),
    "selu": per_output(4),
    "celu": per_output(4),
    "hardtanh": per_output(2),
    "hardsigmoid": per_output(4),
    "hardswish": per_output(5),
    "sigmoid": per_output(4),
    "tanh": per_output(1),
    "silu": per_output(5),
    "gelu": per_output(5),
    "softplus": per_output(3),
    "mish": per_output(5),
    "log_sigmoid": per_output(5),
    "softsign": per_output(3),
    "tanhshrink": per_output(2),
    "shrink": per_output(2),
    "threshold": per_output(1),
    "glu": per_output(5),
    "softmax": both(lambda s: 3 * s.inputs - s.rows),
    "log_softmax": per_input(3),
    "dropout": nothing,
    "identity": nothing,
    "elementwise": per_output(1),
    "reduce": per_input(1),
    "variance": per_input(4),
    "cumulative": per_output(1),
    "distance": lambda s: (2 * s.macs + s.outputs, 3 * s.macs),
    "move": nothing,
}


def simple_activation(s: Sizes) -> dict[str, int]:
    return {"flops": s.inputs, "madd": 0, "read": s.inputs + s.weights, "write": s.inputs}


def all_zero(s: Sizes) -> dict[str, int]:
    return {"flops": 0, "madd": 0, "read": 0, "write": 0}


# The torchstat rules, column by column; a column left out follows the complete rules.
TORCHSTAT: dict[str, Callable[[Sizes], dict[str, int]]] = {
    "conv": lambda s: {
        "flops": s.macs + s.biases,
        "madd": 2 * s.macs - s.outputs + s.biases,
        "read": s.inputs + s.weights,
        "write": s.outputs,
    },
    "linear": lambda s: {
        "flops": s.macs,
        "madd": 2 * s.macs - s.outputs,
        "read": s.inputs + s.weights,
        "write": s.outputs,
    },
    "batch_norm": lambda s: {
        "flops": s.inputs + s.scaled_inputs,
        "madd": 4 * s.inputs,
        "read": s.inputs + 2 * s.in_channels,
        "write": s.inputs,
    },
    "max_pool": lambda s: {
        "flops": s.inputs,
        "madd": s.window - s.outputs,
        "read": s.inputs,
        "write": s.outputs,
    },
    "avg_pool": lambda s: {
        "flops": s.inputs,
        "madd": s.window,
        "read": s.inputs,
        "write": s.outputs,
    },
    "relu": lambda s: {"flops": s.inputs, "madd": s.inputs, "read": s.inputs, "write": s.inputs},
    "prelu": simple_activation,
    "elu": simple_activation,
    "leaky_relu": simple_activation,
    "softmax": lambda s: {"madd": 3 * s.inputs - s.batch},
    "conv_transpose": lambda s: {"madd": scattered(s)[1]},
    "upsample_nearest": lambda s: {"flops": s.outputs},
    "upsample_linear": lambda s: {"flops": s.outputs},
    "upsample_cubic": lambda s: {"flops": s.outputs},
    "adaptive_avg_pool": all_zero,
    "dropout": all_zero,
    "identity": all_zero,
}

UNMOVED_KINDS = ("invalid", "uncalled", "parameters", "dropout", "identity")


def bytes_of(bits: int) -> int:
    return -(-bits // 8)


def full_traffic(fields: Mapping, s: Sizes) -> tuple[int, int]:
    """Bytes read and written: every operand once, at its true width."""
    f = fields
    if f["kind"] in UNMOVED_KINDS or f["flags"] & UNMOVED:
        return 0, 0
    read = (s.inputs + f["extra_elements"]) * f["input_bits"]
    read += f["weight_elements"] * f["weight_bits"]
    read += f["bias_elements"] * 8 * f["weight_item_bytes"]
    return bytes_of(read), bytes_of(s.outputs * f["output_bits"])


def is_low_bit(fields: Mapping) -> bool:
    f = fields
    quantised = f["input_bits_source"] != 0 and f["weight_bits_source"] != 0
    return quantised and f["input_bits"] <= 16 and f["weight_bits"] <= 16


def call_costs(fields: Mapping, rules: str) -> dict[str, int]:
    """Costs of one call: every metric but the parameters."""
    kind = fields["kind"]
    torchstat = rules == "torchstat"
    s = sizes_of(fields)
    macs = macs_of(fields, s)
    costs = dict.fromkeys(METRICS[2:], 0)
    if macs is None and torchstat and fields["flags"] & FUNCTIONAL:
        return costs

    s = replace(s, macs=macs or 0)
    costs["macs"] = s.macs
    costs["ops_x64"] = 64 * s.macs
    costs["memory_bytes"] = 4 * s.outputs
    costs["flops"], costs["madd"] = FULL[kind](s)
    costs["mem_read"], costs["mem_write"] = full_traffic(fields, s)

    if macs is not None and is_low_bit(fields):
        bits = fields["weight_bits"], fields["input_bits"]
        costs["bops"] = costs["ops_x64"] = macs * bits[0] * bits[1]
        costs["flops"] = costs["madd"] = FULL[kind](replace(s, macs=0))[0]
        if torchstat and kind == "conv" and bits == (1, 1):
            costs |= {"flops": 0, "madd": 0, "mem_read": 0, "mem_write": 0}
    elif kind == "quantize" and fields["output_bits"] == 1:
        costs |= {"bops": s.outputs, "flops": 0, "madd": 0}
        if torchstat:
            costs |= {"mem_read": 0, "mem_write": 0}
    elif torchstat and kind in TORCHSTAT:
        columns = TORCHSTAT[kind](s)
        for name in ("flops", "madd"):
            costs[name] = columns.get(name, costs[name])
        for name in ("read", "write"):
            if name in columns:
                costs[f"mem_{name}"] = columns[name] * fields["input_item_bytes"]
    return costs


def layer_costs(fields: Mapping, rules: str) -> dict[str, int]:
    """Costs of one record; OverflowError where one does not fit in 63 bits."""
    costs = {"params": fields["params"], "logical_params": fields["logical_params"]}
    for metric, value in call_costs(fields, rules).items():
        costs[metric] = max(value, 0) * fields["calls"]
    for metric, value in costs.items():
        if value > LARGEST:
            raise OverflowError(f"{metric} is {value}, over 2**63 - 1")
    return costs


def totals(list_of_fields: list[Mapping], rules: str) -> dict[str, int]:
    """Sums over all records, of any size."""
    each = [layer_costs(fields, rules) for fields in list_of_fields]
    return {metric: sum(costs[metric] for costs in each) for metric in METRICS}
