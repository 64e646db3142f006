"""Evolutionary search over 100,000 binary networks under a budget of Bops.

The network: a stem, ten residual blocks of binary convolutions, each with its kernel and
number of branches, or left out. How good a candidate is, without training: the NASWOT score
(Mellor et al., "Neural architecture search without training", 2021), which says how well the
untrained network tells similar images apart, here per activation. It needs a forward pass, so
it is measured for a few candidates, and a linear model of the choices predicts it for the rest.
That is a proxy of a proxy on synthetic images: what is shown is the search.

    python examples/evolutionary_search.py
"""

import time

import numpy as np
import torch
from torch import nn

import bopscount

KERNELS = [(1,), (3,), (5,), (1, 3), (3, 5)]
N_BLOCKS, CHANNELS = 10, 16
INPUT_SIZE = (3, 16, 16)
BUDGET = 6_000_000


class BinaryConv(nn.Conv2d):
    """Binary weights and inputs, as the networks of XNOR-Net and after have them."""

    def forward(self, x):
        return self._conv_forward(x.sign(), self.weight.sign(), None)


bopscount.register_layer(BinaryConv, weight_bits=1, input_bits=1)


class Block(nn.Module):
    """x + the sum of its branches."""

    def __init__(self, kernels):
        super().__init__()
        self.branches = nn.ModuleList(
            nn.Sequential(
                BinaryConv(CHANNELS, CHANNELS, kernel, padding=kernel // 2, bias=False),
                nn.BatchNorm2d(CHANNELS),
            )
            for kernel in kernels
        )

    def forward(self, x):
        return x + sum(branch(x) for branch in self.branches)


def build_slots():
    torch.manual_seed(0)
    stem = nn.Sequential(nn.Conv2d(3, CHANNELS, 3, padding=1), nn.BatchNorm2d(CHANNELS))
    blocks = [[None, *map(Block, KERNELS)] for _ in range(N_BLOCKS)]
    return [[stem], *blocks, [nn.Sequential(nn.Flatten(), nn.Linear(CHANNELS * 256, 10))]]


@torch.no_grad()
def naswot(slots, choices, images):
    """log det of the share of activations whose signs each two images have in common."""
    x, agreeing, n_signs = images, torch.zeros(len(images), len(images)), 0
    for slot, choice in zip(slots[:-1], choices, strict=False):
        if slot[choice] is not None:
            x = slot[choice](x)
            signs = x.flatten(1).sign()
            agreeing += (signs @ signs.T + signs.shape[1]) / 2
            n_signs += signs.shape[1]
    return torch.linalg.slogdet(agreeing.double() / n_signs).logabsdet.item()


def fit(choices, scores, n_alternatives):
    """A function that predicts scores: a weight for each alternative of each slot."""
    offsets = np.cumsum([0, *n_alternatives[:-1]])
    one_hot = np.zeros((len(choices), sum(n_alternatives)))
    np.put_along_axis(one_hot, choices + offsets, 1, axis=1)
    gram = one_hot.T @ one_hot + np.eye(one_hot.shape[1])
    weights = np.linalg.solve(gram, one_hot.T @ (scores - scores.mean()))
    return lambda candidates: weights[candidates + offsets].sum(1) + scores.mean()


def children_of(parents, n_children, n_alternatives, rng):
    """Each has the slots of two parents, mixed, and about one of them drawn anew."""
    shape = n_children, len(n_alternatives)
    mothers, fathers = parents[rng.integers(len(parents), size=(2, n_children))]
    children = np.where(rng.random(shape) < 0.5, mothers, fathers)
    fresh = rng.integers(0, n_alternatives, shape).astype(children.dtype)
    return np.where(rng.random(shape) < 1 / N_BLOCKS, fresh, children)


def evolve(table, predict, budget, n_candidates, n_population, rng):
    """The last population, best first, after `n_candidates` in total."""
    population = table.sample(n_population, rng=rng, max_bops=budget)
    for _ in range(n_candidates // n_population - 1):
        parents = population[: n_population // 10]
        children = children_of(parents, n_population, table.n_alternatives, rng)
        children = children[table.count(children, "bops")["bops"] <= budget]
        both = np.unique(np.concatenate([population, children]), axis=0)
        population = both[np.argsort(-predict(both), kind="stable")[:n_population]]
    return population


def main(n_candidates=100_000, n_measured=400):
    torch.set_num_threads(1)  # more would only wait for each other on tensors this small
    slots, rng = build_slots(), np.random.default_rng(0)
    images = 3 * torch.randn(INPUT_SIZE) + torch.randn(24, *INPUT_SIZE)  # much alike
    table = bopscount.ChoiceTable.trace(slots, INPUT_SIZE)
    print(f"{table.n_candidates:,} candidates, {table.dearest('bops')[1]:,} Bops at most")

    measured = table.sample(n_measured, rng=rng, max_bops=BUDGET)
    scores = np.array([naswot(slots, choices, images) for choices in measured])
    half = n_measured // 2
    predicted = fit(measured[:half], scores[:half], table.n_alternatives)(measured[half:])
    correlation = np.corrcoef(predicted, scores[half:])[0, 1]
    print(f"{n_measured} scores measured; half of them predict the others: r = {correlation:.2f}")

    start = time.perf_counter()
    predict = fit(measured, scores, table.n_alternatives)
    best = evolve(table, predict, BUDGET, n_candidates, 2000, rng)[0]
    seconds = time.perf_counter() - start
    bops = table.count(best, "bops")["bops"].item()
    score = naswot(slots, best, images)
    print(f"{n_candidates:,} searched, {n_candidates / seconds:,.0f} a second\n")
    print(f"found   {bops:,} Bops of a budget of {BUDGET:,}")
    print(f"score   {score:.2f}, measured; best of {n_measured} at random {scores.max():.2f}")
    names = ["skip", *("+".join(f"{k}x{k}" for k in kernels) for kernels in KERNELS)]
    print("blocks ", " | ".join(names[choice] for choice in best[1:-1]))
    return slots, best, bops, score, scores


if __name__ == "__main__":
    main()
