"""Rows at every granularity, as the predecessor printed them."""

import importlib
import json
from functools import cache

import pytest
import torch
from support.networks.mobilenet_v2 import MobileNetV2
from support.networks.resnet18 import ResNet18
from support.networks.squeezenet1_1 import SqueezeNet11
from support.paths import GOLDEN

import bopscount

NETWORKS = {"resnet18": ResNet18, "squeezenet1_1": SqueezeNet11, "mobilenet_v2": MobileNetV2}
HEIGHTS = {"resnet18": 5, "squeezenet1_1": 4, "mobilenet_v2": 6}
SIZE = (3, 224, 224)
# Traffic is golden at granularity 1 only: the predecessor's sums above it are faulty.
FIGURES = ("params", "madd", "flops", "bops", "memory_mb")
TRAFFIC = ("mem_read", "mem_write")

every_network = pytest.mark.parametrize("network", NETWORKS)


@cache
def golden(network, granularity):
    return json.loads((GOLDEN / f"{network}_g{granularity}.json").read_text())["rows"]


@cache
def table_of(network):
    with torch.device("meta"):
        model = NETWORKS[network]()
    return bopscount.trace(model, SIZE)


@cache
def report_of(network, granularity):
    return bopscount.count(table_of(network), query_granularity=granularity)


def expected_rows(network, granularity):
    """The golden rows, with what the predecessor forgot of repeated calls.

    It kept the last call of a module, so each leaf lacks calls - 1 times its figures,
    and so does the row that the leaf is part of. Parameters do not repeat.
    """
    figures = [*FIGURES, *(TRAFFIC if granularity == 1 else ())]
    rows = []
    for row in golden(network, granularity):
        leaves = [
            leaf
            for leaf in golden(network, 1)
            if leaf["name"] == row["name"] or leaf["name"].startswith(row["name"] + ".")
        ]
        assert max(leaf["calls"] for leaf in leaves) == row["calls"]
        rows.append(
            {
                "name": row["name"],
                "input_shape": tuple(row["input_shape"]),
                "output_shape": tuple(row["output_shape"]),
                **{
                    name: row[name]
                    + sum((leaf["calls"] - 1) * leaf[name] for leaf in leaves if name != "params")
                    for name in figures
                },
            }
        )
    return rows


def our_rows(report, granularity):
    figures = [*FIGURES, *(TRAFFIC if granularity == 1 else ())]
    return [
        {
            "name": row.module_path,
            "input_shape": row.input_shape,
            "output_shape": row.output_shape,
            **{
                name: row.memory_bytes / 2**20 if name == "memory_mb" else getattr(row, name)
                for name in figures
            },
        }
        for row in report.rows
    ]


@every_network
@pytest.mark.parametrize("granularity", [1, 2, 3])
def test_every_row_is_the_predecessor_s_with_repeated_calls_counted(network, granularity):
    assert our_rows(report_of(network, granularity), granularity) == expected_rows(
        network, granularity
    )


def test_the_calls_of_a_leaf_are_the_golden_ones():
    for network in NETWORKS:
        ours = [row.calls for row in report_of(network, 1).rows]
        assert ours == [row["calls"] for row in golden(network, 1)]


def test_the_eight_block_relus_of_resnet18_have_twice_their_golden_figures():
    rows = {row.module_path: row for row in report_of("resnet18", 1).rows}
    repeated = [row for row in golden("resnet18", 1) if row["calls"] > 1]
    assert len(repeated) == 8
    for row in repeated:
        ours = rows[row["name"]]
        assert ours.kind == "relu"
        for name in ("madd", "flops", *TRAFFIC):
            assert getattr(ours, name) == 2 * row[name] > 0


@every_network
def test_every_granularity_has_the_same_sums(network):
    for granularity in range(1, HEIGHTS[network] + 2):
        report = report_of(network, granularity)
        for name in ("params", "macs", "flops", "madd", "memory_bytes", *TRAFFIC):
            assert sum(getattr(row, name) for row in report.rows) == getattr(report.totals, name)


@every_network
@pytest.mark.parametrize("above", [0, 1, 95])
def test_a_granularity_of_the_root_s_height_or_more_shows_the_root(network, above):
    report = report_of(network, HEIGHTS[network] + above)
    (row,) = report.rows
    assert row.module_path == NETWORKS[network].__name__
    assert row.costs() == report.totals.costs()
    assert row.input_shape == SIZE
    assert row.output_shape == report_of(network, 1).rows[-1].output_shape


@every_network
def test_one_below_the_root_s_height_shows_more_than_the_root(network):
    assert len(report_of(network, HEIGHTS[network] - 1).rows) > 1


def test_counting_again_at_another_granularity_needs_no_second_trace():
    table = table_of("resnet18")
    fine = bopscount.count(table)
    coarse = bopscount.count(table, query_granularity=2)
    assert len(coarse.rows) < len(fine.rows)
    assert [row.costs() for row in bopscount.count(table).rows] == [
        row.costs() for row in fine.rows
    ]


@every_network
@pytest.mark.parametrize("granularity", [1, 2, 3])
def test_torchvision_s_own_network_has_the_same_rows(network, granularity):
    pytest.importorskip("torchvision")
    models = importlib.import_module("torchvision.models")
    with torch.device("meta"):
        model = getattr(models, network)()
    report = bopscount.count(bopscount.trace(model, SIZE), query_granularity=granularity)
    assert our_rows(report, granularity) == expected_rows(network, granularity)
