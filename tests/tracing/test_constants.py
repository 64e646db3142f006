"""What depends on shapes only has values in a trace that asks for them."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from support.against_meta import examples
from torch import nn

import bopscount


class Masked(nn.Module):
    """Draws a mask as shifted windows do, and looks at what it drew."""

    def __init__(self, draw):
        super().__init__()
        self.draw = draw
        self.linear = nn.Linear(6, 6)
        self.register_buffer("drawn_before", torch.zeros(2, 2))

    def forward(self, x):
        self.draw(self, x)
        return self.linear(x)


def seen_in_trace(draw):
    seen = []  # out of the model's reach: what it holds is put back
    model = Masked(lambda self, x: seen.append(draw(self, x)))
    table = bopscount.trace(model, (4, 6), run="never")
    return seen[0], table


def shifted_windows(model, x):
    mask = x.new_zeros((4, 4))
    for number, (rows, columns) in enumerate([((0, 2), (0, 2)), ((2, 4), (1, None))]):
        mask[slice(*rows), slice(*columns)] = number + 1
    windows = mask.view(2, 2, 2, 2).permute(0, 2, 1, 3).reshape(4, 4)
    apart = windows.unsqueeze(1) - windows.unsqueeze(2)
    return apart.masked_fill(apart != 0, -100.0).masked_fill(apart == 0, 0.0).tolist()


def test_a_mask_drawn_in_forward_has_the_values_of_a_run():
    seen, table = seen_in_trace(shifted_windows)
    assert seen == shifted_windows(None, torch.zeros(1))
    assert not bopscount.count(table).uncounted


def test_every_stroke_is_recorded():
    _, table = seen_in_trace(shifted_windows)
    fills = [i for i, op in enumerate(table.ops) if op == "fill"]
    assert [table.output_shapes[i] for i in fills] == [(2, 2), (2, 3)]


def test_a_buffer_that_is_drawn_on_is_put_back():
    def draw(model, x):
        model.drawn_before[0] = 7.0
        return float(model.drawn_before.sum())

    model = Masked(draw)
    version = model.drawn_before._version
    bopscount.trace(model, (4, 6))
    assert model.drawn_before.tolist() == [[0, 0], [0, 0]]
    assert model.drawn_before._version == version


def test_a_constant_that_is_written_with_the_input_is_none_any_more():
    def draw(model, x):
        mask = x.new_zeros((2, 6))
        mask[0] = x[0, 0]
        mask[1] = 3.0
        return (mask + 1).is_meta

    assert seen_in_trace(draw)[0] is True


def test_a_product_of_constants_too_large_to_keep_has_no_values():
    def draw(model, x):
        numbers = torch.arange(1000)
        return (numbers[:, None] - numbers[None, :]).is_meta

    assert seen_in_trace(draw)[0] is True


def test_shapes_changed_in_place_are_seen():
    def draw(model, x):
        y = model.linear(x)
        y.unsqueeze_(0).squeeze_(1)
        y.resize_(12, 2)
        return (y @ y.new_ones(2, 5)).shape

    seen, table = seen_in_trace(draw)
    assert seen == (12, 5)
    assert bopscount.count(table).totals.macs == 2 * 4 * 36 + 12 * 2 * 5


def asking(ask):
    """A model of a class of its own, and how often its forward has begun."""
    begun = []

    class Asking(nn.Module):
        def forward(self, x):
            begun.append(None)
            mask = x.new_zeros((2, 6))
            mask[0] = 1
            return x * (2 if ask(mask) else 3)

    return Asking(), begun


def test_masks_whose_values_nobody_asks_for_are_not_drawn():
    model, begun = asking(lambda mask: mask.is_meta)
    table = bopscount.trace(model, (4, 6), run="never")
    assert len(begun) == 1
    assert table.ops[:2] == ["new_zeros", "fill"]
    assert table.output_shapes[:2] == [(2, 6), (6,)]


def test_a_class_that_asks_for_values_is_tried_without_them_only_once():
    model, begun = asking(lambda mask: bool(mask[0].all()))
    for traces in (1, 2, 3):
        assert not bopscount.trace(model, (4, 6), run="never").ran_model
        assert len(begun) == traces + 1


def test_an_error_of_the_model_is_raised_once_it_is_sure_that_values_would_not_help():
    def fail(mask):
        raise KeyError("not here")

    model, begun = asking(fail)
    with pytest.raises(bopscount.TraceError, match="KeyError"):
        bopscount.trace(model, (4, 6), run="never")
    assert len(begun) == 2


PARTS = st.one_of(
    st.integers(-4, 4),
    st.none(),
    st.just(...),
    st.builds(slice, *[st.none() | st.integers(-5, 5)] * 2, st.none() | st.integers(1, 3)),
)


@examples(200)
@given(
    shape=st.lists(st.integers(0, 4), max_size=4).map(tuple),
    index=PARTS | st.lists(PARTS, max_size=5).map(tuple).filter(lambda i: i.count(...) < 2),
)
def test_a_stroke_has_the_shape_of_what_it_writes(shape, index):
    try:
        expected = tuple(torch.empty(shape, device="meta")[index].shape)
    except (IndexError, ValueError, RuntimeError):
        expected = None

    class Draws(nn.Module):
        def forward(self, x):
            mask = x.new_zeros(shape)
            mask[index] = 1.0
            return x

    try:
        table = bopscount.trace(Draws(), (1,), run="never")
    except bopscount.TraceError:
        assert expected is None
    else:
        assert table.ops[:2] == ["new_zeros", "fill"]
        assert table.output_shapes[1] == expected
