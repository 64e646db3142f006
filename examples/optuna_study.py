"""An Optuna study with two objectives: accuracy of a quantised network against its Bops.

A trial chooses channels and the bits of each layer; the network is then really trained for a few
steps on synthetic images, with quantised weights and inputs, and tested on fresh ones. Its
Bops are those of the very module that was trained: `scan` reads the widths off the registered
class. What no other trial beats in both is printed: the Pareto front.

    python examples/optuna_study.py
"""

import math

import optuna
import torch
from torch import nn

import bopscount

INPUT_SIZE = (1, 12, 12)


def quantise(values, bits):
    """2**bits levels of equal distance; the gradient passes as if it had not been done."""
    step = 2 * values.detach().abs().mean() / math.sqrt(2**bits - 1)
    top = 2 ** (bits - 1) - 0.5
    levels = ((values / step - 0.5).round() + 0.5).clamp(-top, top) * step
    return values + (levels - values).detach()


class QuantConv(nn.Conv2d):
    """A 3x3 convolution with widths of its own for weights and inputs."""

    def __init__(self, n_inputs, n_outputs, stride, weight_bits, input_bits):
        super().__init__(n_inputs, n_outputs, 3, stride, 1, bias=False)
        self.weight_bits, self.input_bits = weight_bits, input_bits

    def forward(self, x):
        weight = quantise(self.weight, self.weight_bits)
        return self._conv_forward(quantise(x, self.input_bits), weight, None)


bopscount.register_layer(
    QuantConv, weight_bits=lambda m: m.weight_bits, input_bits=lambda m: m.input_bits
)


def build_network(channels, bits):
    """The first layer reads images of 8 bits; `bits` has a (weight, input) pair for the others."""
    layers = [QuantConv(1, channels, 1, 8, 8), nn.BatchNorm2d(channels), nn.Hardtanh()]
    for pair in bits:
        layers += [QuantConv(channels, channels, 2, *pair), nn.BatchNorm2d(channels), nn.Hardtanh()]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(9 * channels, 4))


def stripes(n):
    """Noisy stripes in one of four directions, which is the label."""
    labels = torch.randint(4, (n,))
    angle = (labels * math.pi / 4)[:, None, None]
    y, x = torch.meshgrid(torch.arange(12.0), torch.arange(12.0), indexing="ij")
    phase = 2 * math.pi * torch.rand(n, 1, 1)
    images = torch.sin(1.3 * (x * angle.cos() + y * angle.sin()) + phase)
    return (images + 0.4 * torch.randn(n, 12, 12))[:, None], labels


def train_and_test(network, n_steps):
    optimiser = torch.optim.Adam(network.parameters(), lr=0.02)
    for _ in range(n_steps):
        images, labels = stripes(32)
        optimiser.zero_grad()
        nn.functional.cross_entropy(network(images), labels).backward()
        optimiser.step()
    images, labels = stripes(1000)
    with torch.no_grad():
        return (network.eval()(images).argmax(1) == labels).float().mean().item()


def objective(trial, n_steps):
    channels = trial.suggest_categorical("channels", (4, 8, 16))
    bits = [
        tuple(trial.suggest_categorical(f"{of}{layer}", (1, 2, 4, 8)) for of in ("w", "a"))
        for layer in (1, 2)
    ]
    torch.manual_seed(0)
    network = build_network(channels, bits)
    bops = bopscount.scan(network, INPUT_SIZE).bops
    return train_and_test(network, n_steps), bops


def main(n_trials=30, n_steps=40):
    torch.set_num_threads(1)  # more would only wait for each other on tensors this small
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    sampler = optuna.samplers.NSGAIISampler(population_size=10, seed=0)
    study = optuna.create_study(directions=["maximize", "minimize"], sampler=sampler)
    study.optimize(lambda trial: objective(trial, n_steps), n_trials=n_trials)

    front = {tuple(trial.values): trial for trial in study.best_trials}
    print(f"{len(front)} of {n_trials} trials are on the Pareto front\n")
    print("accuracy        Bops  channels  w1a1  w2a2")
    for (accuracy, bops), trial in sorted(front.items()):
        chosen = trial.params
        bits = "  ".join(f"{chosen[f'w{layer}']}/{chosen[f'a{layer}']:<2}" for layer in (1, 2))
        print(f"{accuracy:8.1%} {int(bops):11,} {chosen['channels']:9}  {bits}")
    return study


if __name__ == "__main__":
    main()
