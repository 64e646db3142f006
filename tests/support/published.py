"""The figures of golden/published.json, and ours for the same networks.

tests/conventions/test_published.py compares them, docs/figures.py writes them down.
"""

import json
import re
from dataclasses import dataclass
from decimal import ROUND_DOWN, ROUND_HALF_UP, Decimal
from functools import cache

from support.paths import GOLDEN
from support.published_metrics import metric_of
from support.published_networks import layers_of

FIGURES = json.loads((GOLDEN / "published.json").read_text())["figures"]
NEEDS_WEIGHTS = "needs the trained ONNX"
"""Status of the records that depend on trained weights, which nothing here has."""
SUBJECT = ("network", "config", "input")
"""Fields of a record that say what was traced."""


@dataclass(frozen=True)
class Ours:
    """A number, and the convention that it is in ("" where it is in no preset)."""

    convention: str
    value: object


@cache
def ours(number):
    """What bopscount says where record `number` says something."""
    convention, read = metric_of(FIGURES[number])
    return Ours(convention, read(_layers(*(FIGURES[number][name] for name in SUBJECT))))


@cache
def _layers(*subject):
    return layers_of(dict(zip(SUBJECT, subject, strict=True)))


def printed(figure):
    """The published number with its digits: Decimal("0.87E+8"), Decimal("4.0")."""
    text = figure.get("published_text", str(figure["published_value"]))
    return Decimal(re.match(r"[\d.]+(e[+-]?\d+)?", text, re.IGNORECASE)[0])


def as_printed(value, figure):
    """`value` in the unit and with the digits of the record, cut as its status says."""
    digits = Decimal(1).scaleb(printed(figure).as_tuple().exponent)
    rounding = ROUND_DOWN if "truncated" in figure["status"] else ROUND_HALF_UP
    return (Decimal(value) / figure.get("scale", 1)).quantize(digits, rounding)


def to_the_digits_of(value, reference):
    """`value` as `reference` was written: floats were rounded, everything else is exact."""
    if not isinstance(reference, float):
        return value
    return round(value, len(repr(reference).partition(".")[2]))
