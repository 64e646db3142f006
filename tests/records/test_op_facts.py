"""What the op table says of kinds beside their costs, and what is derived from it."""

import ast
from pathlib import Path

import pytest

import bopscount
from bopscount import _core
from bopscount.search.candidates import follow, walk
from bopscount.search.candidates.propagation import Dataflow, Propagation

ROWS = {row["name"]: row for row in _core.OP_TABLE}
WORDS = {
    "shape": {"same", "product", "window", "adaptive", "resize", "reduce", "by_rule"},
    "axis": {"channels_first", "last", "any"},
    "weights": {"none", "per_channel", "trailing", "product", "operand", "by_rule"},
    "keeps_bits": {"yes", ""},
    "saves": {"", "none", "input", "output", "both", "mask", "statistics"},
}

# The sets as they stood in follow.py before they were derived.
FOLLOWED = {
    "PRODUCTS": "conv conv_transpose linear",
    "CONVOLUTIONS": "conv conv_transpose",
    "CHANNEL_NORMS": "batch_norm instance_norm group_norm",
    "LAST_NORMS": "layer_norm rms_norm",
    "WEIGHTED": "conv conv_transpose linear batch_norm instance_norm group_norm layer_norm "
    "rms_norm prelu",
    "POOLS": "max_pool avg_pool lp_pool",
    "WINDOWED": "conv conv_transpose max_pool avg_pool lp_pool",
    "ADAPTIVE": "adaptive_avg_pool adaptive_max_pool",
    "RESIZING": "upsample_nearest upsample_linear upsample_cubic",
    "REDUCING": "reduce variance",
    "ANY_LAYOUT": "softmax log_softmax",
    "KEEPING": "quantize local_response_norm normalize relu leaky_relu elu selu celu hardtanh "
    "hardsigmoid hardswish sigmoid tanh silu gelu softplus mish log_sigmoid softsign tanhshrink "
    "shrink threshold dropout softmax log_softmax cumulative",
}
OWN_RULES = "identity prelu glu elementwise move"


@pytest.mark.parametrize("fact", WORDS)
def test_every_row_states_the_fact_in_a_known_word(fact):
    assert {row[fact] for row in _core.OP_TABLE} <= WORDS[fact]


@pytest.mark.parametrize("name", FOLLOWED)
def test_the_sets_of_the_follow_rules_are_those_that_were_listed_by_hand(name):
    derived = getattr(follow, name)
    assert sorted(derived) == sorted(FOLLOWED[name].split())


def test_the_same_kinds_are_followed_as_before():
    disjoint = (
        "PRODUCTS CHANNEL_NORMS LAST_NORMS POOLS ADAPTIVE RESIZING REDUCING KEEPING"
    ).split()
    kinds = [kind for name in disjoint for kind in FOLLOWED[name].split()] + OWN_RULES.split()
    assert len(kinds) == len(set(kinds))
    assert sorted(follow.FOLLOW_RULES) == sorted(kinds)


def test_channels_are_looked_for_where_they_were_before():
    first, last = ((1, True), (1, False)), ((-1, True), (-1, False))
    for kind in follow.FOLLOW_RULES:
        expected = last + first if kind in ("linear", "layer_norm", "rms_norm") else first + last
        assert follow.layouts(kind) == expected, kind


def test_bit_widths_survive_where_values_only_move():
    keeping = "max_pool adaptive_max_pool upsample_nearest dropout identity move"
    assert [name for name, row in ROWS.items() if row["keeps_bits"]] == sorted(
        keeping.split(), key=list(ROWS).index
    )


def test_weights_of_a_kind_with_macs_are_stated():
    assert {row["weights"] for row in _core.OP_TABLE if row["macs"]} == {
        "product", "operand", "by_rule"
    }  # fmt: skip


def test_a_propagation_offers_what_follow_rules_ask_of_a_walk():
    flow = Dataflow(bopscount.LayerTable.from_array(_core.new_layers(0)))
    propagation = Propagation(flow, _core.new_layers(0).reshape(0, 0), {}, set(), {})
    for interface, thing in ((walk.Walk, propagation), (walk.Flow, flow)):
        names = {name for name in vars(interface) if not name.startswith("_")}
        assert names
        assert all(hasattr(thing, name) for name in names)


def test_follow_rules_know_the_walk_and_not_the_propagation():
    tree = ast.parse(Path(follow.__file__).read_text(encoding="utf-8"))
    modules = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert "bopscount.search.candidates.walk" in modules
    assert "bopscount.search.candidates.propagation" not in modules
