"""The report as data: JSON and back, sums, pandas, what was not counted."""

import json
import sys

import pytest
import torch
from torch import nn

import bopscount
from bopscount import InputError, Report
from bopscount.report.formats.table import scaled

HEADERS = [
    "module name",
    "input shape",
    "output shape",
    "params",
    "memory(MB)",
    "MAdd",
    "Flops",
    "Bops",
    "MemRead(B)",
    "MemWrite(B)",
    "MemR+W(B)",
]


class Net(nn.Module):
    """Leaves two deep, a product and an addition in the forward, own parameters."""

    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(
            nn.Sequential(nn.Conv2d(3, 4, 3, bias=False), nn.BatchNorm2d(4)), nn.ReLU()
        )
        self.mix = nn.Parameter(torch.zeros(6, 2))

    def forward(self, x):
        x = self.body(x)
        return (x + 1) @ self.mix


def table_of():
    return bopscount.trace(Net(), (3, 8, 8), batch_size=2)


@pytest.fixture
def report():
    return bopscount.count(table_of())


@pytest.mark.parametrize("rules", ["torchstat", "full"])
@pytest.mark.parametrize("granularity", [1, 2, 4])
def test_a_report_survives_json(rules, granularity):
    report = bopscount.count(table_of(), rules=rules, query_granularity=granularity)
    data = report.to_dict()
    copy = Report.from_dict(json.loads(json.dumps(data)))
    assert copy == report
    assert copy.to_dict() == data
    assert str(copy) == str(report)
    assert copy.rows == report.rows
    assert copy.by_module(2) == report.by_module(2)


def test_a_timed_report_survives_json(capsys):
    report = bopscount.stat(Net(), (3, 8, 8))
    copy = Report.from_dict(json.loads(json.dumps(report.to_dict())))
    assert copy == report
    assert str(copy) == str(report)
    assert capsys.readouterr().out.startswith(str(copy))


def test_the_json_form_has_a_schema_version_and_every_figure(report):
    data = report.to_dict()
    assert data["schema_version"] == 1
    assert data["rules"] == "torchstat"
    assert data["status"] == "complete"
    assert data["totals"]["macs"] == report.totals.macs
    assert data["totals"]["ops"] == report.totals.ops
    assert [row["module_path"] for row in data["rows"]] == [r.module_path for r in report.rows]
    conv = next(row for row in data["rows"] if row["module_path"] == "body.0.0")
    assert (conv["input_shape"], conv["output_shape"]) == ([3, 8, 8], [4, 6, 6])


def test_costs_past_64_bits_survive_json():
    layers = bopscount.new_layers(4)
    layers["kind"] = 4
    layers["owner"] = range(4)
    layers["batch"] = 2**56
    report = bopscount.count(layers)
    assert report.totals.ops_x64 == 4 * 2**62
    assert Report.from_dict(json.loads(json.dumps(report.to_dict()))) == report


@pytest.mark.parametrize("version", [0, 2, "1", None])
def test_another_schema_version_is_refused(report, version):
    with pytest.raises(InputError, match="schema_version must be 1") as error:
        Report.from_dict(report.to_dict() | {"schema_version": version})
    assert repr(version) in str(error.value)


@pytest.mark.parametrize("data", [None, [], {}, {"schema_version": 1}, {"schema_version": 1.5}])
def test_data_that_is_no_report_is_refused(data):
    with pytest.raises(InputError):
        Report.from_dict(data)


@pytest.mark.parametrize(
    "broken",
    [
        {"layers": 3},
        {"layers": [3]},
        {"kinds": []},
        {"totals": {"macs": "many"}},
        {"nodes": [{"path": "a"}]},
        {"left_out": 3},
    ],
)
def test_a_report_with_a_broken_part_is_refused(report, broken):
    with pytest.raises(InputError, match="data is no report"):
        Report.from_dict(report.to_dict() | broken)


def test_by_kind_sums_the_ops_of_each_kind(report):
    kinds = report.by_kind()
    assert set(kinds) >= {"conv", "batch_norm", "relu", "matmul"}
    assert kinds["conv"].macs == 2 * 4 * 36 * 27
    assert kinds["matmul"].macs == 2 * 4 * 6 * 6 * 2
    assert kinds["batch_norm"].macs == 0
    assert kinds["batch_norm"].params == 8
    assert sum(total.macs for total in kinds.values()) == report.totals.macs
    assert sum(total.params for total in kinds.values()) == report.totals.params


def test_by_module_sums_by_the_first_names_of_the_path(report):
    by_one, by_two = report.by_module(), report.by_module(2)
    assert set(by_one) - {"(functional)"} == {"(parameters)", "(matmul)", "body"}
    assert set(by_two) - set(by_one) == {"body.0", "body.1"}
    assert by_one["body"].params == 4 * 27 + 8
    assert by_two["body.0"].macs == by_one["body"].macs == 2 * 4 * 36 * 27
    assert by_one["(parameters)"].params == 12
    for depth in (1, 2, 3, 99):
        groups = report.by_module(depth)
        assert sum(total.mem_read for total in groups.values()) == report.totals.mem_read


@pytest.mark.parametrize("depth", [0, -1, 1.5, "1", None, True])
def test_a_depth_that_is_none_is_refused(report, depth):
    with pytest.raises(InputError, match="depth must be a positive integer"):
        report.by_module(depth)


def test_a_row_has_what_the_design_names(report):
    rows = {row.module_path: row for row in report.rows}
    row = rows["body.0.0"]
    assert (row.kind, row.calls, row.duration) == ("conv", 1, None)
    assert (row.weight_bits, row.input_bits) == (32, 32)
    assert (row.input_shape, row.output_shape) == ((3, 8, 8), (4, 6, 6))
    assert row.ops == row.macs == row.ops_x64 / 64
    assert row.mem_read_write == row.mem_read + row.mem_write
    assert rows["body.1"].weight_bits is None


def test_costs_are_python_integers(report):
    for item in (report.totals, *report.rows):
        assert all(type(cost) is int for cost in item.costs())
    assert type(report.totals.ops) is float


def test_pandas_gets_the_table_s_headers_and_raw_numbers(report):
    frame = report.to_pandas()
    assert list(frame.columns) == HEADERS
    assert len(frame) == len(report.rows)
    assert frame["module name"].tolist() == [row.module_path for row in report.rows]
    assert frame["params"].tolist() == [row.params for row in report.rows]
    assert frame["MAdd"].tolist() == [row.madd for row in report.rows]
    assert frame["MemR+W(B)"].sum() == report.totals.mem_read_write
    conv = frame[frame["module name"] == "body.0.0"].iloc[0]
    assert conv["input shape"] == "3 8 8"
    # Per sample, as in the printed column.
    assert conv["memory(MB)"] == 4 * 4 * 36 / 2**20


def test_pandas_gets_the_durations_of_a_timed_report(capsys):
    frame = bopscount.stat(Net(), (3, 8, 8)).to_pandas()
    assert list(frame.columns) == [*HEADERS[:-1], "duration[%]", HEADERS[-1]]
    assert abs(frame["duration[%]"].sum() - 100) < 1e-6


def test_without_pandas_the_error_says_what_to_install(report, monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(InputError, match=r"pip install 'bopscount\[pandas\]'"):
        report.to_pandas()


class Unknown(nn.Module):
    """Calls an op that no table will ever hold."""

    def __init__(self):
        super().__init__()
        self.inner = nn.Sequential(nn.ReLU(), Unknown.Op())

    class Op(nn.Module):
        def forward(self, x):
            return torch.ops.bopscount_tests.nobody_knows(x)

    def forward(self, x):
        return self.inner(self.inner(x))


@pytest.fixture(scope="module")
def unknown_op():
    library = torch.library.Library("bopscount_tests", "DEF")
    library.define("nobody_knows(Tensor x) -> Tensor")
    library.impl("nobody_knows", lambda x: x.clone(), "CompositeExplicitAutograd")
    yield
    library._destroy()


@pytest.mark.usefixtures("unknown_op")
@pytest.mark.parametrize("rules", ["torchstat", "full"])
def test_an_op_without_a_rule_makes_the_report_a_lower_bound_that_names_it(rules):
    report = bopscount.count(bopscount.trace(Unknown(), (2,)), rules=rules)
    assert report.status == "lower bound"
    (item,) = report.uncounted
    assert "nobody_knows" in item.op
    assert (item.module_path, item.calls) == ("inner.1", 2)
    footer = str(report).splitlines()[-1]
    assert "lower bound" in footer
    assert "nobody_knows" in footer
    assert "inner.1" in footer
    assert Report.from_dict(report.to_dict()).status == "lower bound"


def test_what_the_rules_leave_out_is_data_and_a_footnote(report):
    ((op, calls),) = report.left_out.items()
    assert "add" in op
    assert calls == 1
    assert f"{op} (1x)" in str(report).splitlines()[-1]
    full = bopscount.count(table_of(), rules="full")
    assert full.left_out == {}
    assert full.totals.flops > report.totals.flops
    assert str(full).splitlines()[-1].startswith("Total MemR+W")


def test_a_model_counted_whole_has_no_footnote():
    report = bopscount.count(bopscount.trace(nn.Sequential(nn.Linear(4, 2)), (4,)))
    assert (report.status, report.uncounted, report.left_out) == ("complete", [], {})
    assert str(report).splitlines()[-1].startswith("Total MemR+W")


def test_a_bare_array_has_one_row_an_owner():
    layers = bopscount.new_layers(3)
    layers["kind"] = 4
    layers["owner"] = [0, 1, 0]
    layers["in_channels"] = [2, 3, 5]
    report = bopscount.count(layers)
    assert [row.macs for row in report.rows] == [7, 3]
    assert report.totals.macs == 10


def test_the_printed_table_of_a_batch_shows_memory_by_sample(report):
    alone = bopscount.count(bopscount.trace(Net(), (3, 8, 8)))
    assert alone.to_pandas()["memory(MB)"].tolist() == report.to_pandas()["memory(MB)"].tolist()


@pytest.mark.parametrize("of", ["report", "table", "totals", "row"])
def test_what_a_notebook_shows_is_one_short_line(report, of):
    shown = repr({"report": report, "table": table_of(), "totals": report.totals,
                  "row": report.rows[0]}[of])  # fmt: skip
    assert len(shown.splitlines()) == 1
    assert len(shown) < 160
    if of != "table":
        assert "MACs" in shown


@pytest.mark.parametrize(
    ("value", "step", "text"),
    [
        (999, 1000, "999"), (1000, 1000, "1.0K"), (999_994, 1000, "999.99K"),
        (999_995, 1000, "1.0M"), (999_999, 1000, "1.0M"), (999_999_999, 1000, "1.0G"),
        (999_999_999_999, 1000, "1.0T"), (248_883_190, 1000, "248.88M"), (1023, 1024, "1023"),
        (1_048_575, 1024, "1.0M"), (5 * 10**15, 1000, "5000.0T"), (0, 1000, "0"),
    ],
)  # fmt: skip
def test_scaled_numbers_have_the_prefix_of_what_they_round_to(value, step, text):
    assert scaled(value, step) == text
