"""Rules that give each element of a layer a price by its bit widths."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from bopscount.conventions.facts import Facts, Integers


def _nothing(_: Facts) -> int:
    return 0


@dataclass(frozen=True, slots=True)
class BitPrice:
    """(The sum over layers of elements x price + rest) / divisor + real_rest.

    Only the price depends on the bit widths, so that a search can count with it.

    Attributes:
        elements: Of each record, what has a price: MACs, or weights; 0 for what is left out.
        price: Of one element at (weight bits, input bits), 32 being full precision.
        divisor: A power of two.
        rest: What does not depend on widths, in units of 1 / divisor.
        real_rest: What is no integer; None for a rule of integers.

    Example: `BitPrice(lambda facts: facts.macs, lambda w, a: w * a)` is the `product`.
    """

    elements: Callable[[Facts], Integers | list[int]]
    price: Callable[[int, int], int]
    divisor: int = 1
    rest: Callable[[Facts], int] = _nothing
    real_rest: Callable[[Facts], float] | None = None

    def total(self, facts: Facts) -> int:
        """The exact sum, before it is divided."""
        widths = zip(facts.weight_bits.tolist(), facts.input_bits.tolist(), strict=True)
        return self.rest(facts) + sum(
            int(n) * self.price(w, a)
            for n, (w, a) in zip(self.elements(facts), widths, strict=True)
            if n
        )

    def value(self, facts: Facts) -> Any:
        """What the rule says of a network: an int where the divisor is 1 and nothing is real."""
        return self.finish(self.total(facts), self.real_rest(facts) if self.real_rest else None)

    def finish(self, total: Any, real_rest: float | None) -> Any:
        """From the sum, or an array of sums, to the value."""
        quotient = total if self.divisor == 1 else total / self.divisor
        return quotient if real_rest is None else quotient + real_rest
