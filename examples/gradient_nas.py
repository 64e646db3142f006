"""Gradient NAS: bit widths of a small network learned together with its weights.

Every block holds one weight, quantised to each of several widths; a block's output is the mean
of the results, weighted by the softmax of its logits. Adam lowers

    cross entropy + STRENGTH * expected Bops / Bops of the dearest candidate

over weights and logits at once; `ChoiceTable.expected` is the second term, exact and
differentiable. In the end each block keeps its likeliest width.

    python examples/gradient_nas.py
"""

import math

import torch
from torch import nn

import bopscount

WIDTHS = (1, 2, 4, 8)
INPUT_SIZE = (1, 12, 12)
STRENGTH = 0.3


def quantise(values, bits):
    """2**bits levels of equal distance; the gradient passes as if it had not been done."""
    step = 2 * values.detach().abs().mean() / math.sqrt(2**bits - 1)
    top = 2 ** (bits - 1) - 0.5
    levels = ((values / step - 0.5).round() + 0.5).clamp(-top, top) * step
    return values + (levels - values).detach()


class QuantConv(nn.Conv2d):
    """A convolution whose weights and inputs have `bits` bits."""

    bits = 8

    def forward(self, x):
        return self._conv_forward(quantise(x, self.bits), quantise(self.weight, self.bits), None)


bopscount.register_layer(QuantConv, weight_bits=lambda m: m.bits, input_bits=lambda m: m.bits)


def block(bits, n_inputs, n_outputs, stride):
    conv = QuantConv(n_inputs, n_outputs, 3, stride, 1, bias=False)
    conv.bits = bits
    return nn.Sequential(conv, nn.BatchNorm2d(n_outputs), nn.Hardtanh())


def build_slots():
    """For each slot its alternatives; those of one slot share the convolution's weight."""
    shapes = [(8, 8, 1), (8, 16, 2), (16, 16, 1), (16, 16, 1)]
    slots = [[nn.Sequential(nn.Conv2d(1, 8, 3, padding=1), nn.BatchNorm2d(8), nn.Hardtanh())]]
    for shape in shapes:
        slots.append([block(bits, *shape) for bits in WIDTHS])
        for other in slots[-1][1:]:
            other[0].weight = slots[-1][0][0].weight
    slots.append([nn.Sequential(nn.AdaptiveAvgPool2d(3), nn.Flatten(), nn.Linear(144, 4))])
    return slots


def mixed(slots, logits, x):
    for alternatives, row in zip(slots, logits, strict=True):
        chances = row.softmax(0)
        x = sum(p * module(x) for p, module in zip(chances, alternatives, strict=True))
    return x


def stripes(n):
    """Noisy stripes in one of four directions, which is the label."""
    labels = torch.randint(4, (n,))
    angle = (labels * math.pi / 4)[:, None, None]
    y, x = torch.meshgrid(torch.arange(12.0), torch.arange(12.0), indexing="ij")
    phase = 2 * math.pi * torch.rand(n, 1, 1)
    images = torch.sin(1.3 * (x * angle.cos() + y * angle.sin()) + phase)
    return (images + 1.5 * torch.randn(n, 12, 12))[:, None], labels


def main(n_steps=100):
    torch.set_num_threads(1)  # more would only wait for each other on tensors this small
    torch.manual_seed(0)
    slots = build_slots()
    table = bopscount.ChoiceTable.trace(slots, INPUT_SIZE)
    logits = [torch.zeros(n, requires_grad=True) for n in table.n_alternatives]
    weights = nn.ModuleList(nn.ModuleList(slot) for slot in slots).parameters()
    optimiser = torch.optim.Adam(
        [{"params": list(weights), "lr": 0.01}, {"params": logits, "lr": 0.05}]
    )
    dearest = table.dearest("bops")[1]
    before = table.expected(logits, metric="bops").item()
    print(f"{table.n_candidates} candidates, {dearest:,} Bops at most\n")
    print("step  cross entropy  expected Bops")
    for step in range(n_steps):
        images, labels = stripes(64)
        task = nn.functional.cross_entropy(mixed(slots, logits, images), labels)
        bops = table.expected(logits, metric="bops")
        optimiser.zero_grad()
        (task + STRENGTH * bops / dearest).backward()
        optimiser.step()
        if step % 20 == 0:
            print(f"{step:4} {task.item():14.3f} {bops.item():14,.0f}")

    after = table.expected(logits, metric="bops").item()
    choices = torch.stack([row.argmax() for row in logits]).numpy()
    derived = table.count(choices, "bops")["bops"].item()
    network = nn.Sequential(*(slot[choice] for slot, choice in zip(slots, choices, strict=True)))
    images, labels = stripes(512)
    accuracy = (network.eval()(images).argmax(1) == labels).float().mean().item()
    print(f"\nexpected Bops before {before:14,.0f}")
    print(f"expected Bops after  {after:14,.0f}")
    print(f"derived network      {derived:14,} Bops, accuracy {accuracy:.0%} on fresh images")
    print(f"bits of its blocks   {[WIDTHS[choice] for choice in choices[1:-1]]}")
    return before, after, derived, accuracy, network


if __name__ == "__main__":
    main()
