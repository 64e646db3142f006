"""Convention rules that price each element of a layer by its bit widths."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from bopscount.conventions.facts import Facts, Integers


def _nothing(_: Facts) -> int:
    return 0


@dataclass(frozen=True, slots=True)
class BitPrice:
    """Rule (sum over layers of elements x price + rest) / divisor + real_rest.

    Only the price depends on the bit widths, so that a bit-width search can evaluate the rule.

    Attributes:
        elements: Number of priced elements per record, MACs or weights; 0 to skip a record.
        price: Price per element at (weight bits, input bits), 32 being full precision.
        divisor: Power of two.
        rest: Term independent of the widths, in units of 1 / divisor.
        real_rest: Non-integer term; None for an exact rule.

    Example: `BitPrice(lambda facts: facts.macs, lambda w, a: w * a)` is the `product`.
    """

    elements: Callable[[Facts], Integers | list[int]]
    price: Callable[[int, int], int]
    divisor: int = 1
    rest: Callable[[Facts], int] = _nothing
    real_rest: Callable[[Facts], float] | None = None

    def total(self, facts: Facts) -> int:
        """Return the exact sum before division."""
        widths = zip(facts.weight_bits.tolist(), facts.input_bits.tolist(), strict=True)
        return self.rest(facts) + sum(
            int(n) * self.price(w, a)
            for n, (w, a) in zip(self.elements(facts), widths, strict=True)
            if n
        )

    def value(self, facts: Facts) -> Any:
        """Return the value of a network: an int if divisor is 1 and real_rest is None."""
        return self.finish(self.total(facts), self.real_rest(facts) if self.real_rest else None)

    def finish(self, total: Any, real_rest: float | None) -> Any:
        """Return the value for a sum, or the values for an array of sums."""
        quotient = total if self.divisor == 1 else total / self.divisor
        return quotient if real_rest is None else quotient + real_rest
