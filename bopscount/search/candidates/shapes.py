"""Shapes of very many candidates at once, and inference from traced shapes.

A shape is a tuple of sizes; a size is an int if all candidates agree, else an int64 array with
one value per candidate. Only the traced shape of an operand is known. If it has several
explanations that differ for the candidates, `Unknown` is raised rather than one guessed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import permutations, product
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

Size = int | npt.NDArray[np.int64]
Shape = tuple[Size, ...]
Traced = tuple[int, ...]


class Unknown(Exception):  # noqa: N818 - internal: raised again as InputError with a name
    """Shape that the trace does not determine; the message is the reason."""


class Mismatch(Exception):  # noqa: N818
    """Shapes that do not fit together, with a mask of the candidates (`bad`)."""

    def __init__(self, what: str, bad: npt.NDArray[np.bool_] | bool = True) -> None:
        super().__init__(what)
        self.bad = bad


def mismatch(what: str, bad: npt.NDArray[np.bool_], *sizes: Size) -> Mismatch:
    """Return a Mismatch with the sizes of the first bad candidate in the braces of `what`."""
    first = int(np.argmax(bad))
    told = (size if isinstance(size, int) else int(size[first]) for size in sizes)
    return Mismatch(what.format(*told), bad)


def size_of(values: npt.NDArray[np.int64], traced: int) -> Size:
    """Return the values, or the traced int if no candidate differs from it."""
    return traced if bool((values == traced).all()) else values


def is_fixed(size: Size) -> bool:
    """Return whether all candidates have the traced size."""
    return isinstance(size, int)


def same(one: Shape, other: Shape) -> bool:
    """Return whether two shapes are equal in every candidate."""
    return len(one) == len(other) and all(
        bool(np.all(np.equal(a, b))) for a, b in zip(one, other, strict=True)
    )


def elements(shape: Shape) -> Size:
    """Return the product of the sizes."""
    total: Size = 1
    for size in shape:
        total = total * size
    return total


def columns(shape: Shape, n_candidates: int) -> npt.NDArray[np.int64]:
    """Return the shape as the core takes it, an array of shape (n_candidates, rank)."""
    table = np.empty((n_candidates, len(shape)), np.int64)
    for axis, size in enumerate(shape):
        table[:, axis] = size
    return table


def only(shapes: Iterable[Shape], otherwise: str) -> Shape:
    """Return the shape that all explanations agree on, or raise Unknown."""
    found: list[Shape] = []
    for shape in shapes:
        if not found:
            found.append(shape)
        elif not same(found[0], shape):
            raise Unknown(f"{otherwise} in more than one way; trace it with other sizes")
    if not found:
        raise Unknown(otherwise + " in no way that can be followed")
    return found[0]


def through_view(traced: Traced, now: Shape, seen: Traced) -> list[Shape]:
    """Return the possible shapes of a view for the candidates.

    A view permutes and merges whole axes of its base. If that does not explain it, it keeps
    the axes in which candidates differ, and reshapes or slices the others.

    Args:
        traced: Traced shape of the base.
        now: Shape of the base for the candidates.
        seen: Traced shape of the view.

    Example: (2, 64, 7, 7) viewed as (2, 3136) merges three axes, so that 32 channels give
    (2, 1568).
    """
    return list(_turned(traced, now, seen)) or list(_beside_fixed(traced, now, seen))


def _turned(traced: Traced, now: Shape, seen: Traced) -> Iterator[Shape]:
    """Yield the shape for every assignment of whole base axes to axes of the view."""
    moving = [axis for axis, size in enumerate(traced) if size != 1 or not is_fixed(now[axis])]

    def place(at: int, room: list[int], shape: list[Size]) -> Iterator[Shape]:
        if at == len(moving):
            if all(left == 1 for left in room):
                yield tuple(shape)
            return
        axis = moving[at]
        for target, left in enumerate(room):
            if left % traced[axis] == 0 and left:
                room[target] = left // traced[axis]
                before = shape[target]
                shape[target] = before * now[axis]
                yield from place(at + 1, room, shape)
                room[target], shape[target] = left, before

    yield from place(0, list(seen), [1] * len(seen))


def _beside_fixed(traced: Traced, now: Shape, seen: Traced) -> Iterator[Shape]:
    """Yield the shape for every placement of the differing axes in the view.

    The other axes are reshaped, sliced or repeated.
    """
    differing = [axis for axis, size in enumerate(now) if not is_fixed(size)]
    fixed = [size for axis, size in enumerate(traced) if axis not in differing]
    for targets in permutations(range(len(seen)), len(differing)):
        found = dict(zip(targets, differing, strict=True))
        if any(seen[target] != traced[axis] for target, axis in found.items()):
            continue
        rest = [size for target, size in enumerate(seen) if target not in found]
        repeated = len(rest) == len(fixed) and all(
            size in (of_base, 1) or of_base == 1 for size, of_base in zip(rest, fixed, strict=True)
        )
        if repeated or prod(rest) <= prod(fixed):
            yield tuple(
                now[found[target]] if target in found else size for target, size in enumerate(seen)
            )


def broadcast(shapes: Iterable[Shape]) -> Shape:
    """Return the shape that operands broadcast to, or raise Mismatch."""
    out: list[Size] = []
    for shape in shapes:
        out = [*(1 for _ in range(len(shape) - len(out))), *out]
        offset = len(out) - len(shape)
        for axis, size in enumerate(shape, offset):
            here = out[axis]
            fits = np.equal(here, size) | np.equal(here, 1) | np.equal(size, 1)
            if not np.all(fits):
                what = f"{{}} and {{}} along dimension {axis} do not broadcast"
                raise mismatch(what, np.logical_not(fits), here, size)
            if isinstance(here, int) and isinstance(size, int):
                out[axis] = size if here == 1 else here
            else:
                out[axis] = np.where(np.equal(here, 1), size, here)
    return tuple(out)


def broadcastable(out: Traced, n_elements: int) -> Iterator[Traced]:
    """Yield the shapes of `n_elements` elements that broadcast to `out`: each axis whole, or 1."""
    for whole in product((False, True), repeat=len(out)):
        shape = tuple(size if one else 1 for size, one in zip(out, whole, strict=True))
        if prod(shape) == n_elements and all(
            size != 1 or not one for size, one in zip(out, whole, strict=True)
        ):
            yield shape


def reduced(traced: Traced, now: Shape, out: Traced) -> Iterator[Shape]:
    """Yield the shapes after a reduction, for every choice of axes that fits the trace."""
    for gone in product((False, True), repeat=len(traced)):
        kept = [axis for axis, one in enumerate(gone) if not one]
        if tuple(traced[axis] for axis in kept) == out:
            yield tuple(now[axis] for axis in kept)
        if tuple(1 if one else size for one, size in zip(gone, traced, strict=True)) == out:
            yield tuple(1 if one else size for one, size in zip(gone, now, strict=True))


def trailing(traced: Traced, now: Shape, n_elements: int) -> Iterator[Any]:
    """Yield the elements of the last axes, for every number of axes that had n_elements."""
    for first in range(len(traced)):
        if prod(traced[first:]) == n_elements:
            yield (elements(now[first:]),)
