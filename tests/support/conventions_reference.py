"""The published conventions in slow, plain Python, to hold bopscount.conventions against.

Written from the table of conventions in use, layer by layer; a layer is a mapping of the
fields of `struct Layer`, as in reference.py, and owns its own parameters.
"""

from fractions import Fraction
from math import log2, prod

from support.reference import is_low_bit, layer_costs

LAYERS = ("conv", "conv_transpose", "linear")
NORMS_AND_POOLING = (
    "batch_norm",
    "layer_norm",
    "group_norm",
    "instance_norm",
    "adaptive_avg_pool",
    "upsample_nearest",
    "upsample_linear",
    "grid_sample",
)
RECURRENT = ("rnn", "lstm", "gru")
MAC_KINDS = (*LAYERS, "bilinear", "matmul", "attention", *RECURRENT, "distance")


def macs(f):
    return layer_costs(f, "full")["macs"]


def bits(f, operand):
    return f[f"{operand}_bits"] if f[f"{operand}_bits_source"] else 32


def product(f, count=None):
    return (macs(f) if count is None else count) * bits(f, "weight") * bits(f, "input")


def low(f):
    return f["kind"] in MAC_KINDS and is_low_bit(f)


def binary(f):
    return low(f) and bits(f, "weight") == bits(f, "input") == 1


def is_layer(f):
    return f["kind"] in LAYERS


def outputs(f):
    return f["calls"] * f["batch"] * f["out_channels"] * f["out_positions"]


def fan_in(f):
    return f["in_channels"] // f["groups"] * prod(f["kernel"])


def ops(net):
    return float(sum(Fraction(product(f), 64) if low(f) else macs(f) for f in net))


def reactnet(net):
    return ops([f for f in net if is_layer(f)])


def bmxnet(net):
    products = [f for f in net if f["kind"] in MAC_KINDS]
    last = products[-1] if products and products[-1]["kind"] == "linear" else None
    return ops([f for f in net if is_layer(f) and f is not last])


def torchstat(net):
    costs = [layer_costs(f, "torchstat") for f in net]
    return {name.capitalize(): sum(cost[name] for cost in costs) for name in ("bops", "flops")}


def extras(net):
    return sum(layer_costs(f, "full")["flops"] for f in net if f["kind"] in NORMS_AND_POOLING)


def bit32(net):
    return float(sum(Fraction(macs(f) * bits(f, "weight"), 32) for f in net) + extras(net))


def split2(net):
    sums = {"binary": 0, "integer": 0, "float": 0}
    for f in net:
        name = "binary" if binary(f) else "integer" if low(f) else "float"
        sums[name] += 2 * macs(f)
    return sums


def bnext(net):
    total = Fraction(0)
    for f in net:
        if binary(f):
            total += Fraction(macs(f), 64)
        elif low(f) and bits(f, "weight") <= 8 and bits(f, "input") <= 8:
            total += Fraction(macs(f), 8)
        else:
            total += macs(f)
    return float(total)


def product_of_all(net):
    return sum(product(f) for f in net)


def product_low_bit(net):
    return sum(product(f) for f in net if low(f))


def mct(net):
    total = 0
    for f in net:
        if f["kind"] == "conv_transpose":
            total += product(f, outputs(f) * fan_in(f))
        elif is_layer(f):
            total += product(f)
    return total


def nonzero_macs(f):
    looked = is_layer(f) and f["nonzero_weights"] >= 0 and f["weight_elements"] > 0
    return macs(f) * f["nonzero_weights"] // f["weight_elements"] if looked else macs(f)


def bayesian_bits(net):
    """Here the first MAC op is the one on the network's input."""
    total = baseline = 0
    found_input = False
    for f in net:
        if f["kind"] not in MAC_KINDS:
            continue
        inputs = bits(f, "input")
        if not found_input and inputs == 32:
            inputs = 8
        found_input = True
        total += nonzero_macs(f) * bits(f, "weight") * inputs
        baseline += 32 * 32 * macs(f)
    return float(Fraction(100 * total, baseline)) if baseline else 0.0


def accumulator(net):
    total = 0.0
    for f in net:
        if not macs(f):
            continue
        w, a = bits(f, "weight"), bits(f, "input")
        total += macs(f) * (w * a + w + a)
        if f["kind"] == "attention":
            rows = f["calls"] * f["batch"] * f["in_positions"] * prod(f["kernel"])
            total += rows * f["in_channels"] * log2(f["in_channels"] or 1)
            total += rows * f["out_channels"] * log2(f["kernel"][0])
        elif f["kind"] in RECURRENT:
            total += macs(f) * log2(f["in_channels"] + f["out_channels"])
        else:
            total += macs(f) * log2(fan_in(f))
    return total


def sparse_product(net):
    return sum(product(f, nonzero_macs(f)) for f in net)


def max_bits(net):
    sums = {}
    for f in net:
        if is_layer(f):
            width = max(bits(f, "weight"), bits(f, "input"))
            sums[width] = sums.get(width, 0) + macs(f)
    return {f"{width}-bit": sums[width] for width in sorted(sums)}


def all_macs(net):
    return sum(macs(f) for f in net)


def biases(net, kinds):
    total = 0
    for f in net:
        if f["kind"] in kinds and f["bias_elements"]:
            recurrent = f["calls"] * f["batch"] * f["bias_elements"]
            total += recurrent if f["kind"] in RECURRENT else outputs(f)
    return total


def all_bias(net):
    return all_macs(net) + biases(net, (*LAYERS, "bilinear", "matmul", *RECURRENT))


def own_weight(f):
    """Elements of a weight that is among the layer's own parameters."""
    has_weight = f["kind"] in MAC_KINDS and f["kind"] != "attention"
    fits = 0 < f["weight_elements"] <= f["logical_params"]
    return f["weight_elements"] if has_weight and fits else 0


def fused(net, values_of_a_norm):
    """(bits, values) with so many values a channel of a batch norm."""
    total = values = 0
    for f in net:
        weight = own_weight(f) if bits(f, "weight") < 32 else 0
        total += weight * bits(f, "weight") + 32 * (f["logical_params"] - weight)
        values += f["logical_params"]
        if f["kind"] == "batch_norm":
            # An affine one has two values a channel among its parameters.
            further = values_of_a_norm - (2 if f["weight_elements"] else 0)
            if not f["weight_elements"]:
                further = 2
            total += 32 * further * f["in_channels"]
            values += further * f["in_channels"]
    return total, values


def mebibytes(count):
    return float(Fraction(count, 8 * 2**20))


def weights_only(net):
    return mebibytes(sum(own_weight(f) * bits(f, "weight") for f in net if is_layer(f)))


REFERENCE = {
    "reactnet": reactnet,
    "bmxnet": bmxnet,
    "torchstat": torchstat,
    "bit32": bit32,
    "split2": split2,
    "bnext": bnext,
    "product": product_of_all,
    "product_low_bit": product_low_bit,
    "mct": mct,
    "bayesian_bits": bayesian_bits,
    "accumulator": accumulator,
    "sparse_product": sparse_product,
    "max_bits": max_bits,
    "macs": all_macs,
    "fvcore": lambda net: all_macs(net) + extras(net),
    "fc_bias": lambda net: all_macs(net) + biases(net, ("linear",)),
    "all_bias": all_bias,
    "two_per_mac": lambda net: 2 * all_macs(net),
    "mib_fused": lambda net: mebibytes(fused(net, 2)[0]),
    "mib_raw": lambda net: mebibytes(fused(net, 4)[0]),
    "weights_only": weights_only,
}
