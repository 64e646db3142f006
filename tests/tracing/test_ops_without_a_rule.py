"""An op without a rule is listed, or refused if one is strict; never silent."""

import pytest
import torch
from support.op_cases import ROWS
from support.tracing_cases import function, report_of, values
from torch import nn

import bopscount
from bopscount import TraceError

UNRULED = {
    "fft": (torch.fft.fft, "fft"),
    "rfft2": (torch.fft.rfft2, "fft"),
    "sort": (lambda x: torch.sort(x, -1), "sort"),
    "topk": (lambda x: x.topk(2), "topk"),
    "cholesky": (lambda x: torch.linalg.cholesky(x @ x.mT + torch.eye(8)), "cholesky"),
    "solve": (lambda x: torch.linalg.solve(x, x), "solve"),
    "inverse": (torch.linalg.inv, "inv"),
    "svd": (torch.linalg.svdvals, "svd"),
    "qr": (torch.linalg.qr, "qr"),
    "eigh": (torch.linalg.eigh, "eigh"),
}
SQUARE = values(2, 8, 8)


class Deep(nn.Module):
    """Calls a function n times in a module two levels down."""

    def __init__(self, call, times=3):
        super().__init__()
        self.inner = nn.Sequential(nn.ReLU(), function(lambda x: [call(x) for _ in range(times)]))

    def forward(self, x):
        return self.inner(x)


@pytest.mark.parametrize("name", UNRULED)
def test_an_op_without_a_rule_is_listed_and_never_silent(name):
    call, word = UNRULED[name]
    report = report_of(Deep(call), SQUARE, run="never")
    assert report.status == "lower bound"
    (missing,) = (op for op in report.uncounted if word in op.op)
    assert missing.module_path == "inner.1"
    assert missing.calls == 3
    assert report.to_dict()["status"] == "lower bound"
    footer = str(report).rsplit("\n", 3)[-2]
    assert "No rule, so the numbers are a lower bound" in footer
    assert f"{missing.op} in inner.1 (3x)" in footer


@pytest.mark.parametrize("name", UNRULED)
def test_strict_raises_where_an_op_has_no_rule(name):
    call, word = UNRULED[name]
    for count in (bopscount.trace, bopscount.scan, bopscount.stat):
        with pytest.raises(TraceError) as caught:
            count(Deep(call), inputs=SQUARE, strict=True)
        assert caught.value.module_path == "inner.1"
        assert word in str(caught.value)
        assert "inner.1" in str(caught.value)


def test_strict_lets_pass_what_has_rules(capsys):
    model = nn.Sequential(nn.Linear(8, 6), nn.ReLU())
    assert bopscount.scan(model, inputs=ROWS, strict=True).macs == 15 * 8 * 6
    assert bopscount.trace(model, inputs=ROWS, strict=True).totals().macs == 15 * 8 * 6
    report = bopscount.stat(model, inputs=ROWS, strict=True, timing=False)
    assert report.status == "complete"
    assert "lower bound" not in capsys.readouterr().out


def test_a_library_s_own_op_is_listed_by_its_name():
    with torch.library._scoped_library("bopscount_test", "FRAGMENT") as library:
        library.define("twice(Tensor x) -> Tensor")
        library.impl("twice", lambda x: 2 * x, "CPU")
        library.impl("twice", torch.empty_like, "Meta")
        report = report_of(Deep(torch.ops.bopscount_test.twice), SQUARE)
        (missing,) = report.uncounted
        assert (missing.op, missing.calls) == ("bopscount_test.twice", 3)
        assert missing.module_path == "inner.1"


def test_a_cumulative_sum_has_a_rule():
    report = report_of(Deep(lambda x: x.cumsum(0)), SQUARE, rules="full")
    assert report.status == "complete"
    assert report.totals.flops >= 3 * SQUARE.numel()
