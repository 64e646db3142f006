"""Mixed precision, solved exactly: which layer gets how many bits under a budget of Bops.

Each layer gets one pair of (weight bits, input bits). What a pair costs is exact; what it does
to the network is measured: the squared error of the network's outputs on synthetic inputs when
this layer alone is quantised so. The sum of these errors is what SciPy's solver makes least.
(The sum is the usual stand-in for what the network does when all layers are quantised
together, which is measured afterwards.)

    python examples/mixed_precision_milp.py
"""

from itertools import product
from math import gcd

import numpy as np
import torch
from scipy.optimize import Bounds, LinearConstraint, milp
from torch import nn

import bopscount

PAIRS = list(product((2, 3, 4, 6, 8), repeat=2))
INPUT_SIZE = (3, 16, 16)


def build_network():
    torch.manual_seed(0)
    layers, channels = [], 3
    for width, stride in ((16, 1), (16, 1), (32, 2), (32, 1), (64, 2)):
        layers += [nn.Conv2d(channels, width, 3, stride, 1), nn.BatchNorm2d(width), nn.ReLU()]
        channels = width
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(64 * 4 * 4, 10))


def quantise(values, bits):
    """The nearest of 2**bits - 1 levels, symmetric around zero."""
    top = 2 ** (bits - 1) - 1
    scale = values.abs().max() / top
    return (values / scale).round() * scale


@torch.no_grad()
def output_error(network, images, wanted, assignment):
    """What {path: (weight bits, input bits)} does to the outputs, relative to their variance."""
    undo = []
    for path, (weight_bits, input_bits) in assignment.items():
        layer = network.get_submodule(path)
        undo.append((layer, layer.weight.data))
        layer.weight.data = quantise(layer.weight.data, weight_bits)
        hook = layer.register_forward_pre_hook(lambda _, x, b=input_bits: quantise(x[0], b))
        undo.append((hook, None))
    error = (network(images) - wanted).square().mean() / wanted.var(0).mean()
    for changed, weight in undo:
        if weight is None:
            changed.remove()
        else:
            changed.weight.data = weight
    return error.item()


def pair_costs(table):
    """Bops of each layer with each pair, exactly: (n_layers, n_pairs)."""
    n_layers, n_pairs = len(table.mac_layers), len(PAIRS)
    # All other layers in full precision, which has Flops and no Bops.
    bits = np.full((2, n_layers, n_pairs, n_layers), 32, np.uint8)
    for layer in range(n_layers):
        bits[:, layer, :, layer] = np.transpose(PAIRS)
    weight_bits, input_bits = bits.reshape(2, -1, n_layers)
    return bopscount.count_batch(table, weight_bits, input_bits)["bops"].reshape(n_layers, n_pairs)


def assign(costs, errors, budget):
    """For each layer the number of its pair: least sum of errors, sum of costs <= budget."""
    # In units of their common divisor the costs are small whole numbers, so that the solver's
    # tolerance is far less than the smallest step over the budget.
    unit = gcd(*costs.ravel().tolist())
    one_each = np.kron(np.eye(len(costs)), np.ones(costs.shape[1]))
    solution = milp(
        errors.ravel() / errors.max(),
        integrality=np.ones(costs.size),
        bounds=Bounds(0, 1),
        constraints=[
            LinearConstraint(one_each, 1, 1),
            LinearConstraint(costs.reshape(1, -1) // unit, ub=budget // unit),
        ],
        options={"mip_rel_gap": 0},
    )
    if solution.x is None:
        raise SystemExit(f"no assignment within {budget:,} Bops: {solution.message}")
    return solution.x.reshape(costs.shape).argmax(1)


def main():
    torch.set_num_threads(1)  # more would only wait for each other on tensors this small
    network = build_network()
    images = torch.randn(32, *INPUT_SIZE)
    with torch.no_grad():
        network(images)  # moves the batch norms' statistics
        wanted = network.eval()(images)
    table = bopscount.trace(network, INPUT_SIZE)
    paths = table.mac_layers

    costs = pair_costs(table)
    errors = np.array(
        [[output_error(network, images, wanted, {path: pair}) for pair in PAIRS] for path in paths]
    )
    budget = int(costs[:, PAIRS.index((4, 4))].sum())
    best = assign(costs, errors, budget)

    found = {path: PAIRS[number] for path, number in zip(paths, best, strict=True)}
    print("layer  (weight, input) bits         Bops")
    for path, pair, cost in zip(paths, found.values(), costs[range(len(paths)), best], strict=True):
        print(f"{path:>5}  {pair!s:>20} {cost:>12,}")
    print(f"\n{'':13} {'Bops':>12} {'sum of errors':>14} {'error of all':>13}")
    results = {"found": found}
    for bits in (4, 8):
        results[f"all {bits} bits"] = dict.fromkeys(paths, (bits, bits))
    for name, pairs in results.items():
        bops = bopscount.count(table.with_bits(pairs)).totals.bops  # counted anew, not summed
        alone = sum(errors[row, PAIRS.index(pair)] for row, pair in enumerate(pairs.values()))
        together = output_error(network, images, wanted, pairs)
        print(f"{name:13} {bops:>12,} {alone:>14.5f} {together:>13.5f}")
    print(f"{'budget':13} {budget:>12,}")
    return network, found, budget


if __name__ == "__main__":
    main()
