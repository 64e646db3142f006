"""The C++ core against the reference cost model: values, sums and exceptions."""

import sys
import threading
import time

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from support.reference import (
    DEFAULTS,
    FULL,
    FUNCTIONAL,
    LARGEST,
    MASKED,
    METRICS,
    UNMOVED,
    call_costs,
    layer_costs,
    totals,
)

from bopscount import _core

RULES = ("torchstat", "full")
KINDS = tuple(name for name in _core.KINDS if name != "invalid")
COUNTED_SIZES = (
    "calls",
    "params",
    "logical_params",
    "batch",
    "in_channels",
    "in_positions",
    "out_channels",
    "out_positions",
    "weight_elements",
    "bias_elements",
    "extra_elements",
)
MAC_KINDS = tuple(row["name"] for row in _core.OP_TABLE if row["macs"])


def pack(list_of_fields):
    layers = _core.new_layers(len(list_of_fields))
    for layer, fields in zip(layers, list_of_fields, strict=True):
        for name, value in fields.items():
            layer[name] = _core.KINDS[value] if name == "kind" else value
    return layers


def a_layer(kind="conv", **fields):
    """A small layer whose every size is another prime, so that none can stand for another."""
    sizes = {
        "batch": 2,
        "in_channels": 15,
        "in_positions": 11,
        "out_channels": 21,
        "out_positions": 13,
        "groups": 3,
        "kernel": (5, 17, 1),
        "weight_elements": 19,
        "bias_elements": 23,
        "extra_elements": 29,
        "input_item_bytes": 2,
        "params": 31,
        "logical_params": 37,
    }
    return DEFAULTS | sizes | {"kind": kind} | fields


def expected(list_of_fields, rules):
    """What each layer costs, or the index of the first one that overflows."""
    costs = []
    for index, fields in enumerate(list_of_fields):
        try:
            costs.append(layer_costs(fields, rules))
        except OverflowError:
            return index
    return costs


def assert_overflows(index, count, *args):
    with pytest.raises(OverflowError, match=rf"^layer {index}: ") as caught:
        count(*args)
    assert caught.value.layer_index == index


def assert_agrees(list_of_fields, rules, groups=None):
    """Core and reference count the same, alone, in total and by group; or both overflow."""
    layers = pack(list_of_fields)
    n_groups = 3
    if groups is None:
        groups = [index % n_groups for index in range(len(layers))]
    group_array = np.array(groups, np.int32)
    costs = expected(list_of_fields, rules)
    if isinstance(costs, int):
        assert_overflows(costs, _core.layer_costs, layers, rules)
        assert_overflows(costs, _core.count_totals, layers, rules)
        assert_overflows(costs, _core.count_groups, layers, group_array, n_groups, rules)
        return
    counted = _core.layer_costs(layers, rules)
    assert counted.dtype == _core.COST_DTYPE
    assert [dict(zip(METRICS, row.item(), strict=True)) for row in counted] == costs
    assert _core.count_totals(layers, rules) == tuple(totals(list_of_fields, rules).values())
    assert _core.count_groups(layers, group_array, n_groups, rules) == [
        tuple(sum(c[metric] for c, g in zip(costs, groups, strict=True) if g == group)
              for metric in METRICS)
        for group in range(n_groups)
    ]  # fmt: skip


small = st.integers(0, 12)
# Around the powers of two at which the core changes its arithmetic or may not go on.
edges = st.sampled_from(
    [2**e + d for e in (16, 21, 31, 32, 42, 50, 51, 53, 57, 62) for d in (-1, 0, 1)]
)
huge = st.one_of(small, edges, st.integers(0, LARGEST), st.just(LARGEST))
bits = st.one_of(st.sampled_from([1, 2, 8, 16, 17, 32, 64]), st.integers(1, 255))
source = st.integers(0, 5)


@st.composite
def layer_fields(draw, size=small, kernel_size=small, kinds=KINDS):
    kind = draw(st.sampled_from(kinds))
    groups = draw(st.one_of(st.just(1), st.integers(1, 4), size.filter(bool)))
    fields = {name: draw(size) for name in COUNTED_SIZES}
    for name in ("in_channels", "out_channels"):
        fields[name] -= fields[name] % groups
    flags = [FUNCTIONAL, MASKED]
    if kind not in MAC_KINDS and kind != "quantize":
        flags.append(UNMOVED)
    return DEFAULTS | fields | {
        "kind": kind,
        "groups": groups,
        "kernel": draw(st.tuples(kernel_size, kernel_size, kernel_size)),
        "flags": sum(draw(st.sets(st.sampled_from(flags)))),
        "input_bits": draw(bits),
        "weight_bits": draw(bits),
        "output_bits": draw(bits),
        "input_bits_source": draw(source),
        "weight_bits_source": draw(source),
        "input_item_bytes": draw(st.integers(1, 255)),
        "weight_item_bytes": draw(st.integers(1, 255)),
    }  # fmt: skip


huge_layers = layer_fields(huge, st.one_of(small, st.integers(0, 2**31 - 1)))


@pytest.mark.parametrize("rules", RULES)
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_costs_what_the_reference_says(kind, rules):
    variants = [
        {},
        {"weight_elements": 0, "bias_elements": 0},
        {"bias_elements": 0, "calls": 3},
        {"calls": 0},
        {"flags": FUNCTIONAL},
        {"flags": MASKED},
        {"output_bits": 1},
        {"kernel": (1, 1, 1), "groups": 1},
        {"kernel": (0, 0, 0)},
        {"batch": 0},
    ]
    if kind not in MAC_KINDS:
        variants.append({"flags": UNMOVED})
    for width in (1, 4, 8, 16, 17, 32):
        low = {"input_bits": 1, "weight_bits": width, "output_bits": 9}
        for sources in ((0, 0), (0, 1), (1, 0), (1, 2)):
            quantised = {"input_bits_source": sources[0], "weight_bits_source": sources[1]}
            variants += [low | quantised, low | quantised | {"input_bits": 16}]
    assert_agrees([a_layer(kind, **variant) for variant in variants], rules)


@pytest.mark.parametrize("rules", RULES)
@settings(max_examples=300, deadline=None)
@given(layers=st.lists(layer_fields(), max_size=6), data=st.data())
def test_small_layers_cost_what_the_reference_says(rules, layers, data):
    groups = data.draw(st.lists(st.integers(-1, 2), min_size=len(layers), max_size=len(layers)))
    assert_agrees(layers, rules, groups)


@pytest.mark.parametrize("rules", RULES)
@settings(max_examples=300, deadline=None)
@given(layers=st.lists(huge_layers, min_size=1, max_size=3))
@example(layers=[a_layer(batch=LARGEST, calls=0)])
@example(layers=[a_layer(batch=LARGEST, in_positions=0, out_positions=0)])
def test_huge_layers_cost_what_the_reference_says_or_overflow(rules, layers):
    assert_agrees(layers, rules)


@pytest.mark.parametrize("rules", RULES)
@settings(max_examples=300, deadline=None)
@given(fields=layer_fields(), beyond=st.booleans())
@example(fields=a_layer("lstm"), beyond=True)
def test_the_last_call_that_fits_is_counted_and_the_next_one_overflows(rules, fields, beyond):
    largest = max(call_costs(fields, rules).values())
    calls = min(LARGEST // max(largest, 1), LARGEST - 1) + beyond
    assert_agrees([fields | {"calls": calls, "params": LARGEST}], rules)


@pytest.mark.parametrize("rules", RULES)
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_exact_on_both_sides_of_64_bits(kind, rules):
    # One big size at a time walks each kind over the border between its two evaluators.
    for name in ("batch", "in_positions", "out_positions", "weight_elements", "bias_elements"):
        for exponent in (24, 36, 48, 60):
            for low in ({}, {"input_bits_source": 1, "weight_bits_source": 1, "input_bits": 16,
                             "weight_bits": 16}):  # fmt: skip
                assert_agrees([a_layer(kind, **low | {name: 2**exponent + 1})], rules)


@pytest.mark.parametrize("rules", RULES)
def test_totals_past_64_bits_are_exact(rules):
    layers = pack([a_layer("relu", params=LARGEST, logical_params=LARGEST - i) for i in range(5)])
    counted = dict(zip(METRICS, _core.count_totals(layers, rules), strict=True))
    assert counted["params"] == 5 * LARGEST
    assert counted["logical_params"] == 5 * LARGEST - 10


@pytest.mark.parametrize("rules", RULES)
def test_an_overflow_names_the_first_layer_that_has_one(rules):
    fine, bad = a_layer(), a_layer(batch=2**60)
    layers = pack([fine, fine, bad, fine, bad])
    assert_overflows(2, _core.count_totals, layers, rules)


@pytest.mark.parametrize("kind", ["linear", "quantize"])
def test_nothing_moves_in_an_unmoved_low_bit_layer(kind):
    low = {"input_bits": 8, "weight_bits": 8, "input_bits_source": 1, "weight_bits_source": 1}
    assert_agrees([a_layer(kind, flags=UNMOVED, output_bits=1, **low)], "full")


@pytest.mark.parametrize(
    ("fields", "what"),
    [
        *[({name: -1}, f"{name} must not be negative, got -1") for name in COUNTED_SIZES],
        *[({name: -(2**63)}, f"{name} must not be negative") for name in COUNTED_SIZES],
        ({"kernel": (-1, 1, 1)}, r"kernel\[0\] must not be negative, got -1"),
        ({"kernel": (1, -2, 1)}, r"kernel\[1\] must not be negative, got -2"),
        ({"kernel": (1, 1, -(2**31))}, r"kernel\[2\] must not be negative, got -2147483648"),
        ({"kind": "invalid"}, f"kind must be 1 to {len(KINDS)}, got 0"),
        ({"groups": 0}, "groups must be at least 1, got 0"),
        ({"groups": -3}, "groups must be at least 1, got -3"),
        ({"groups": 7}, "must be multiples of groups, got 15 and 21 by 7"),
        ({"groups": 5}, "must be multiples of groups, got 15 and 21 by 5"),
        ({"calls": 0, "groups": 5}, "must be multiples of groups"),
    ],
)
def test_a_bad_record_is_refused_by_index(fields, what):
    layers = pack([a_layer(), a_layer(**fields)])
    groups = np.zeros(2, np.int32)
    for count, args in (
        (_core.layer_costs, ()),
        (_core.count_totals, ()),
        (_core.count_groups, (groups, 1)),
    ):
        for rules in RULES:
            with pytest.raises(ValueError, match=rf"^layer 1: .*{what}") as caught:
                count(layers, *args, rules)
            assert caught.value.layer_index == 1


@pytest.mark.parametrize("kind", [len(_core.KINDS), 1000, 2**16 - 1])
def test_a_kind_past_the_table_is_refused(kind):
    layers = pack([a_layer()])
    layers["kind"] = kind
    with pytest.raises(ValueError, match=f"got {kind}$"):
        _core.count_totals(layers)


def test_fields_that_cost_nothing_do_not_matter():
    layers = pack([a_layer(kind) for kind in KINDS])
    totals_before = _core.count_totals(layers, "full")
    for name in ("stride", "padding", "dilation", "output_padding"):
        layers[name] = -7
    layers["owner"] = -5
    layers["nonzero_weights"] = 3
    assert _core.count_totals(layers, "full") == totals_before


@pytest.mark.parametrize("rules", RULES)
def test_sums_of_layers_and_of_groups_are_the_totals(rules):
    layers = pack([a_layer(kind, calls=calls) for kind in KINDS for calls in range(4)])
    counted = _core.layer_costs(layers, rules)
    by_group = _core.count_groups(layers, np.arange(len(layers), dtype=np.int32) % 7, 7, rules)
    all_layers = _core.count_totals(layers, rules)
    assert all_layers == tuple(int(counted[metric].sum()) for metric in _core.METRICS)
    assert all_layers == tuple(sum(values) for values in zip(*by_group, strict=True))


def test_no_layers_cost_nothing():
    none = _core.new_layers(0)
    assert len(_core.layer_costs(none)) == 0
    assert _core.count_totals(none) == (0,) * len(METRICS)
    assert _core.count_groups(none, np.empty(0, np.int32), 0) == []
    assert _core.count_groups(none, np.empty(0, np.int32), 2) == [(0,) * len(METRICS)] * 2


def test_one_layer_is_its_own_total():
    one = pack([a_layer()])
    assert _core.count_totals(one) == _core.layer_costs(one)[0].item()
    assert type(_core.count_totals(one)[0]) is int


def test_torchstat_is_the_default_and_other_rules_are_refused():
    layers = pack([a_layer(kind) for kind in KINDS])
    assert _core.count_totals(layers) == _core.count_totals(layers, "torchstat")
    assert _core.count_totals(layers) != _core.count_totals(layers, "full")
    with pytest.raises(ValueError, match="rules must be 'torchstat' or 'full', got 'Full'"):
        _core.count_totals(layers, "Full")


def test_the_reference_knows_every_kind():
    assert set(FULL) == set(_core.KINDS)


@pytest.fixture(scope="module")
def two_million_layers():
    return np.tile(pack([a_layer("conv"), a_layer("relu")]), 1_000_000)


@pytest.mark.parametrize("name", ["layer_costs", "count_totals", "count_groups"])
def test_counting_lets_other_threads_run(name, two_million_layers):
    n_layers = len(two_million_layers)
    arguments = {
        "layer_costs": ("full", np.empty(n_layers, _core.COST_DTYPE)),
        "count_totals": ("full",),
        "count_groups": (np.zeros(n_layers, np.int32), 1, "full"),
    }[name]
    gate, ran = threading.Lock(), threading.Event()

    def pass_the_gate():
        with gate:
            ran.set()

    switch_interval = sys.getswitchinterval()
    gate.acquire()
    thread = threading.Thread(target=pass_the_gate)
    thread.start()
    try:
        # Without forced switches the thread can only run while the count itself lets it.
        sys.setswitchinterval(1000)
        gate.release()
        give_up = time.monotonic() + 30
        while not ran.is_set() and time.monotonic() < give_up:
            getattr(_core, name)(two_million_layers, *arguments)
        assert ran.is_set()
    finally:
        sys.setswitchinterval(switch_interval)
        thread.join()
