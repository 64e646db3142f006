"""What depends on shapes only keeps its values in a trace: a forward may look at them."""

import torch
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
