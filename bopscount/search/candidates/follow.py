"""Rules that propagate changes of operands, by kind of operation.

A rule takes the walk and the record's index, sets the fields that depend on the operands except
for the sizes, and returns the output shape. It raises Unknown if the trace does not determine
the result, and Mismatch if shapes do not fit together. The rule of a kind follows from its row
of the core's op table.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from math import prod

import numpy as np

import bopscount._core as _core
from bopscount.records.table import Records
from bopscount.search.candidates.shapes import (
    Mismatch,
    Shape,
    Size,
    Unknown,
    broadcast,
    broadcastable,
    elements,
    is_fixed,
    mismatch,
    only,
    reduced,
    through_view,
    trailing,
)
from bopscount.search.candidates.walk import Walk

FollowRule = Callable[[Walk, int], Shape]

_ROWS = {row["name"]: row for row in _core.OP_TABLE}


def kinds_with(**facts: str) -> tuple[str, ...]:
    """Return the kinds whose op table rows state these facts, in table order.

    Example: `kinds_with(shape="resize")` is `("upsample_nearest", "upsample_linear",
    "upsample_cubic")`.
    """
    return tuple(
        name for name, row in _ROWS.items() if all(row[fact] == is_ for fact, is_ in facts.items())
    )


PRODUCTS = kinds_with(weights="product")
"""Kinds whose output channels can be set."""
CONVOLUTIONS = kinds_with(weights="product", shape="window")
"""Kinds whose groups can be set."""
POOLS = kinds_with(weights="none", shape="window")
WINDOWED = kinds_with(shape="window")
"""Kinds whose window can be set."""
CHANNEL_NORMS = tuple(name for name in kinds_with(weights="per_channel") if name != "prelu")
LAST_NORMS = kinds_with(weights="trailing")
WEIGHTED = (*PRODUCTS, *kinds_with(weights="per_channel"), *LAST_NORMS)
"""Kinds whose parameters are their weight and bias."""
ADAPTIVE = kinds_with(shape="adaptive")
RESIZING = kinds_with(shape="resize")
KEEPING = kinds_with(weights="none", shape="same")
REDUCING = kinds_with(shape="reduce")
ANY_LAYOUT = kinds_with(axis="any")
"""Kinds whose channels may be any dimension."""
_MOST_WEIGHTS = 2**62
_PADDING_MODULE = re.compile(r"(Zero|Constant|Reflection|Replication|Circular)Pad[123]d")
_COPYING = ("contiguous", "clone", "to")
IMAGE_RANK = 3
"""Smallest rank of a tensor that has positions after its channels."""


def layouts(kind: str) -> tuple[tuple[int, bool], ...]:
    """Return the possible (channel axis, batched) of a kind, the most likely first."""
    first, last = ((1, True), (1, False)), ((-1, True), (-1, False))
    return last + first if _ROWS[kind]["axis"] == "last" else first + last


def spatial_dims(kind: str, rank: int, batched: bool) -> int:
    """Return the number of window dimensions."""
    return 0 if kind == "linear" else rank - 1 - batched


def is_batched(table: Records, index: int) -> bool:
    """Return whether dimension 0 of a channels-first layer is the batch."""
    shape, traced = table.input_shapes[index], table.records[index]
    return len(shape) > 1 and shape[0] == traced["batch"] and shape[1] == traced["in_channels"]


def _product(walk: Walk, index: int) -> Shape:
    kind, traced = walk.flow.kinds[index], walk.table.records[index]
    shape, before = walk.operand(index, 0), walk.table.input_shapes[index]
    batched = kind != "linear" and is_batched(walk.table, index)
    axis = len(before) - 1 if kind == "linear" else int(batched)
    spatial = spatial_dims(kind, len(before), batched)
    window = prod(traced["kernel"].tolist())
    per_group = int(traced["in_channels"]) // int(traced["groups"])
    if int(traced["weight_elements"]) != per_group * int(traced["out_channels"]) * window:
        raise Unknown("its weight does not follow from its sizes")
    if any(producer >= 0 or number >= 0 for producer, number, _ in walk.flow.operands[index][1:]):
        raise Unknown("its weight is computed in the network")
    if traced["bias_elements"] not in (0, traced["out_channels"]):
        raise Unknown("its bias does not follow from its channels")

    column = walk.column(index)
    channels = shape[axis]
    if traced["groups"] == traced["in_channels"] > 1:
        _follow_depthwise(walk, index, channels)
    column["in_channels"] = channels
    for field in ("in_channels", "out_channels"):
        _divides(column[field], column["groups"], f"{field} {{}} are no multiple of groups {{}}")
    out = walk.window_shape(index, spatial, shape)
    factors = [
        column["in_channels"] // column["groups"],
        column["out_channels"],
        *column["kernel"].T.astype(np.int64),
    ]
    too_large = np.prod(factors, axis=0, dtype=float) >= _MOST_WEIGHTS
    if too_large.any():
        raise Mismatch("its weight is too large", too_large)
    weights = np.prod(factors, axis=0)
    biases = column["out_channels"] * int(traced["bias_elements"] != 0)
    walk.set_weights(index, weights, biases)
    return out


def _follow_depthwise(walk: Walk, index: int, channels: Size) -> None:
    """Set groups and output channels of a depthwise convolution from its new input channels."""
    column = walk.column(index)
    old, groups = column["in_channels"].copy(), column["groups"].copy()
    follows = (groups == old) & (old != channels)
    if (index, "groups") not in walk.given:
        column["groups"] = np.where(follows, channels, groups)
    if (index, "out_channels") not in walk.given:
        out = column["out_channels"]
        column["out_channels"] = np.where(follows, out // old * channels, out)


def _divides(number: Size, divisor: Size, what: str) -> None:
    bad = np.not_equal(np.remainder(number, divisor), 0)
    if np.any(bad):
        raise mismatch(what, bad, number, divisor)


def _per_channel(walk: Walk, index: int, before: int, now: Size, repeats: int = 1) -> None:
    """Set a weight and bias of one element per channel, of `before` channels in the trace."""
    traced = walk.table.records[index]
    sizes: list[Size] = []
    for field in ("weight_elements", "bias_elements"):
        if traced[field] not in (0, before):
            raise Unknown("its weight does not follow from its channels")
        sizes.append(now * repeats if traced[field] else 0)
    walk.set_weights(index, *sizes)


def _channel_norm(walk: Walk, index: int) -> Shape:
    shape, before = walk.operand(index, 0), walk.table.input_shapes[index]
    _per_channel(walk, index, before[1], shape[1])
    if walk.table.records["extra_elements"][index]:
        walk.column(index)["extra_elements"] = 2 * shape[1]
    return shape


def _last_norm(walk: Walk, index: int) -> Shape:
    shape, before = walk.operand(index, 0), walk.table.input_shapes[index]
    n_elements = int(walk.table.records["weight_elements"][index])
    if n_elements:
        (now,) = only(trailing(before, shape, n_elements), "it normalises over its last dimensions")
        _per_channel(walk, index, n_elements, now)
    return shape


def _prelu(walk: Walk, index: int) -> Shape:
    shape, before = walk.operand(index, 0), walk.table.input_shapes[index]
    weights = int(walk.table.records["weight_elements"][index])
    if weights != 1:
        _per_channel(walk, index, before[1], shape[1])
    elif before[1:2] == (1,) and not is_fixed(shape[1]):
        raise Unknown("its one weight may be for all channels, or for the one that there was")
    return shape


def _keeping(walk: Walk, index: int) -> Shape:
    if walk.table.output_shapes[index] != walk.table.input_shapes[index]:
        raise Unknown("its output has another shape than its input")
    _alone(walk, index)
    return walk.operand(index, 0)


def _alone(walk: Walk, index: int) -> None:
    if any(not walk.is_still(index, i) for i in range(1, len(walk.flow.operands[index]))):
        raise Unknown("further operands change")


def _identity(walk: Walk, index: int) -> Shape:
    seen = walk.table.output_shapes[index]
    shape, before = walk.operand(index, 0), walk.table.input_shapes[index]
    _alone(walk, index)
    if seen == before:
        return shape
    return only(through_view(before, shape, seen), "it changes the shape")


def _pool(walk: Walk, index: int) -> Shape:
    traced, shape = walk.table.records[index], walk.operand(index, 0)
    batched = is_batched(walk.table, index)
    before = walk.table.input_shapes[index]
    spatial = spatial_dims(walk.flow.kinds[index], len(before), batched)
    positions = slice(len(before) - spatial, None)
    is_function = traced["flags"] & _core.LAYER_FLAGS["functional"]
    whole = traced["kernel"][:spatial].tolist() == list(before[positions])
    if is_function and whole and not all(map(is_fixed, shape[positions])):
        raise Unknown("its window is as large as its input, and may follow it")
    return walk.window_shape(index, spatial, shape)


def _adaptive_pool(walk: Walk, index: int) -> Shape:
    shape, out = walk.operand(index, 0), walk.table.output_shapes[index]
    first = 1 + is_batched(walk.table, index)
    sizes: list[Size] = list(shape[:first])
    for axis, target in enumerate(walk.table.records["kernel"][index].tolist()[: len(out) - first]):
        if target not in (0, out[first + axis]):
            raise Unknown("the size that it pools to is not recorded")
        sizes.append(shape[first + axis] if target == 0 else out[first + axis])
    return tuple(sizes)


def _resize(walk: Walk, index: int) -> Shape:
    shape, out = walk.operand(index, 0), walk.table.output_shapes[index]
    if not all(map(is_fixed, shape[2:])):
        raise Unknown("it may have a size or a factor")
    return (*shape[:2], *out[2:])


def _glu(walk: Walk, index: int) -> Shape:
    before, shape = walk.table.input_shapes[index], walk.operand(index, 0)
    after = walk.table.output_shapes[index]
    halved = next(i for i, (a, b) in enumerate(zip(before, after, strict=True)) if a != b)
    _divides(shape[halved], 2, "{} channels cannot be halved")
    return tuple(size // 2 if i == halved else size for i, size in enumerate(shape))


def _elementwise(walk: Walk, index: int) -> Shape:
    """Broadcast the operands; if one shape is not recorded, infer it from its elements."""
    known, hidden = [walk.operand(index, 0)], []
    left = int(walk.table.records["extra_elements"][index])
    for number in range(1, len(walk.flow.operands[index])):
        producer, source, viewed = walk.flow.operands[index][number]
        if viewed or (producer < 0 and source not in walk.flow.input_shapes):
            hidden.append(number)
            continue
        known.append(walk.operand(index, number))
        left -= prod(walk.base_of(index, number)[0])
    if len(hidden) == 1:
        shapes = [[*known, shape] for shape in _hidden_operand(walk, index, hidden[0], left)]
        scalars = 0
    elif left == len(hidden):
        shapes, scalars = [known], left
    else:
        raise Unknown("several of its operands are parameters or views")
    results: list[Shape] = []
    for operands in shapes:
        try:
            shape = broadcast(operands)
        except Mismatch:
            if len(shapes) > 1:
                raise Unknown("an operand may have one of several shapes") from None
            raise
        results.append((*shape, scalars + sum(elements(operand) for operand in operands[1:])))
    result = only(results, "its operands broadcast")
    walk.column(index)["extra_elements"] = result[-1]
    return result[:-1]


def _hidden_operand(walk: Walk, index: int, number: int, n_elements: int) -> list[Shape]:
    """Return the possible shapes of an operand that had `n_elements` elements."""
    out = walk.table.output_shapes[index]
    producer, source, _ = walk.flow.operands[index][number]
    seen = list(broadcastable(out, n_elements))
    if producer < 0 and source not in walk.flow.input_shapes:
        return [tuple(shape) for shape in seen]
    base, now = walk.base_of(index, number)
    return [shape for traced in seen for shape in through_view(base, now, traced)]


def _concatenate(walk: Walk, index: int) -> Shape:
    operands = walk.flow.operands[index]
    if any(map(walk.flow.is_constant, operands)):
        raise Unknown("it joins a parameter or constant to what changes")
    if any(viewed for _, _, viewed in operands[1:]):
        raise Unknown("it joins views")
    shapes = [walk.operand(index, number) for number in range(len(operands))]
    traced = [walk.table.input_shapes[index]]
    traced += [walk.base_of(index, number)[0] for number in range(1, len(operands))]
    out = walk.table.output_shapes[index]
    joined: list[Shape] = []
    found: Mismatch | None = None
    for axis, size in enumerate(out):
        if any(len(shape) != len(out) for shape in traced):
            break
        rest = {shape[:axis] + shape[axis + 1 :] for shape in traced}
        if sum(shape[axis] for shape in traced) == size and len(rest) == 1:
            try:
                joined.append(_joined(shapes, axis))
            except Mismatch as error:
                found = error
    if found is not None:
        raise found
    return only(joined, "it joins its operands")


def _joined(shapes: list[Shape], axis: int) -> Shape:
    for other in range(len(shapes[0])):
        for shape in shapes[1:]:
            bad = np.not_equal(shape[other], shapes[0][other])
            if other != axis and np.any(bad):
                raise mismatch(
                    f"cannot join {{}} and {{}} along dimension {other}",
                    bad,
                    shapes[0][other],
                    shape[other],
                )
    total: Size = 0
    for shape in shapes:
        total = total + shape[axis]
    return (*shapes[0][:axis], total, *shapes[0][axis + 1 :])


def _move(walk: Walk, index: int) -> Shape:
    op, shape = walk.table.ops[index], walk.operand(index, 0)
    before, out = walk.table.input_shapes[index], walk.table.output_shapes[index]
    if op == "cat":
        joined = _concatenate(walk, index)
        total = sum(
            elements(walk.operand(index, i)) for i in range(1, len(walk.flow.operands[index]))
        )
        walk.column(index)["extra_elements"] = total
        return joined
    _alone(walk, index)
    if op in _COPYING and before == out:
        return shape
    if op == "pad":
        return _padded(walk, index, shape)
    raise Unknown("this movement of data is not followed")


def _padded(walk: Walk, index: int, shape: Shape) -> Shape:
    """Return the padded shape; raise Unknown if the padding may depend on the input's size.

    Torch's padding modules have fixed amounts; a function call may compute its amounts.
    """
    before, out = walk.table.input_shapes[index], walk.table.output_shapes[index]
    owner = walk.table.owners[int(walk.table.records["owner"][index])]
    by_module = _PADDING_MODULE.fullmatch(walk.table.nodes[owner.node].class_name)
    positions = shape[2:] if len(shape) >= IMAGE_RANK else ()
    axes = list(zip(shape, before, out, strict=True))
    grows = any(not is_fixed(now) and a != b for now, a, b in axes)
    if not by_module and (grows or not all(map(is_fixed, positions))):
        raise Unknown("its padding may follow from the sizes")
    return tuple(now + (b - a) for now, a, b in axes)


def _reduce(walk: Walk, index: int) -> Shape:
    before, out = walk.table.input_shapes[index], walk.table.output_shapes[index]
    return only(reduced(before, walk.operand(index, 0), out), "it reduces dimensions")


FOLLOW_RULES: dict[str, FollowRule] = {
    **dict.fromkeys(PRODUCTS, _product),
    **dict.fromkeys(CHANNEL_NORMS, _channel_norm),
    **dict.fromkeys(LAST_NORMS, _last_norm),
    **dict.fromkeys(KEEPING, _keeping),
    **dict.fromkeys(POOLS, _pool),
    **dict.fromkeys(ADAPTIVE, _adaptive_pool),
    **dict.fromkeys(RESIZING, _resize),
    **dict.fromkeys(REDUCING, _reduce),
    "identity": _identity,
    "prelu": _prelu,
    "glu": _glu,
    "elementwise": _elementwise,
    "move": _move,
}
"""Op kind -> rule for its output shape and weights."""

NOT_FOLLOWED: dict[str, str] = {
    "invalid": "no op",
    "uncalled": "a module that was never called",
    "parameters": "parameters of inner modules",
    "uncounted": "an op that has no rule",
    "bilinear": "its weight joins two operands",
    "matmul": "either operand may have turned or cut what it was made from",
    "attention": "heads and features are cut out of one dimension",
    "rnn": "its weights are those of several gates and steps",
    "lstm": "its weights are those of several gates and steps",
    "gru": "its weights are those of several gates and steps",
    "embedding": "the size of its table does not follow from its sizes",
    "grid_sample": "its grid is an operand",
    "distance": "either operand may be a view",
}
"""Op kind -> reason why a change of shapes that reaches it is an error."""
