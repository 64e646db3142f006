"""Models that look at values of their input: run, or refused under run='never'."""

import pytest
import torch
from support.small_models import PER_ROW, ROWS, linear, scan
from support.tracing_cases import Calls
from torch import nn

import bopscount
from bopscount import TraceError


def by_item(self, x):
    x = self.a(x)
    return x * 2 if x.sum().item() > 0 else x


def by_branch(self, x):
    x = self.a(x)
    return x if (x > 0).all() else -x


def by_nonzero(self, x):
    x = self.a(x)
    return x[x.sum(1).abs() >= 0] @ torch.ones(6, 2)


def by_index(self, x):
    x = self.a(x)
    rows = torch.nonzero(x.sum(1).abs() >= 0).squeeze(1)
    return x[rows] @ torch.ones(6, 2)


def by_list(self, x):
    return self.a(x)[: len(x.argmax(1).tolist())]


def by_numpy(self, x):
    return self.a(torch.from_numpy(x.numpy() * 2))


def by_loop(self, x):
    x = self.a(x)
    for value in x.flatten()[:2]:
        if float(value) < float("inf"):
            x = x + 1
    return x


def by_unique(self, x):
    return self.a(x).unique() * 1


BY_VALUES = [by_item, by_branch, by_nonzero, by_index, by_list, by_numpy, by_loop, by_unique]
by_values = pytest.mark.parametrize("forward", BY_VALUES)


def macs_by_values(forward):
    return 3 * PER_ROW + (36 if forward in (by_nonzero, by_index) else 0)


@by_values
def test_a_model_that_looks_at_values_is_run_and_says_so(forward, capsys):
    model = Calls(forward, a=linear())
    table = bopscount.trace(model, inputs=ROWS)
    assert table.ran_model
    report = bopscount.stat(model, inputs=ROWS, timing=False)
    assert report.ran_model
    assert report.to_dict()["ran_model"] is True
    assert report.totals.macs == macs_by_values(forward)
    assert "run once to be recorded" in capsys.readouterr().out.strip().splitlines()[-1]
    assert bopscount.scan(model, (8,), batch_size=3).macs == macs_by_values(forward)


@by_values
def test_a_model_that_looks_at_values_is_not_run_under_never(forward):
    with pytest.raises(TraceError) as caught:
        scan(Calls(forward, a=linear()), ROWS)
    assert "run='auto'" in str(caught.value)
    assert caught.value.__cause__ is not None
    assert caught.value.module_path == ""


@by_values
def test_a_model_on_meta_that_looks_at_values_is_an_error_that_says_where(forward):
    inner = Calls(forward, a=linear()).to("meta")
    for given in (ROWS, ROWS.to("meta")):
        with pytest.raises(TraceError) as caught:
            bopscount.scan(nn.Sequential(nn.ReLU(), inner), inputs=given)
        assert caught.value.module_path == "1"
        assert "meta" in str(caught.value).lower()


def test_a_model_on_meta_that_looks_at_values_names_the_op():
    model = Calls(by_item, a=linear()).to("meta")
    with pytest.raises(TraceError) as caught:
        bopscount.scan(model, inputs=ROWS)
    assert "item" in str(caught.value)


def test_a_model_run_for_its_values_takes_the_branch_that_they_say():
    def forward(self, x):
        return self.a(x) if x.sum() > 0 else self.b(x)

    model = Calls(forward, a=linear(), b=nn.Linear(8, 2, bias=False))
    assert bopscount.scan(model, inputs=torch.ones(3, 8)).macs == 3 * PER_ROW
    assert bopscount.scan(model, inputs=-torch.ones(3, 8)).macs == 3 * 16


def test_a_model_run_for_its_values_has_its_rows_and_its_flow():
    model = nn.Sequential(linear(), Calls(lambda self, x: x * x.max().item()), nn.Linear(6, 2))
    table = bopscount.trace(model, inputs=ROWS)
    report = bopscount.count(table, rules="full")
    rows = {row.module_path: row for row in report.rows}
    assert rows["0"].macs == 3 * PER_ROW
    assert rows["2"].macs == 3 * 12
    assert rows["1.(functional)"].flops > 0
    assert sum(row.flops for row in report.rows) == report.totals.flops


def test_an_error_of_a_model_that_is_run_is_its_own():
    def forward(self, x):
        if x.sum().item() > float("-inf"):
            raise ValueError("not these values")

    with pytest.raises(TraceError, match="not these values") as caught:
        bopscount.scan(Calls(forward, a=linear()), inputs=ROWS)
    assert isinstance(caught.value.__cause__, ValueError)
