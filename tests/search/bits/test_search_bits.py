"""Bit-width search against its slow reference, one candidate at a time."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.search_reference import MAC_KINDS, count_slowly, tables, width_arrays

from bopscount import BitSearch, InputError, _core, count_batch
from bopscount.conventions.example import example_table
from bopscount.layer_table import LayerTable
from bopscount.search.bits.columns import find_columns
from bopscount.search.bits.sums import METRICS, PRICED

RULES = st.sampled_from(["torchstat", "full"])
LARGE = 1 << 20


def conv_records(n, *, channels=64, positions=3136):
    """n convolutions of 3x3, each with the same number of MACs."""
    records = _core.new_layers(n)
    records["kind"] = _core.KINDS["conv"]
    records["owner"] = np.arange(n)
    records["in_channels"] = records["out_channels"] = channels
    records["in_positions"] = records["out_positions"] = positions
    records["kernel"] = (3, 3, 1)
    records["weight_elements"] = records["params"] = 9 * channels**2
    records["logical_params"] = records["params"]
    return records


def random_bits(n, n_columns, seed=0):
    return np.random.default_rng(seed).integers(1, 65, (n, n_columns), np.uint8)


def test_the_worked_example_of_the_docstring():
    counted = count_batch(conv_records(1), np.uint8([[1], [2]]), np.uint8([[1], [4]]))
    assert counted["bops"].tolist() == [115_605_504, 924_844_032]
    assert counted["bops"].dtype == np.int64


@pytest.mark.fuzz
@settings(deadline=None)
@given(data=st.data(), table=tables(), rules=RULES, n_threads=st.integers(1, 8))
def test_every_metric_is_that_of_the_changed_table(data, table, rules, n_threads):
    n_rows = data.draw(st.integers(0, 5))
    weights = data.draw(width_arrays(n_rows, len(table.mac_layers)))
    inputs = data.draw(width_arrays(n_rows, len(table.mac_layers)))
    expected = count_slowly(table, weights, inputs, METRICS, rules)
    counted = count_batch(table, weights, inputs, metrics=METRICS, rules=rules, n_threads=n_threads)
    assert set(counted) == set(METRICS)
    for metric in METRICS:
        assert counted[metric].tolist() == expected[metric], metric
        assert counted[metric].dtype == (np.float64 if metric == "ops" else np.int64)


@pytest.mark.fuzz
@settings(deadline=None)
@given(data=st.data(), table=tables(), convention=st.sampled_from(PRICED))
def test_every_convention_is_that_of_the_changed_table(data, table, convention):
    table.records["nonzero_weights"] = table.records["weight_elements"] // 2
    weights = data.draw(width_arrays(3, len(table.mac_layers)))
    inputs = data.draw(width_arrays(3, len(table.mac_layers)))
    expected = count_slowly(table, weights, inputs, [convention])[convention]
    for python_ints in (False, True):
        counted = count_batch(
            table, weights, inputs, metrics=(), convention=convention, python_ints=python_ints
        )
        assert counted[convention].tolist() == expected
        assert all(map(lambda a, b: type(a) is type(b), counted[convention].tolist(), expected))


@pytest.mark.fuzz
@settings(deadline=None)
@given(
    n=st.sampled_from([0, 1, 255, 256, 257, 5000]),
    n_columns=st.sampled_from([1, 15, 16, 17, 64, 300]),
    n_threads=st.integers(1, 8),
    order=st.sampled_from("CF"),
)
def test_the_results_depend_neither_on_threads_nor_on_the_size_of_blocks(
    n, n_columns, n_threads, order
):
    search = BitSearch(conv_records(n_columns), metrics=("bops", "mem_read", "weight_bytes"))
    weights, inputs = (np.array(random_bits(n, n_columns, seed), order=order) for seed in (1, 2))
    counted = search.count(weights, inputs, n_threads=n_threads)
    low = (weights <= 16) & (inputs <= 16)
    bops = (low * weights.astype(np.int64) * inputs).sum(axis=1) * 115_605_504
    assert np.array_equal(counted["bops"], bops)
    sizes = -(-36864 * weights.astype(np.int64).sum(axis=1) // 8)
    assert np.array_equal(counted["weight_bytes"], sizes)
    for row in range(0, n, 1000):
        one = search.count(weights[row], inputs[row])
        assert one["mem_read"].tolist() == [counted["mem_read"][row]]


@pytest.mark.fuzz
@settings(deadline=None)
@given(table=tables(), data=st.data())
def test_no_instructions_but_the_portable_ones_give_the_same(table, data):
    columns = find_columns(table, None)
    metrics = list(_core.METRICS)
    n = len(columns.names)
    weights, inputs = (
        np.array(data.draw(st.lists(st.integers(1, 64), min_size=n, max_size=n)), np.uint8)
        for _ in range(2)
    )
    found = []
    for portable in (False, True):
        search = _core.BitSearch(list(columns.names), True, True, portable)
        search.add_layers(table.records, columns.of_record, "full", metrics)
        found.append([array.tolist() for array in search.count(weights, inputs, 1)])
    assert found[0] == found[1]


def test_every_kind_with_macs_is_a_column():
    records = conv_records(len(MAC_KINDS))
    records["kind"] = [_core.KINDS[name] for name in MAC_KINDS]
    assert LayerTable.from_array(records).mac_layers == tuple(
        f"layer {i}" for i in range(len(MAC_KINDS))
    )


def test_what_is_not_given_keeps_what_was_traced():
    table = LayerTable.from_array(example_table().records)
    assert count_batch(table)["bops"].tolist() == [table.totals().bops]
    eight = np.full(4, 8, np.uint8)
    for weights, inputs in ((eight, None), (None, eight)):
        expected = count_slowly(table, weights, inputs, ["bops", "flops"])
        counted = count_batch(table, weights, inputs, metrics=("bops", "flops"))
        assert {name: values.tolist() for name, values in counted.items()} == expected


def test_ops_have_their_exact_integer_beside_them():
    counted = count_batch(example_table(), np.full(4, 1, np.uint8), metrics=("ops",))
    assert set(counted) == {"ops", "ops_x64"}
    assert counted["ops"] == counted["ops_x64"] / 64


def test_memory_mapped_arrays_are_read_where_they_are(tmp_path):
    bits = random_bits(3000, 4)
    path = tmp_path / "bits.npy"
    np.save(path, bits)
    mapped = np.load(path, mmap_mode="r")
    assert isinstance(mapped, np.memmap)
    metrics = ("bops", "mem_read", "flops")
    for rows in (slice(None), slice(5, None, 7), slice(None, None, -1)):
        here, there = (count_batch(example_table(), b[rows], b[rows], metrics=metrics)
                       for b in (bits, mapped))  # fmt: skip
        assert all(np.array_equal(here[name], there[name]) for name in metrics)


def test_a_prepared_search_does_not_see_later_changes():
    table = LayerTable.from_array(example_table().records)
    search = BitSearch(table, metrics=("macs",))
    table.records["batch"] = 7
    assert search.count()["macs"].tolist() == [58920]


class TestGroups:
    WEIGHTS = np.uint8([[1, 8], [4, 2]])

    def check(self, groups, patterns):
        table = LayerTable.from_array(conv_records(12))
        counted = count_batch(table, self.WEIGHTS, self.WEIGHTS, groups=groups)
        expected = count_slowly(table, self.WEIGHTS, self.WEIGHTS, ["bops"], patterns=patterns)
        assert counted["bops"].tolist() == expected["bops"]
        assert BitSearch(table, groups=groups).columns == tuple(groups)

    def test_layers_of_a_group_share_a_width_and_the_others_keep_theirs(self):
        patterns = [["layer 1*"], ["layer 5", "layer [67]"]]
        self.check({"late": "layer 1*", "middle": ("layer 5", "layer [67]")}, patterns)

    def test_a_name_may_be_its_own_pattern(self):
        patterns = [["layer 1*"], ["layer 5"]]
        self.check({"layer 1*": ..., "layer 5": ...}, patterns)
        self.check(["layer 1*", "layer 5"], patterns)

    @pytest.mark.parametrize(
        ("groups", "message"),
        [
            ({"a": "layer 1*", "b": "layer 10"}, "'layer 10' is in 'a' and in 'b'"),
            ({"a": "stage*"}, r"groups\['a'\]: 'stage\*' matches no layer; .*'layer 0'"),
            ({"a": []}, r"groups\['a'\] must be a path pattern, a list of them, or ..., got \[\]"),
            ({"a": 3}, r"groups\['a'\] must be a path pattern, .* got 3"),
            ({3: "layer 0"}, "groups must have names and patterns that are text, got 3"),
            ({"a": ["layer 0", 3]}, "groups must have names and patterns that are text, got 'a'"),
            ("layer 0", "groups must be a dict of names to path patterns.* got 'layer 0'"),
            (7, "groups must be a dict .* got 7"),
            (["layer 0", "layer 0"], "'layer 0' is there twice"),
        ],
    )
    def test_bad_groups_are_refused(self, groups, message):
        with pytest.raises(InputError, match=message):
            BitSearch(conv_records(12), groups=groups)


class TestBadInput:
    GOOD = np.full((3, 4), 8, np.uint8)

    @pytest.mark.parametrize(
        ("bits", "message"),
        [
            ([[8] * 4], "weight_bits must be a numpy array of uint8, got list"),
            (GOOD.astype(np.int64), "weight_bits must be a numpy array of uint8, got int64"),
            (GOOD.astype(np.int8), "uint8, got int8"),
            (GOOD.astype(bool), "uint8, got bool"),
            (GOOD[:, :3], r"shape \(n_candidates, 4\) or \(4,\), .*'layer 0', .* got \(3, 3\)"),
            (GOOD.T, r"got \(4, 3\)"),
            (GOOD[0, :0], r"got \(0,\)"),
            (GOOD[0, 0, None][0], "got uint8"),
            (np.array(8, np.uint8), r"got \(\)"),
            (GOOD[None], r"got \(1, 3, 4\)"),
        ],
    )
    def test_arrays_of_another_form_are_refused(self, bits, message):
        with pytest.raises(InputError, match=message):
            count_batch(example_table(), bits, self.GOOD)
        with pytest.raises(InputError, match=message.replace("weight_bits", "input_bits")):
            count_batch(example_table(), self.GOOD, bits)

    @pytest.mark.parametrize("bad", [0, 65, 255])
    def test_a_width_out_of_range_is_named_with_its_layer_and_candidate(self, bad):
        bits = self.GOOD.copy()
        bits[2, 1] = bad
        message = f"weight_bits must be 1 to 64, got {bad} for 'layer 3' of candidate 2"
        with pytest.raises(InputError, match=message):
            count_batch(example_table(), bits)
        for python_ints in (False, True):
            with pytest.raises(InputError, match=message.replace("weight", "input")):
                count_batch(example_table(), self.GOOD, bits, python_ints=python_ints)

    def test_the_first_candidate_is_named_whatever_the_threads(self):
        bits = np.full((100_000, 4), 8, np.uint8)
        bits[[30_011, 50_000, 99_999], 0] = 0
        for n_threads in (1, 2, 8):
            with pytest.raises(InputError, match="'layer 0' of candidate 30011"):
                count_batch(example_table(), bits, n_threads=n_threads)
            with pytest.raises(InputError, match="'layer 0' of candidate 30011"):
                count_batch(example_table(), bits, n_threads=n_threads, python_ints=True)

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ({"metrics": ("bops", "bopz")}, "metrics must be among .*weight_bytes.*, got 'bopz'"),
            ({"metrics": 3}, r"metrics must be names such as \('bops', 'macs'\), got 3"),
            ({"metrics": None}, r"metrics must be names such as \('bops', 'macs'\), got None"),
            ({"metrics": ()}, r"metrics must name one at least, got \(\)"),
            ({"metrics": (3,)}, r"got \(3,\)"),
            ({"rules": "half"}, "rules must be 'torchstat' or 'full', got 'half'"),
            ({"convention": "max_bits"}, "one of reactnet, .* for a search, got 'max_bits' \\(it"),
            ({"convention": "macs"}, "got 'macs' \\(it"),
            ({"convention": "nobody"}, "got 'nobody'$"),
            ({"convention": ["product"]}, r"got \['product'\]$"),
            ({"n_threads": 0}, "n_threads must be None .* got 0"),
            ({"n_threads": "all"}, "got 'all'"),
        ],
    )
    def test_other_arguments_are_refused(self, arguments, message):
        with pytest.raises(InputError, match=message):
            count_batch(example_table(), self.GOOD, self.GOOD, **arguments)

    def test_different_numbers_of_candidates_are_refused(self):
        with pytest.raises(InputError, match="as many candidates, got 3 and 2"):
            count_batch(example_table(), self.GOOD, self.GOOD[:2])

    def test_a_table_without_macs_has_no_columns(self):
        records = _core.new_layers(1)
        records["kind"] = _core.KINDS["relu"]
        with pytest.raises(InputError, match=r"\(n_candidates, 0\).*no layer with MACs"):
            count_batch(records, self.GOOD)
        assert count_batch(records, np.zeros((5, 0), np.uint8))["bops"].tolist() == [0] * 5

    def test_a_convention_that_lacks_facts_says_so(self):
        table = LayerTable.from_array(conv_records(2))
        with pytest.raises(InputError, match="trace with discount_zeros=True"):
            count_batch(table, convention="sparse_product")

    def test_layers_that_are_none_are_refused(self):
        with pytest.raises(InputError, match="layers must be a LayerTable"):
            count_batch([1, 2])
        records = conv_records(2)
        records["groups"][1] = 7
        with pytest.raises(ValueError, match=r"layer 1: .*multiples of groups"):
            count_batch(records, np.full(2, 8, np.uint8))

    def test_the_binding_refuses_what_python_would_have(self):
        search = _core.BitSearch(["a", "b"], True, False)
        good = np.full(2, 8, np.uint8)
        with pytest.raises(ValueError, match="input_bits must be None"):
            search.count(good, good, 1)
        with pytest.raises(ValueError, match="weight_bits must be given"):
            search.count(None, None, 1)
        with pytest.raises(TypeError, match="weight_bits must be an array of uint8"):
            search.count(good.astype(np.int8), None, 1)
        with pytest.raises(ValueError, match="rows of 2 columns"):
            search.count(np.full((2, 3), 8, np.uint8), None, 1)
        with pytest.raises(ValueError, match="columns must be below 2, got 2"):
            search.add_layers(conv_records(1), np.int32([2]), "full", ["bops"])
        with pytest.raises(ValueError, match="as long as layers"):
            search.add_layers(conv_records(1), np.int32([0, 1]), "full", ["bops"])
        with pytest.raises(ValueError, match="got 'bopz'"):
            search.add_layers(conv_records(1), np.int32([0]), "full", ["bopz"])
        cells = np.ones((64, 1), np.int64)
        for bad, message in (
            ([(cells.T, np.int64([[0, 1]]))], "64 x 1 cells"),
            ([(-cells, np.int64([[0, 1]]))], "must not be negative"),
            ([(cells, np.int64([[2, 1]]))], "below 2, got 2"),
            ([(cells, np.int64([[0, -1]]))], "must not be negative"),
            ([(cells, np.int64([0, 1]))], "pairs"),
        ):
            with pytest.raises(ValueError, match=message):
                search.add_sum("x", 0, 0, bad)
        with pytest.raises(ValueError, match="shift"):
            search.add_sum("x", 64, 0, [])
        with pytest.raises(ValueError, match="range"):
            search.count_wide(good, None, 1, 2, 1)


class TestOverflow:
    """9 x 2^54 MACs a layer: 2 x 2 bits are 9 x 2^56, two layers of 4 x 8 bits 9 x 2^60."""

    RECORDS = conv_records(2, channels=LARGE, positions=1 << 14)

    def test_a_sum_over_63_bits_is_told_and_never_wrapped(self):
        weights, inputs = np.uint8([[2, 2], [4, 4]]), np.uint8([[2, 2], [8, 8]])
        assert count_batch(self.RECORDS, weights[:1], inputs[:1])["bops"].tolist() == [9 << 57]
        with pytest.raises(
            OverflowError, match=r"^bops of candidate 1 is over 2\*\*63 - 1; python_ints"
        ):
            count_batch(self.RECORDS, weights, inputs)
        exact = count_batch(self.RECORDS, weights, inputs, python_ints=True)["bops"]
        assert exact.dtype == object
        assert exact.tolist() == [9 << 57, 9 << 60]

    def test_a_layer_over_63_bits_is_told_with_python_ints_too(self):
        for python_ints in (False, True):
            with pytest.raises(OverflowError, match="a cost of 'layer 1' of candidate 0 is over"):
                count_batch(
                    self.RECORDS, np.uint8([1, 16]), np.uint8([1, 16]), python_ints=python_ints
                )

    def test_a_layer_that_keeps_its_widths_is_named_when_it_is_over(self):
        records = conv_records(2, channels=LARGE, positions=1 << 18)
        records["in_channels"][1] = records["out_channels"][1] = 1
        with pytest.raises(OverflowError, match=r"layer 0: .* over 2\*\*63 - 1"):
            count_batch(records, np.uint8([8]), groups=["layer 1"])

    @pytest.mark.fuzz
    @settings(deadline=None)
    @given(
        macs=st.lists(st.sampled_from([9 << 20, 9 << 40, 9 << 50]), min_size=1, max_size=9),
        data=st.data(),
    )
    def test_exact_integers_are_exact(self, macs, data):
        records = conv_records(len(macs), channels=1)
        records["in_positions"] = records["out_positions"] = np.int64(macs) // 9
        n = len(macs)
        widths = st.lists(st.integers(1, 64), min_size=n, max_size=n)
        weights, inputs = (np.array([data.draw(widths)], np.uint8) for _ in range(2))
        names = ("bops", "ops_x64", "activation_bytes", "product")
        expected = count_slowly(LayerTable.from_array(records), weights, inputs, names)
        counted = count_batch(
            records, weights, inputs, metrics=names[:3], convention="product", python_ints=True
        )
        assert {name: counted[name].tolist() for name in names} == expected


INTERRUPTED = """
import signal, sys, time
import numpy as np
import bopscount
from bopscount import _core

# What is started in the background of a shell is born deaf to Ctrl-C.
signal.signal(signal.SIGINT, signal.default_int_handler)
records = _core.new_layers(64)
records["kind"] = _core.KINDS["conv"]
records["owner"] = np.arange(64)
records["in_channels"] = records["out_channels"] = 3
records["weight_elements"] = 81
search = bopscount.BitSearch(records, metrics=("bops", "mem_read"), rules="full")
# 2^32 candidates, all of them the same row: minutes of work.
rows = np.lib.stride_tricks.as_strided(np.full(64, 8, np.uint8), (1 << 27, 64), (0, 1))
print("ready", flush=True)
try:
    for _ in range(1000):
        search.count(rows, rows, n_threads=int(sys.argv[1]))
except KeyboardInterrupt:
    print("interrupted", flush=True)
"""


@pytest.mark.parametrize("n_threads", ["1", "3"])
def test_control_c_ends_a_long_call(n_threads):
    process = subprocess.Popen(
        [sys.executable, "-c", INTERRUPTED, n_threads],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(sys.executable).anchor,
    )
    with process:
        assert process.stdout.readline() == "ready\n"
        time.sleep(0.3)
        os.kill(process.pid, signal.SIGINT)
        start = time.perf_counter()
        assert process.stdout.read() == "interrupted\n"
        # A loaded machine may take its time; the work itself would take minutes.
        assert time.perf_counter() - start < 10
    assert process.returncode == 0
