"""The table that torchstat's Bops extension published, figure for figure."""

import io
import json
import re
from contextlib import redirect_stdout

import pytest
import torch
from support.paths import GOLDEN

import bopscount
from bopscount.networks import NETWORKS

PUBLISHED = json.loads((GOLDEN / "seed_readme_table.json").read_text())
PUBLISHED_TEXT = (GOLDEN / "seed_readme.txt").read_text()
FIGURES = ("params", "madd", "flops", "bops", "mem_read", "mem_write")
HEADERS = (
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
    "duration[%]",
    "MemR+W(B)",
)


@pytest.fixture(scope="module")
def printed_report():
    """What stat() returns and what it printed, timed on the CPU."""
    network = NETWORKS["binary_resnet18"]
    output = io.StringIO()
    threads = torch.get_num_threads()
    # Threads that wait for a busy machine's cores make this many times slower.
    torch.set_num_threads(1)
    try:
        with redirect_stdout(output):
            report = bopscount.stat(network.build(), network.input_size)
    finally:
        torch.set_num_threads(threads)
    return report, output.getvalue()


@pytest.fixture(scope="module")
def report(printed_report):
    return printed_report[0]


@pytest.fixture(scope="module")
def printed(printed_report):
    return printed_report[1]


def table_lines(text):
    """Header, rows and total row of a printed table."""
    lines = text.splitlines()
    header = next(index for index, line in enumerate(lines) if "module name" in line)
    rule = next(index for index, line in enumerate(lines) if re.fullmatch("=+", line.strip()))
    return lines[header:rule]


def cells(line):
    """The words of a line, without the duration, which is a measurement."""
    return [word for word in line.split() if not word.endswith("%")]


def column_of_cells(lines, header):
    """The last word of each cell under a (right-aligned) header."""
    end = lines[0].index(header) + len(header)
    return [line[:end].split()[-1] for line in lines[1:]]


def test_the_published_table_is_as_long_as_its_json():
    assert len(table_lines(PUBLISHED_TEXT)) == len(PUBLISHED["rows"]) + 2 == 72


def test_every_figure_of_every_row_is_the_published_one(report):
    ours = [
        {
            "name": row.module_path,
            "input_shape": list(row.input_shape),
            "output_shape": list(row.output_shape),
            "memory_mb": round(row.memory_bytes / 2**20, 2),
            "mem_rw": row.mem_read_write,
            **{name: getattr(row, name) for name in FIGURES},
        }
        for row in report.rows
    ]
    assert ours == PUBLISHED["rows"]


def test_every_total_is_the_published_one(report):
    totals = report.totals
    expected = PUBLISHED["total"]
    assert totals.params == expected["params"]
    assert totals.madd == expected["madd"]
    assert totals.flops == expected["flops"]
    assert totals.bops == expected["bops"]
    assert totals.mem_read_write == expected["mem_rw"]
    assert round(totals.memory_bytes / 2**20, 2) == expected["memory_mb"]


@pytest.mark.parametrize("name", FIGURES)
def test_every_total_is_the_sum_of_the_published_column(report, name):
    assert getattr(report.totals, name) == sum(row[name] for row in PUBLISHED["rows"])


def test_the_summary_lines_are_the_published_ones(printed):
    lines = printed.splitlines()
    positions = [lines.index(line) for line in PUBLISHED["summary"]]
    assert positions == sorted(positions)


def test_the_rules_are_as_wide_as_the_table(printed):
    lines = printed.splitlines()
    params = lines.index(PUBLISHED["summary"][0])
    width = max(map(len, table_lines(printed)))
    assert lines[params - 1] == "=" * width
    assert lines[params + 1] == "-" * width


def test_the_header_names_the_published_columns_in_their_order(printed):
    assert table_lines(printed)[0].split() == table_lines(PUBLISHED_TEXT)[0].split()


def test_every_cell_of_every_row_is_the_published_one(printed):
    ours = [cells(line) for line in table_lines(printed)[1:-1]]
    assert ours == [cells(line) for line in table_lines(PUBLISHED_TEXT)[1:-1]]


def test_every_cell_of_the_total_row_is_the_published_one_or_its_column_s_sum(printed):
    expected = cells(table_lines(PUBLISHED_TEXT)[-1])
    # The two that repeat the last layer's figures.
    assert expected[-3:-1] == ["22568.0", "40.0"]
    for index, name in ((-3, "mem_read"), (-2, "mem_write")):
        expected[index] = f"{sum(row[name] for row in PUBLISHED['rows'])}.0"
    assert cells(table_lines(printed)[-1]) == expected


@pytest.mark.parametrize(
    "header", ["params", "MAdd", "Flops", "Bops", "MemRead(B)", "MemWrite(B)", "MemR+W(B)"]
)
def test_a_printed_column_adds_up_to_its_printed_total(printed, header):
    column = column_of_cells(table_lines(printed), header)
    *values, total = [int(cell.replace(",", "").removesuffix(".0")) for cell in column]
    assert sum(values) == total


def test_the_printed_memory_total_is_the_sum_of_the_raw_values(printed, report):
    column = column_of_cells(table_lines(printed), "memory(MB)")
    raw = sum(row.memory_bytes for row in report.rows) / 2**20
    assert column[-1] == f"{raw:.2f}"
    # The rounded cells add up to something else.
    assert column[-1] != f"{sum(map(float, column[:-1])):.2f}"


def test_every_header_stands_over_the_right_edge_of_its_cells(printed):
    header, *rows = table_lines(printed)
    for name in HEADERS:
        end = header.index(name) + len(name)
        for row in rows[:-1]:
            assert row[end - 1] != " ", (name, row)
            assert row[end : end + 1] in ("", " "), (name, row)


def test_the_printed_durations_are_shares_of_all(printed):
    column = column_of_cells(table_lines(printed), "duration[%]")
    assert column[-1] == "100.00%"
    assert abs(sum(float(cell.removesuffix("%")) for cell in column[:-1]) - 100) < 0.5


def test_what_was_printed_is_the_report_as_text(printed_report):
    report, printed = printed_report
    assert printed.rstrip("\n") == str(report).rstrip("\n")


def test_the_same_network_on_meta_has_the_same_figures(report):
    network = NETWORKS["binary_resnet18"]
    with torch.device("meta"):
        model = network.build()
    counted = bopscount.count(bopscount.trace(model, network.input_size))
    assert [row.costs() for row in counted.rows] == [row.costs() for row in report.rows]
    assert counted.totals == report.totals


def test_every_figure_doubles_with_the_batch_but_params_and_read_weights(report):
    network = NETWORKS["binary_resnet18"]
    with torch.device("meta"):
        model = network.build()
    twice = bopscount.count(bopscount.trace(model, network.input_size, batch_size=2))
    for name in ("madd", "flops", "bops", "mem_write", "memory_bytes"):
        assert getattr(twice.totals, name) == 2 * getattr(report.totals, name)
    assert twice.totals.params == report.totals.params
    assert report.totals.mem_read < twice.totals.mem_read < 2 * report.totals.mem_read
    assert "Total memory: 29.48MB" in str(twice)


def test_what_the_rules_leave_out_is_named_under_the_table(printed):
    footer = printed[printed.index(PUBLISHED["summary"][-1]) :]
    assert "(16x)" in footer
    assert "add" in footer
