"""Each op stands with the module that ran it, and the rows add up."""

import pytest
import torch
from support.tracing_cases import Calls, report_of, table_of_real_run, values
from torch import nn
from torch.nn import functional as F  # noqa: N812 - torch's own custom

import bopscount

ROWS = values(2, 4, 8)


def rows_of(model, inputs, rules="torchstat"):
    """Rows by path, after checking that all sums agree."""
    table = bopscount.trace(model, inputs=inputs)
    report = bopscount.count(table, rules=rules)
    totals = report.totals.costs()

    def sums(items):
        return tuple(map(sum, zip(*(item.costs() for item in items), strict=True)))

    assert sums(report.layers) == totals
    assert sums(report.by_kind().values()) == totals
    for number in (1, 2, 3):
        assert sums(bopscount.count(table, rules=rules, query_granularity=number).rows) == totals
        assert sums(report.by_module(number).values()) == totals
    assert bopscount.scan(model, inputs=inputs, rules=rules).costs() == totals
    assert report.totals.params == sum(p.numel() for p in model.parameters())
    return {row.module_path: row for row in report.rows}


both_rules = pytest.mark.parametrize("rules", ["torchstat", "full"])


@both_rules
def test_a_module_called_n_times_costs_n_times_and_has_its_parameters_once(rules):
    def forward(self, x):
        for _ in range(5):
            x = self.a(x)
        return x

    once = rows_of(Calls(lambda self, x: self.a(x), a=nn.Linear(8, 8)), ROWS, rules)["a"]
    row = rows_of(Calls(forward, a=nn.Linear(8, 8)), ROWS, rules)["a"]
    assert (row.calls, row.params) == (5, 72)
    assert (row.macs, row.flops, row.mem_write) == tuple(
        5 * value for value in (once.macs, once.flops, once.mem_write)
    )


def test_calls_of_different_shapes_add_up():
    model = Calls(lambda self, x: (self.a(x), self.a(x[:, 0]), self.a(x[0, 0])), a=nn.Linear(8, 8))
    row = rows_of(model, ROWS)["a"]
    assert (row.calls, row.macs) == (3, (8 + 2 + 1) * 64)
    assert row.input_shape == (4, 8)
    assert row.output_shape == ()


@both_rules
def test_a_module_list_used_again_and_again(rules):
    def forward(self, x):
        for index in (0, 2, 0, 1, 0):
            x = self.parts[index](x)
        return x

    parts = nn.ModuleList([nn.Linear(8, 8, bias=False) for _ in range(4)])
    rows = rows_of(Calls(forward, parts=parts), ROWS, rules)
    assert [rows[f"parts.{i}"].calls for i in range(4)] == [3, 1, 1, 0]
    assert [rows[f"parts.{i}"].macs for i in range(4)] == [3 * 512, 512, 512, 0]
    assert [rows[f"parts.{i}"].params for i in range(4)] == [64] * 4


@both_rules
def test_an_aliased_module_is_one_row_and_an_aliased_container_too(rules):
    block = nn.Sequential(nn.Linear(8, 8), nn.ReLU())
    model = nn.Sequential(block, nn.Sequential(block, block[0]), block)
    rows = rows_of(model, ROWS, rules)
    assert list(rows) == ["0.0", "0.1"]
    assert (rows["0.0"].calls, rows["0.1"].calls) == (4, 3)


@both_rules
def test_tied_weights_count_once_and_cost_each_time(rules):
    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.embed = nn.Embedding(10, 8)
            self.body = nn.Linear(8, 8, bias=False)
            self.out = nn.Linear(8, 10, bias=False)
            self.out.weight = self.embed.weight
            self.extra = self.embed.weight

        def forward(self, ids):
            x = self.body(self.embed(ids))
            return self.out(x) + F.linear(x, self.extra) + x @ self.embed.weight.t()

    rows = rows_of(Tied(), torch.zeros(2, 3, dtype=torch.int64), rules)
    # The model itself owns the weight first, as named_parameters has it.
    owners = {path: row.params for path, row in rows.items() if row.params}
    assert owners == {"(parameters)": 80, "body": 64}
    assert rows["out"].macs == rows["(linear)"].macs == rows["(matmul)"].macs == 6 * 80


@both_rules
def test_recursion_is_attributed_to_the_module_that_recurs(rules):
    class Recursive(nn.Module):
        def __init__(self):
            super().__init__()
            self.proj = nn.Linear(8, 8)

        def forward(self, x, depth=3):
            x = self.proj(x) @ x.mT @ x
            return self(x, depth - 1) if depth else x

    rows = rows_of(nn.Sequential(Recursive()), ROWS, rules)
    assert rows["0.proj"].calls == 4
    assert rows["0.(matmul)"].calls == 8
    assert rows["0.proj"].macs == 4 * 8 * 64
    assert bopscount.trace(Recursive(), inputs=ROWS).nodes[0].calls == 4


def test_a_module_that_contains_itself_through_a_list_is_followed():
    class Cyclic(nn.Module):
        def __init__(self):
            super().__init__()
            self.proj = nn.Linear(8, 8)
            self.again = [self]

        def forward(self, x, depth=2):
            return self.again[0](self.proj(x), depth - 1) if depth else self.proj(x)

    assert rows_of(Cyclic(), ROWS)["proj"].calls == 3


def test_a_registered_cycle_of_modules_is_followed():
    class Child(nn.Module):
        def __init__(self):
            super().__init__()
            self.proj = nn.Linear(8, 8)

        def forward(self, x, depth):
            return self.parent(self.proj(x), depth - 1)

    class Parent(nn.Module):
        def __init__(self):
            super().__init__()
            self.child = Child()
            self.child.parent = self

        def forward(self, x, depth=3):
            return self.child(x, depth) if depth else x

    model = Parent()
    report = report_of(model, ROWS)
    assert {row.module_path: row.calls for row in report.rows} == {"child.proj": 3}


def test_modules_never_called_keep_their_rows():
    model = Calls(
        lambda self, x: self.b(x),
        a=nn.Sequential(nn.Linear(8, 8), nn.Sequential(nn.ReLU(), nn.BatchNorm1d(3))),
        b=nn.Linear(8, 8),
        c=nn.ModuleDict({"x": nn.Conv2d(1, 1, 1)}),
    )
    rows = rows_of(model, ROWS, "full")
    assert {path: row.calls for path, row in rows.items()} == {
        "inert": 0, "a.0": 0, "a.1.0": 0, "a.1.1": 0, "b": 1, "c.x": 0, "own": 0,
    }  # fmt: skip
    assert (rows["a.0"].params, rows["c.x"].params) == (72, 2)
    assert rows["a.0"].kind == "uncalled"


def test_functional_ops_belong_to_the_module_whose_forward_calls_them():
    def inner():
        return Calls(lambda self, x: torch.tanh(self.proj(x)) @ x.mT @ x, proj=nn.Linear(8, 8))

    model = Calls(lambda self, x: self.b(torch.exp(self.a(x))), a=inner(), b=inner())
    rows = rows_of(model, ROWS, "full")
    assert rows["a.(matmul)"].calls == rows["b.(matmul)"].calls == 2
    assert rows["a.(functional)"].flops == rows["b.(functional)"].flops == ROWS.numel()
    assert rows["(functional)"].flops == ROWS.numel()


def test_a_bound_forward_called_directly_counts_for_the_caller():
    # Nothing passes through the child's __call__, as with torch's own hooks.
    model = Calls(lambda self, x: self.a.forward(x), a=nn.Linear(8, 8))
    assert report_of(model, ROWS).totals.macs == 8 * 64


def test_methods_of_a_child_other_than_forward_count():
    class Encoder(nn.Module):
        def __init__(self):
            super().__init__()
            self.proj = nn.Linear(8, 8)

        def encode(self, x):
            return self.proj(x) @ x.mT

    rows = rows_of(Calls(lambda self, x: self.encoder.encode(x), encoder=Encoder()), ROWS)
    assert rows["encoder.proj"].macs == 8 * 64
    assert sum(row.macs for row in rows.values()) == 8 * 64 + 2 * 4 * 4 * 8


def test_a_wide_and_a_deep_model_have_their_rows():
    deep = nn.Linear(8, 8)
    for _ in range(300):
        deep = nn.Sequential(deep)
    wide = nn.Sequential(*(nn.Linear(8, 8) for _ in range(300)))
    rows = rows_of(nn.Sequential(deep, wide), ROWS)
    assert len(rows) == 301
    assert {row.macs for row in rows.values()} == {512}


def test_modules_made_inside_forward_count_for_their_caller():
    def forward(self, x):
        head = nn.Sequential(nn.Linear(8, 6, bias=False), nn.ReLU())
        return self.a(head(x))

    model = Calls(forward, a=nn.Linear(6, 8, bias=False))
    report = report_of(model, ROWS, run="never")
    assert report.totals.macs == 8 * (48 + 48)
    assert report.totals.params == 48
    assert table_of_real_run(model, ROWS).totals().macs == 8 * (48 + 48)


def test_modules_kept_in_plain_containers_count_for_their_caller():
    class Hidden(nn.Module):
        def __init__(self):
            super().__init__()
            self.act = nn.ReLU()
            self.plain = [nn.Linear(8, 6, bias=False)]

        def forward(self, x):
            return self.act(self.plain[0](x))

    report = report_of(nn.Sequential(Hidden()), ROWS, run="never")
    assert report.totals.macs == 8 * 48
    assert report.totals.params == 0
