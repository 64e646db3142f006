"""The bit summary, and the columns of bits."""

import json
from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from support.networks.plain_birealnet18 import BiRealNet18
from support.random_layers import layers, pack
from torch import nn

import bopscount
from bopscount import BitSummary, InputError, _core
from bopscount.conventions.example import example_table
from bopscount.networks import NETWORKS

MAC_KINDS = {row["name"] for row in _core.OP_TABLE if row["macs"]}


@pytest.fixture(scope="module")
def bireal():
    return bopscount.count(bopscount.trace(partial(BiRealNet18), (3, 224, 224)))


def test_bireal_net_18_is_summed_up_as_larq_does(bireal):
    # larq/zoo, BiRealNet: 4.00 MiB fused, 1.98 with 8-bit floats, 44.59 all in 32 bit.
    summary = bireal.bit_summary
    assert summary.macs == {(1, 1): 1_676_279_808, (32, 32): 137_793_536}
    assert summary.params == {1: 10_985_472, 32: 704_040}
    assert summary.memory_bits == {1: 10_985_472, 32: 32 * 704_040}
    assert summary.size_bits == 33_514_752
    assert summary.size_mib == pytest.approx(3.99527, abs=5e-6)
    assert summary.int8_rest_mib == pytest.approx(1.980995, abs=5e-7)
    assert summary.float32_mib == pytest.approx(44.591949, abs=5e-7)
    assert summary.compression_ratio == pytest.approx(44.591949 / 3.99527, rel=1e-5)
    assert summary.binary_share == pytest.approx(0.92404, abs=5e-6)
    assert summary.total_macs == bireal.totals.macs


@settings(max_examples=200, deadline=None)
@given(net=st.lists(layers(), max_size=6))
def test_a_summary_of_random_layers_adds_up(net):
    report = bopscount.count(pack(net))
    summary = report.bit_summary
    by_pair, params, memory = {}, {}, {}
    for fields, row in zip(net, report.layers, strict=True):
        widths = tuple(
            fields[f"{operand}_bits"] if fields[f"{operand}_bits_source"] else 32
            for operand in ("weight", "input")
        )
        by_pair[widths] = by_pair.get(widths, 0) + row.macs
        weight = fields["weight_elements"] if fields["kind"] in MAC_KINDS - {"attention"} else 0
        weight = weight if weight <= fields["logical_params"] else 0
        for count, bits in (
            (weight, fields["weight_bits"]),
            (fields["logical_params"] - weight, 32),
        ):
            params[bits] = params.get(bits, 0) + count
            memory[bits] = memory.get(bits, 0) + count * bits
    assert summary.macs == {pair: macs for pair, macs in by_pair.items() if macs}
    assert summary.params == {bits: count for bits, count in params.items() if count}
    assert summary.memory_bits == {bits: count for bits, count in memory.items() if count}
    assert sum(row.param_bits for row in report.rows) == summary.size_bits
    assert BitSummary.from_dict(json.loads(json.dumps(summary.to_dict()))) == summary


def test_half_precision_takes_half_the_memory_and_is_full_precision():
    model = nn.Sequential(nn.Linear(4, 4), nn.LayerNorm(4)).half()
    summary = bopscount.count(bopscount.trace(model, (4,))).bit_summary
    assert summary.params == {16: 28}
    assert summary.size_bits == 16 * 28
    assert summary.compression_ratio == 2.0
    assert summary.macs == {(32, 32): 16}


def test_packed_weights_count_by_logical_shape():
    records = _core.new_layers(1)
    records["kind"] = _core.KINDS["linear"]
    records["in_channels"] = records["out_channels"] = 8
    records["weight_elements"], records["logical_params"], records["params"] = 64, 72, 8
    records["bias_elements"], records["weight_item_bytes"] = 8, 1
    records["weight_bits"], records["weight_bits_source"] = 4, _core.BIT_SOURCES["adapter"]
    summary = bopscount.count(records).bit_summary
    assert summary.params == {4: 64, 32: 8}
    assert summary.size_bits == 4 * 64 + 32 * 8
    assert summary.total_params == 72


def test_a_model_without_parameters_has_a_summary():
    summary = bopscount.count(bopscount.trace(nn.ReLU(), (3,))).bit_summary
    assert (summary.params, summary.macs) == ({}, {})
    assert (summary.compression_ratio, summary.binary_share) == (1.0, 0.0)
    assert "binarised 0.00%" in str(summary)


def test_stat_knows_what_is_trainable(capsys):
    model = nn.Linear(4, 3)
    model.bias.requires_grad_(False)
    report = bopscount.stat(model, (4,), timing=False)
    capsys.readouterr()
    assert report.bit_summary.trainable_params == 12
    assert "logical shape: 15; trainable: 12" in str(report.bit_summary)
    untold = bopscount.count(bopscount.trace(model, (4,))).bit_summary
    assert untold.trainable_params is None
    assert "trainable" not in str(untold)


def test_the_printed_summary_has_every_figure(bireal):
    lines = str(bireal.bit_summary).splitlines()
    assert lines[1].split() == ["1", "x", "1", "1,676,279,808", "92.40%"]
    assert lines[2].split() == ["32", "x", "32", "137,793,536", "7.60%"]
    assert lines[4].split() == ["1", "10,985,472", "1.3096"]
    text = str(bireal.bit_summary)
    for figure in ("4.00MiB", "1.98MiB", "44.59MiB", "11.16", "1,814,073,344", "92.40%"):
        assert figure in text


# --- when it is shown --------------------------------------------------------


class SignLinear(nn.Linear):
    """Registered in the test below."""


def test_the_two_original_classes_alone_do_not_bring_the_summary(bireal):
    network = NETWORKS["binary_resnet18"]
    with torch.device("meta"):
        model = network.build()
    report = bopscount.count(bopscount.trace(model, network.input_size))
    assert not report.shows_bits
    assert "binarised" not in str(report)
    assert not bireal.shows_bits


@pytest.mark.parametrize("bits", [(1, 1), (4, 8), (4, None), (None, 8)])
def test_a_low_bit_layer_of_another_class_brings_the_summary(bits):
    bopscount.register_layer(SignLinear, weight_bits=bits[0], input_bits=bits[1])
    try:
        report = bopscount.count(bopscount.trace(SignLinear(4, 4), (4,)))
    finally:
        bopscount.unregister_layer(SignLinear)
    assert report.shows_bits == (bits[0] is not None)
    assert ("binarised" in str(report)) == report.shows_bits


def test_an_original_class_at_other_widths_brings_the_summary():
    table = bopscount.trace(BiRealNet18().blocks[0][0], (64, 8, 8))
    assert not bopscount.count(table).shows_bits
    table.records["weight_bits"][table.records["kind"] == _core.KINDS["conv"]] = 2
    assert bopscount.count(table).shows_bits


def test_a_float_model_has_no_summary_under_its_table():
    assert "binarised" not in str(bopscount.count(bopscount.trace(nn.Linear(4, 4), (4,))))


# --- columns -----------------------------------------------------------------


def header(report):
    return str(report).splitlines()[0]


def test_the_default_columns_stay():
    report = bopscount.count(example_table())
    assert report.columns == ("default",)
    assert "bits" not in header(report)
    assert list(report.to_pandas())[-1] == "MemR+W(B)"


def test_rows_know_their_widths_and_where_these_come_from():
    rows = bopscount.count(example_table()).rows
    found = [(r.weight_bits, r.input_bits, r.weight_bits_source, r.input_bits_source) for r in rows]
    assert found[0] == (32, 32, "floating", "floating")
    assert found[1] == (None, None, None, None)
    assert found[3] == (1, 1, "adapter", "adapter")
    assert found[4] == (8, 8, "adapter", "adapter")


@pytest.mark.parametrize("source", _core.BIT_SOURCES)
def test_every_source_has_its_name(source):
    table = example_table()
    table.records["weight_bits_source"][3] = _core.BIT_SOURCES[source]
    assert bopscount.count(table).rows[3].weight_bits_source == source


def test_the_columns_of_bits_stand_beside_the_default_ones():
    report = bopscount.count(example_table(), columns=("default", "bits"))
    frame = report.to_pandas()
    assert list(frame)[-4:] == ["W bits", "A bits", "W bits source", "A bits source"]
    assert frame["W bits"][3] == frame["A bits"][3] == 1
    lines = str(report).splitlines()
    assert lines[0].endswith("W bits    A bits    W bits source    A bits source")
    assert lines[4].split()[-4:] == ["1", "1", "adapter", "adapter"]


def test_columns_can_be_chosen_in_any_order():
    names = ("Bops", "module name", "MACs", "ParamMem(B)")
    report = bopscount.count(example_table(), columns=names)
    lines = str(report).splitlines()
    assert header(report).split() == ["Bops", "module", "name", "MACs", "ParamMem(B)"]
    assert lines[4].split() == ["3", "36,864.0", "layer", "3", "36,864.0", "72.0"]
    assert lines[8].split() == ["total", "561,664.0", "58,920.0", "1,328.0"]
    assert list(report.to_pandas()) == list(names)


def test_a_column_named_twice_stands_once():
    report = bopscount.count(example_table(), columns=["W bits", "bits", "W bits"])
    assert list(report.to_pandas()) == ["W bits", "A bits", "W bits source", "A bits source"]


@pytest.mark.parametrize("columns", ["bops", ["module name", "W-bits"], (), [3]])
def test_unknown_columns_are_an_error_that_lists_the_known_ones(columns):
    with pytest.raises(InputError, match="columns must") as caught:
        bopscount.count(example_table(), columns=columns)
    if columns:
        assert "'A bits source'" in str(caught.value) or "A bits source" in str(caught.value)


def test_assumptions_of_a_table_stand_under_its_report():
    table = example_table()
    table.assumptions.append("Layer 3 has no scale; 1 was taken.")
    report = bopscount.count(table)
    assert report.assumptions == ["Layer 3 has no scale; 1 was taken."]
    assert str(report).splitlines()[-1] == "Assumed: Layer 3 has no scale; 1 was taken."
    assert bopscount.Report.from_dict(report.to_dict()).assumptions == report.assumptions
    assert not bopscount.trace(nn.ReLU(), (2,)).assumptions


def test_rows_of_inner_modules_add_up_the_memory_of_parameters():
    model = nn.Sequential(nn.Sequential(nn.Linear(4, 3), nn.Linear(3, 2)), nn.ReLU())
    table = bopscount.trace(model, (4,))
    report = bopscount.count(table, query_granularity=2)
    assert [row.param_bits for row in report.rows] == [32 * 23, 0]
    assert np.sum([row.params for row in report.rows]) == 23
