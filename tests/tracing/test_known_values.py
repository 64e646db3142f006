"""What a forward may ask without a run: shapes, devices, and values that no input decides."""

import pytest
import torch
from support.small_models import PER_ROW, ROWS, linear, scan
from support.tracing_cases import Calls, function, report_of, table_of_real_run
from torch.nn import functional as F  # noqa: N812 - torch's own custom

from bopscount import TraceError


def test_shapes_may_be_looked_at_without_a_run():
    def forward(self, x):
        batch, width = x.shape
        assert x.dim() == 2 and x.size(-1) == width and len(x) == batch  # noqa: PT018
        assert x.dtype == torch.float32
        assert x.is_floating_point()
        assert x.numel() == batch * width
        assert isinstance(x, torch.Tensor)
        if torch.is_tensor(x) and not torch.is_complex(x) and x.stride(0) == width:
            torch._assert(x.shape[0] == batch, "batch")
            x = self.a(x.to(self.a.weight.device).to(self.a.weight.dtype))
        return x.new_zeros(x.shape).copy_(x)

    assert scan(Calls(forward, a=linear()), ROWS).macs == 3 * PER_ROW


def test_constants_may_be_looked_at_without_a_run():
    def forward(self, x):
        steps = torch.arange(4)
        for step in steps:
            x = x + step.item()
        lengths = torch.tensor([3, 2, 1])
        mask = torch.arange(int(lengths.max()))[None] < lengths[:, None]
        if mask.any() and torch.equal(steps, torch.arange(4)) and bool(self.flag):
            x = self.a(x)
        return x[: int(lengths[0])]

    model = Calls(forward, a=linear())
    model.register_buffer("flag", torch.ones(()))
    report = report_of(model, ROWS, run="never")
    assert report.totals.macs == 3 * PER_ROW
    assert not report.ran_model


def test_a_check_of_values_is_taken_to_hold_without_a_run():
    def forward(self, x, low):
        torch._check_tensor_all(x.abs() >= low)
        return self.a(x)

    model = Calls(forward, a=linear())
    assert scan(model, (ROWS, torch.tensor(0))).macs == 3 * PER_ROW
    assert table_of_real_run(model, (ROWS, torch.tensor(0))).totals().macs == 3 * PER_ROW
    known = Calls(lambda self, x: torch._check_tensor_all(torch.arange(3) > x.shape[0]))
    with pytest.raises(TraceError):
        scan(known, ROWS)


def test_a_size_may_come_from_a_tensor_of_integers():
    def forward(self, x, sizes):
        height, width = sizes
        return self.a(F.interpolate(x[None, None], size=(height, width), mode="bilinear"))

    model = Calls(forward, a=linear())
    assert scan(model, (ROWS, torch.tensor([5, 8]))).macs == 5 * PER_ROW


@pytest.mark.parametrize(
    "move",
    [
        lambda i, x: i.to(x.device),
        lambda i, x: i.to(device=x.device, dtype=torch.int32),
        lambda i, x: torch.as_tensor(i, device=x.device),
        lambda i, x: torch.as_tensor([2], device=x.device),
    ],
)
def test_integers_that_are_moved_to_where_the_input_is_keep_their_values(move):
    model = Calls(lambda self, x, i: self.a(x[: move(i, x).tolist()[0]]), a=linear())
    assert scan(model, (ROWS, torch.tensor([2]))).macs == 2 * PER_ROW
    assert scan(model, (ROWS.to("meta"), torch.tensor([2]))).macs == 2 * PER_ROW


CHOSEN = torch.tensor([True, False, True])


@pytest.mark.parametrize(
    "select",
    [
        lambda x, chosen: x[chosen],
        lambda x, chosen: x[chosen.to(x.device), :],
        lambda x, chosen: x[None, chosen][0],
        lambda x, chosen: x.t()[..., chosen].t(),
        lambda x, chosen: x[chosen[:, None].expand_as(x)].view(-1, 8),
        lambda x, chosen: x[:, None][chosen, torch.zeros(2, dtype=torch.int64)],
    ],
)
def test_an_index_by_a_mask_of_known_values_has_a_known_shape(select):
    model = Calls(lambda self, x, chosen: self.a(select(x, chosen)), a=linear())
    assert select(ROWS, CHOSEN).shape == (2, 8)
    assert scan(model, (ROWS, CHOSEN)).macs == 2 * PER_ROW


def test_a_large_mask_that_is_a_small_one_expanded_is_looked_into():
    def forward(self, x, chosen):
        mask = chosen[:, None].expand_as(x).to(x.device)
        return self.a(x[mask].view(-1, 8))

    chosen = torch.arange(20_000) < 7
    assert scan(
        Calls(forward, a=linear()), (torch.empty(20_000, 8, device="meta"), chosen)
    ).macs == (7 * PER_ROW)


def test_a_mask_of_another_length_is_an_error_and_one_from_the_input_is_not_known():
    with pytest.raises(TraceError):
        scan(function(lambda x, chosen: x[chosen]), (ROWS, CHOSEN[:2]))
    with pytest.raises(TraceError):
        scan(function(lambda x: x[x[:, 0] > 0]), ROWS)
    written = function(lambda x, chosen: x[chosen.clone().logical_and_(x[:, 0] > 0)])
    with pytest.raises(TraceError):
        scan(written, (ROWS, CHOSEN))


def test_the_device_that_a_model_sees_does_for_new_tensors():
    def forward(self, x):
        y = self.a(x) + torch.ones(6, device=x.device, dtype=x.dtype)
        return y + torch.zeros_like(y) + torch.full((3, 6), 2.0, device=self.a.weight.device)

    for model in (Calls(forward, a=linear()), Calls(forward, a=linear()).to("meta")):
        assert scan(model, ROWS).macs == 3 * PER_ROW


def test_parameters_and_tensors_moved_to_a_device_stay_in_the_trace():
    def forward(self, x):
        weight = self.a.weight.cpu().to("cpu").to(torch.device("cpu"))
        table = torch.zeros(3, 6)
        table[:] = self.a(x)
        return F.linear(x.cpu().to("cpu"), weight) @ table.cpu().t()

    report = report_of(Calls(forward, a=linear()), ROWS, run="never")
    assert report.totals.macs == 2 * 3 * PER_ROW + 3 * 6 * 3
