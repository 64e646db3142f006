"""Bit widths given by the caller, by module path."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import numpy as np

from bopscount._core import BIT_SOURCES
from bopscount.bits.measured import apply_measured
from bopscount.errors import InputError
from bopscount.records.layers import has_macs, mac_owners, matching, why_no_match
from bopscount.records.table import Records
from bopscount.records.widths import MAX_BITS

if TYPE_CHECKING:
    from torch import nn

    from bopscount.bits.findings import Measured

MEASURED = "measured"
T = TypeVar("T", bound=Records)
Widths = tuple[int | None, int | None]
"""(weight bits, input bits); None keeps the recorded width."""
Measure = Literal["measured"]
UserBits = (
    Mapping[str, Widths | Measure] | Callable[[str, "nn.Module"], Widths | Measure | None] | Measure
)

_FIELDS = ("weight_bits", "input_bits")


def with_bits(
    table: T,
    bits: UserBits,
    model: nn.Module | None = None,
    measure: Callable[[T], dict[int, Measured]] | None = None,
) -> T:
    """Return a copy of the table with the given widths of MAC ops; the other data is shared.

    Args:
        table: Traced table.
        bits: Glob patterns of module paths (`*` also matches dots) with (weight bits, input
            bits), or a callable (path, module) -> (weight bits, input bits) or None. If several
            patterns match, the last one applies. Ops that a module runs itself, such as its
            attention, match the module's path, and that path with the kind: "attn.(matmul)".
            "measured" can replace a pair, or the whole argument.
        model: Model whose modules a callable receives.
        measure: Function that runs the model, for "measured".

    Raises:
        InputError: If a width is outside 1-64, or a pattern matches no layer with MACs.

    Example: for ResNet-18, `with_bits(table, {"layer*.conv*": (1, 1)})` makes the sixteen
    3x3 convolutions binary, but not the first convolution, the shortcuts and the classifier.
    """
    owners = dict(mac_owners(table))
    choices = _choices(bits, owners, table, model)
    records = table.records.copy()
    is_mac = has_macs(table)
    for owner, pair in choices.items():
        if pair == MEASURED:
            continue
        rows = is_mac & (records["owner"] == owner)
        for field, width in zip(_FIELDS, pair, strict=True):
            if width is not None:
                records[field][rows] = width
                records[f"{field}_source"][rows] = BIT_SOURCES["user"]
    table = replace(table, records=records)
    measured = [owner for owner, pair in choices.items() if pair == MEASURED]
    if bits == MEASURED or measured:
        if measure is None:
            raise InputError(
                "bits='measured' needs the model, whose values are looked at; give it to trace()"
            )
        wanted = np.flatnonzero(is_mac & np.isin(records["owner"], measured)).tolist()
        table = apply_measured(table, measure(table), wanted)
    return table


def _choices(
    bits: UserBits, owners: dict[int, tuple[str, str]], table: Records, model: nn.Module | None
) -> dict[int, Any]:
    """Return (weight bits, input bits) or "measured" for each owner that `bits` applies to."""
    if bits == MEASURED:
        return dict.fromkeys(owners, MEASURED)
    if callable(bits):
        if model is None:
            raise InputError("bits as a callable needs the model; give trace() the callable")
        modules = dict(model.named_modules(remove_duplicate=False))
        return {
            owner: _checked(bits(path, modules[path]), f"bits({path!r}, ...)")
            for owner, (path, _) in owners.items()
        }
    if isinstance(bits, Mapping):
        return _by_pattern(bits, owners, table)
    given = repr(bits) if isinstance(bits, str) else type(bits).__name__
    raise InputError(
        "bits must be 'measured', a dict of path patterns to (weight bits, input bits), or a "
        f"callable (path, module) that returns such a pair or None, got {given}"
    )


def _by_pattern(
    bits: Mapping[str, Any], owners: dict[int, tuple[str, str]], table: Records
) -> dict[int, Any]:
    widths: dict[int, Any] = {}
    for pattern, pair in bits.items():
        if not isinstance(pattern, str):
            raise InputError(f"bits must have path patterns as keys, got {pattern!r}")
        widths_given = _checked(pair, f"bits[{pattern!r}]")
        matched = matching(pattern, owners)
        if not matched:
            raise InputError(f"bits[{pattern!r}] {why_no_match(pattern, owners, table)}")
        widths.update(dict.fromkeys(matched, widths_given))
    return widths


def _checked(pair: Any, what: str) -> Any:
    if pair is None:
        return None, None
    if isinstance(pair, str) and pair == MEASURED:
        return MEASURED
    if not isinstance(pair, (tuple, list)) or len(pair) != len(_FIELDS):
        raise InputError(f"{what} must be (weight bits, input bits) or 'measured', got {pair!r}")
    for width in pair:
        if width is not None and (
            isinstance(width, bool) or not isinstance(width, int) or not 1 <= width <= MAX_BITS
        ):
            raise InputError(
                f"{what} must be whole numbers of bits from 1 to {MAX_BITS}, got {width!r}"
            )
    return tuple(pair)


def parse_bits(given: list[str]) -> UserBits:
    """Parse the patterns of the command line: "layer*.conv2=1,1", "fc=8,-" (- keeps a width).

    "measured" alone is short for "*=measured".

    Raises:
        InputError: If a pattern is malformed.
    """
    bits: dict[str, Any] = {}
    for text in given:
        pattern, _, widths = ("*", "", text) if text == MEASURED else text.rpartition("=")
        if not pattern:
            raise _not_bits(text)
        if widths == MEASURED:
            bits[pattern] = MEASURED
            continue
        try:
            weight, inputs = (
                None if width.strip() == "-" else int(width) for width in widths.split(",")
            )
        except ValueError:
            raise _not_bits(text) from None
        bits[pattern] = weight, inputs
    return bits


def _not_bits(text: str) -> InputError:
    return InputError(
        "--bits must be PATTERN=WEIGHT,INPUT as in 'layer*.conv2=1,1', PATTERN=measured or "
        f"measured, got {text!r}"
    )
