"""Choice search, slowly: one candidate after the other, in plain Python."""

from itertools import product

import bopscount


def count(costs, choices):
    """{metric: [sum of each candidate]}; costs by metric, slot and alternative."""
    return {
        metric: [
            sum(slots[slot][choice] for slot, choice in enumerate(candidate))
            for candidate in choices
        ]
        for metric, slots in costs.items()
    }


def assemble(slots, candidate):
    """The network that a candidate stands for."""
    from torch import nn  # the other half does without

    chosen = []
    for slot, choice in zip(slots, candidate, strict=True):
        alternatives = slot if isinstance(slot, (list, tuple)) else [slot]
        if alternatives[choice] is not None:
            chosen.append(alternatives[choice])
    return nn.Sequential(*chosen)


def scan(slots, candidate, input_size, **options):
    """What the assembled network costs, or the TraceError that it raises."""
    try:
        return bopscount.scan(assemble(slots, candidate), input_size, **options)
    except bopscount.TraceError as error:
        return error


def all_candidates(n_alternatives):
    """Every candidate, in order."""
    return list(product(*map(range, n_alternatives)))
