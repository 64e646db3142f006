"""Element-wise ops, reductions, movement and the rest that has no MACs in a small network."""

import pytest
import torch
from support.op_cases import IDS, X1, X2, X3, check
from support.tracing_cases import Calls, report_of, values
from torch import nn
from torch.nn import functional as F  # noqa: N812 - torch's own custom

import bopscount


def bag_of_all(x):
    """Element-wise calls, reductions, movement, indexing: what has no MACs."""
    y = x + 1 - x * 2 / (x.abs() + 3) ** 2
    y = torch.where(y > 0, y, x.exp().clamp(max=3))
    y = y + torch.arange(8, dtype=x.dtype) - x.mean(dim=(2, 3), keepdim=True)
    y -= x.amax(-1, keepdim=True)
    y[:, 0] = 0
    y[..., 1:3] += 1
    parts = torch.cat([y, x], 1).split(2, dim=1)
    z = torch.stack([*parts], 0).sum(0) + torch.chunk(y, 2, 1)[0]
    w = z.permute(0, 2, 3, 1).contiguous().view(2, -1, 2)
    w = F.pad(w, (1, 0)).roll(1, 1).flip(1)
    w = w[:, torch.tensor([0, 2, 5])].repeat(1, 2, 1).expand(2, 6, 3)
    v = torch.gather(w, 1, torch.zeros(2, 1, 3, dtype=torch.int64))
    values, positions = w.max(-1)
    out = v.squeeze(1).var(-1) + values.std(1) + positions.float().sum(1) + w.logsumexp((1, 2))
    return out, w.argmax(1), (w > 0).any(), w.cumsum(1), w.norm(dim=1), w.tril()


def grid(x):
    steps = torch.linspace(-1, 1, 5)
    y = torch.stack(torch.meshgrid(steps, steps, indexing="ij"), -1)
    return y.expand(x.shape[0], 5, 5, 2) * x.mean()


OTHERS = {
    "a bag of all": lambda: (Calls(lambda self, x: bag_of_all(x)), X2),
    "grid_sample": lambda: (
        Calls(lambda self, x: F.grid_sample(x, grid(x), align_corners=False)),
        X2,
    ),
    "max_pool with indices": lambda: (
        Calls(lambda self, x: F.max_unpool2d(*F.max_pool2d(x, 2, return_indices=True), 2)),
        values(2, 4, 8, 8),
    ),
    "MaxPool with indices": lambda: (
        Calls(
            lambda self, x: self.unpool(*self.pool(x)),
            pool=nn.MaxPool2d(2, return_indices=True),
            unpool=nn.MaxUnpool2d(2),
        ),
        values(2, 4, 8, 8),
    ),
    "fractional_max_pool": lambda: (
        Calls(
            lambda self, x: F.fractional_max_pool2d(
                x, 3, output_size=(4, 3), _random_samples=torch.full((2, 4, 2), 0.5)
            )
        ),
        X2,
    ),
    "FractionalMaxPool3d": lambda: (
        nn.FractionalMaxPool3d(2, (2, 3, 3), _random_samples=torch.full((2, 4, 3), 0.5)),
        X3,
    ),
    "AdaptiveMaxPool3d": lambda: (nn.AdaptiveMaxPool3d(2), X3),
    "LPPool3d": lambda: (nn.LPPool3d(2, 2), X3),
    "3-d grid_sample": lambda: (
        Calls(lambda self, x: F.grid_sample(x, torch.zeros(2, 2, 2, 2, 3), align_corners=False)),
        X3,
    ),
    "max_unpool1d": lambda: (
        Calls(lambda self, x: F.max_unpool1d(*F.max_pool1d(x, 2, return_indices=True), 2)),
        X1,
    ),
    "area": lambda: (Calls(lambda self, x: F.interpolate(x, size=(3, 3), mode="area")), X2),
    "nearest-exact": lambda: (nn.Upsample(scale_factor=2, mode="nearest-exact"), X2),
    "scans": lambda: (Calls(lambda self, x: x.cumsum(1).cumprod(2).logcumsumexp(1)), X2),
    "normalize": lambda: (Calls(lambda self, x: F.normalize(x, dim=1)), X2),
    "one_hot": lambda: (Calls(lambda self, ids: F.one_hot(ids, 9).float()), IDS),
    "EmbeddingBag with offsets": lambda: (
        nn.EmbeddingBag(9, 5, mode="sum"),
        (torch.tensor([1, 2, 3, 4]), torch.tensor([0, 2])),
    ),
    "meshgrid": lambda: (
        Calls(
            lambda self, x: x + sum(torch.meshgrid(torch.arange(9), torch.arange(8), indexing="ij"))
        ),
        X2,
    ),
}


@pytest.mark.parametrize("name", OTHERS)
def test_ops_without_macs_are_followed(name):
    model, inputs = OTHERS[name]()
    check(model, inputs, 0)


def test_gumbel_softmax_is_followed():
    report = report_of(Calls(lambda self, x: F.gumbel_softmax(x, dim=1)), X2, rules="full")
    assert report.status == "complete"


def test_adaptive_pooling_keeps_the_size_it_pools_to():
    model = nn.Sequential(nn.AdaptiveAvgPool2d((None, 5)), nn.AdaptiveMaxPool2d(2))
    table = bopscount.trace(model, (3, 8, 8))
    assert table.records["kernel"].tolist() == [[0, 5, 1], [2, 2, 1]]
