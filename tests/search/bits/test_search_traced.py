"""Bit-width search over networks as they are traced: columns, products, shared weights."""

import numpy as np
import pytest
import torch
from support.search_reference import count_slowly
from torch import nn

import bopscount
from bopscount.networks import NETWORKS
from bopscount.search.bits.sums import METRICS, PRICED


class Mixed(nn.Module):
    """A shared convolution, attention, products of its own, a recurrent layer, a tied weight."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, bias=False)
        self.shared = nn.Conv2d(8, 8, 3, padding=1)
        self.norm = nn.BatchNorm2d(8)
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
        self.table = nn.Parameter(torch.zeros(8, 5))
        self.lstm = nn.LSTM(8, 6, bidirectional=True)

    def forward(self, x):
        x = self.norm(self.shared(self.shared(self.stem(x))))
        x = nn.functional.max_pool2d(self.shared(x), 2).flatten(2).transpose(1, 2)
        x, _ = self.attention(x, x, x)
        x = (x @ self.table) @ self.table.t()
        scores = x @ x.transpose(1, 2)
        return self.lstm(scores @ x)[0]


@pytest.fixture(scope="module")
def table():
    return bopscount.trace(Mixed(), (3, 11, 11), batch_size=2, discount_zeros=True)


def test_a_column_is_a_row_with_macs(table):
    assert table.mac_layers == (
        "(matmul)", "stem", "shared", "attention.(attention)", "attention.(linear)", "lstm",
    )  # fmt: skip
    rows = [row for row in bopscount.count(table).rows if row.macs]
    assert list(table.mac_layers) == [row.module_path for row in rows]


@pytest.mark.parametrize("rules", ["torchstat", "full"])
def test_candidates_cost_what_their_changed_tables_cost(table, rules):
    bits = np.random.default_rng(5).integers(1, 20, (4, 20, 6), np.uint8)
    for weights, inputs in ((bits[0], bits[1]), (bits[2], None), (None, bits[3, 0])):
        expected = count_slowly(table, weights, inputs, METRICS, rules)
        counted = bopscount.count_batch(table, weights, inputs, metrics=METRICS, rules=rules)
        assert {name: counted[name].tolist() for name in METRICS} == expected


@pytest.mark.parametrize("convention", PRICED)
def test_conventions_are_those_of_the_changed_tables(table, convention):
    bits = np.random.default_rng(6).integers(1, 40, (2, 20, 6), np.uint8)
    expected = count_slowly(table, bits[0], bits[1], [convention])[convention]
    counted = bopscount.count_batch(table, *bits, metrics=(), convention=convention)
    assert counted[convention].tolist() == expected


def test_a_binary_network_is_one_of_its_candidates():
    table = bopscount.trace(NETWORKS["birealnet18"].build, (3, 224, 224))
    binary = [row.weight_bits == 1 for row in bopscount.count(table).rows if row.macs]
    bits = np.where(np.stack([binary, np.ones_like(binary)]), 1, 32).astype(np.uint8)
    counted = bopscount.count_batch(table, bits, bits, metrics="macs", convention="reactnet")
    assert counted["reactnet"].tolist() == [163_985_408, counted["macs"][0] / 64]
    assert bopscount.count_batch(table, convention="reactnet")["reactnet"] == [163_985_408]
