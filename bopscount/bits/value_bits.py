"""Measurement of bit widths from the values of a tensor.

Quantised values lie on a grid: offset + k x step with integer k. The width follows from the
range of k, once the step is found: the greatest common divisor of the distances, up to
floating-point rounding. Values that were not quantised have no step coarse enough to give a
width, whatever their dtype.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from bopscount.bits.findings import GLANCE, SAMPLES_A_LEVEL, Finding, ValueBits
from bopscount.records.widths import MAX_LOW_BITS

_ROUNDING = 2.0**-20
"""Rounding error of float32 arithmetic in quantised values, relative to the largest value."""
_COARSER = 8
"""Least step in tolerances; values off the grid soon miss a step of that size."""
_GLANCE_ROWS = 16
"""Number of rows that suffices to recognise most floats."""
_CHUNK = 2**22
_MAX_DIVISIONS = 24


@dataclass(frozen=True, slots=True)
class _Grid:
    """Grids of values, one per row.

    Attributes:
        low: Lowest value in steps; an integer if zero lies on the grid.
        levels: Number of levels from there to the highest value; 1 if all values are equal.
    """

    low: Tensor
    levels: Tensor


def value_bits(rows: Tensor) -> ValueBits:
    """Return the bit width of values whose rows may differ in scale.

    Args:
        rows: Values of any real dtype, (groups, values per group).

    Returns:
        Measured width: 1 bit for two levels, b bits for up to 2**b levels on one step. Three
        kinds of grid are tried: one grid of all values with any offset; one grid per row, if
        rows have enough values; and one grid per row that contains zero or has zero halfway
        between two levels, for which the values of all rows are pooled. The narrowest width
        with enough values is returned.

    Example: rows of +-0.3 and +-0.7 have 1 bit; one row 0, 0.5, 1.5, ... has 4 levels, 2 bits,
    if it has 16 values or more.
    """
    if rows.is_complex():
        return ValueBits(Finding.FLOAT)
    values = rows.detach().to("cpu")
    rounding = _ROUNDING
    if values.is_floating_point():
        rounding = max(rounding, torch.finfo(values.dtype).eps / 2)
    nonzero = values.count_nonzero(1)
    values = _only(values, nonzero > 0)  # rows of zeros carry no information
    samples = values.numel()
    if samples == 0:
        return ValueBits(Finding.SILENT, samples=rows.numel())
    if not all(bool(bound.isfinite()) for bound in values.aminmax()):
        return ValueBits(Finding.FLOAT, samples=samples)
    one = _on_one_grid(values, rounding)
    if one.finding is Finding.SILENT:
        return one
    candidates = [one]
    if len(values) > 1:
        # A row with a single nonzero value determines its scale and nothing else.
        several = _only(values, nonzero[nonzero > 0] > 1)
        bound = one.levels if one.finding is Finding.WIDTH else 2**MAX_LOW_BITS
        candidates += _on_grids_of_rows(several, rounding, bound)
    widths = [found for found in candidates if found.finding is Finding.WIDTH]
    if widths:
        return min(widths, key=lambda found: found.levels)
    few = [found for found in candidates if found.finding is Finding.FEW]
    if few:
        return max(few, key=lambda found: found.samples)
    return ValueBits(Finding.FLOAT, samples=samples, distinct=_distinct(values))


def _only(values: Tensor, rows: Tensor) -> Tensor:
    return values if bool(rows.all()) else values[rows]


def _claim(levels: int, samples: int) -> ValueBits:
    enough = samples >= SAMPLES_A_LEVEL * levels
    if not enough or levels > 2**MAX_LOW_BITS:
        return ValueBits(Finding.FEW, levels=levels, samples=samples)
    return ValueBits(Finding.WIDTH, max(1, (levels - 1).bit_length()), levels, samples)


def _on_one_grid(values: Tensor, rounding: float) -> ValueBits:
    """Return the width of all values on one grid with any offset."""
    samples = values.numel()
    flat = values.reshape(1, -1)
    none = ValueBits(Finding.FLOAT, samples=samples)
    if samples > GLANCE:
        # A grid that fails on a part of the values fails on all of them.
        part = flat[:, :: samples // GLANCE]
        if _offset_grid(part, rounding) is None:
            return none
        flat = flat.unique()[None]
    grid = _offset_grid(flat, rounding)
    if grid is None:
        return none
    levels = int(grid.levels)
    return ValueBits(Finding.SILENT, samples=samples) if levels == 1 else _claim(levels, samples)


def _on_grids_of_rows(values: Tensor, rounding: float, bound: int) -> list[ValueBits]:
    """Return the widths of the rows on one grid each, if it has fewer levels than `bound`."""
    found: list[ValueBits] = []
    if not len(values):
        return found
    offset = _grids(values, rounding, bound, _offset_grid)
    if offset is not None:
        speaking = offset.levels > 1
        if not bool(speaking.any()):
            return found
        levels = int(offset.levels.max())
        found.append(_claim(levels, values.shape[1]))
        low = offset.low[speaking]
        if bool(((low - low.floor() - 0.5).abs() < 1 / _COARSER).all()):
            found.append(_pooled(offset, speaking, values))
    through_zero = _grids(values, rounding, bound, _zero_grid)
    if through_zero is not None:
        found.append(_pooled(through_zero, through_zero.levels > 1, values))
    return found


def _pooled(grid: _Grid, speaking: Tensor, values: Tensor) -> ValueBits:
    """Return the width of the pooled values of all rows, each in steps of its own."""
    low, levels = grid.low[speaking], grid.levels[speaking]
    together = round(float((low + levels).max() - low.min()))
    return _claim(together, int(speaking.sum()) * values.shape[1])


def _grids(
    values: Tensor, rounding: float, bound: int, find: Callable[[Tensor, float], _Grid | None]
) -> _Grid | None:
    """Return the grids of all rows; None if a row has none, or a sample has too many levels."""
    glance = find(values[:_GLANCE_ROWS, :GLANCE], rounding)
    if glance is None or int(glance.levels.max()) >= bound:
        return None
    grids = []
    for part in values.split(max(1, _CHUNK // values.shape[1])):
        grid = find(part, rounding)
        if grid is None:
            return None
        grids.append(grid)
    return _Grid(
        torch.cat([grid.low for grid in grids]), torch.cat([grid.levels for grid in grids])
    )


def _offset_grid(values: Tensor, rounding: float) -> _Grid | None:
    """Return a grid with any offset per row; None if a row has none."""
    exact = values.to(torch.float64)
    base = exact.amin(1, keepdim=True)
    span = exact.amax(1, keepdim=True) - base
    found = _steps(exact - base, span, exact.abs().amax(1, keepdim=True), rounding)
    if found is None:
        return None
    step, count = found
    return _Grid((base / step).squeeze(1), count.squeeze(1) + 1)


def _zero_grid(values: Tensor, rounding: float) -> _Grid | None:
    """Return a grid through zero per row; None if a row has none."""
    exact = values.to(torch.float64)
    top = exact.abs().amax(1, keepdim=True)
    found = _steps(exact, top, top, rounding)
    if found is None:
        return None
    step, _ = found
    steps = (exact / step).round()
    low = steps.amin(1)
    return _Grid(low, steps.amax(1) - low + 1)


def _steps(
    offsets: Tensor, span: Tensor, top: Tensor, rounding: float
) -> tuple[Tensor, Tensor] | None:
    """Return the largest step that divides the offsets of each row, and its count in the span.

    Euclid's algorithm on all values at once: as long as some offset is no multiple of the
    step, the least remainder becomes the next step. Remainders contain the error of the step
    times the quotient, and the tolerance grows with it. The resulting step is approximate; the
    integer number of steps in the span gives the exact step, which every value is checked
    against.
    """
    tolerance = 2 * rounding * top
    least = _COARSER * tolerance
    constant = span <= tolerance
    step, error = torch.where(constant, top, span), torch.zeros_like(top)
    for _ in range(_MAX_DIVISIONS):
        remainder = (offsets - step * (offsets / step).round()).abs()
        allowed = tolerance + error * (span / step)
        off = (remainder > allowed) & ~constant
        if not bool(off.any()):
            break
        remainder = remainder.where(off, torch.inf).amin(1, keepdim=True)
        divided = off.any(1, keepdim=True)
        step, error = remainder.where(divided, step), allowed.where(divided, error)
        if bool((step < least / 2).any()):
            return None
    else:
        return None
    around = (span / step).round()
    for change in (0, 1, -1, 2, -2, 3, -3, 4, -4):
        count = (around + change).clamp(min=1)
        exact = span / count
        remainder = (offsets - exact * (offsets / exact).round()).abs().amax(1, keepdim=True)
        fits = (remainder <= tolerance) & ~constant & (exact >= least)
        step, constant = exact.where(fits, step), constant | fits
        around = count.where(fits, around)
        if bool(constant.all()):
            count = torch.where(span <= tolerance, 0, around)
            return torch.where(count > 0, step, top), count
    return None


def _distinct(values: Tensor) -> int:
    flat = values.reshape(-1)
    return len(flat[:: max(1, flat.numel() // GLANCE)].unique())
