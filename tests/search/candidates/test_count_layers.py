"""Blocks of candidates' records against the count of each candidate by itself."""

import threading
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.lib.stride_tricks import as_strided

import bopscount
from bopscount import _core
from bopscount.errors import InputError

LARGEST = 2**63 - 1


def random_block(n_candidates, n_layers, seed=0):
    random = np.random.default_rng(seed)
    block = _core.new_layers(n_candidates * n_layers).reshape(n_candidates, n_layers)
    kinds = [kind for name, kind in _core.KINDS.items() if name != "invalid"]
    block["kind"] = random.choice(kinds, block.shape)
    for field in ("batch", "in_channels", "in_positions", "out_channels", "out_positions"):
        block[field] = random.integers(0, 50, block.shape)
    for field in ("calls", "params", "logical_params", "weight_elements", "bias_elements"):
        block[field] = random.integers(0, 1000, block.shape)
    block["kernel"] = random.integers(1, 6, (*block.shape, 3))
    return block


def expected(block, rules):
    rows = [_core.count_totals(np.ascontiguousarray(row), rules) for row in block]
    return {name: [row[i] for row in rows] for i, name in enumerate(_core.METRICS)}


def lists(totals):
    return {name: values.tolist() for name, values in totals.items()}


@pytest.mark.fuzz
@settings(deadline=None, max_examples=60)
@given(
    st.integers(0, 40),
    st.integers(0, 9),
    st.sampled_from(["torchstat", "full"]),
    st.integers(1, 8),
    st.booleans(),
    st.tuples(st.sampled_from([1, 2, 3, -1, -2]), st.sampled_from([1, 2, -1])),
)
def test_every_candidate_costs_what_its_row_costs(
    n_candidates, n_layers, rules, n_threads, python_ints, steps
):
    block = random_block(n_candidates, n_layers)[:: steps[0], :: steps[1]]
    totals = bopscount.count_layers(
        block, rules=rules, n_threads=n_threads, python_ints=python_ints
    )
    assert lists(totals) == expected(block, rules)
    kinds = {values.dtype for values in totals.values()}
    assert kinds == {np.dtype(object if python_ints else np.int64)}


@pytest.fixture(scope="module")
def large_block():
    """More candidates than a thread takes at a time, or than are held as Python's integers."""
    block = random_block(70_000, 3)
    return block, expected(block, "torchstat")


@pytest.mark.parametrize("n_threads", [1, 2, 5])
@pytest.mark.parametrize("python_ints", [False, True])
def test_many_blocks_give_what_one_does(large_block, n_threads, python_ints):
    block, costs = large_block
    totals = bopscount.count_layers(block, n_threads=n_threads, python_ints=python_ints)
    assert lists(totals) == costs


def test_one_dimension_is_one_candidate():
    block = random_block(1, 6)
    assert lists(bopscount.count_layers(block[0])) == expected(block, "torchstat")


def test_only_the_metrics_asked_for_come_back_in_their_order():
    block = random_block(4, 3)
    totals = bopscount.count_layers(block, metrics=["mem_read", "macs"])
    assert list(totals) == ["mem_read", "macs"]
    assert totals["macs"].tolist() == expected(block, "torchstat")["macs"]
    repeated = bopscount.count_layers(block, metrics=["macs", "mem_read", "macs"])
    assert list(repeated) == ["macs", "mem_read"]
    assert list(bopscount.count_layers(block, metrics="macs")) == ["macs"]


def test_the_worked_number_of_the_documentation():
    block = _core.new_layers(2).reshape(2, 1)
    block["kind"], block["in_channels"] = _core.KINDS["linear"], 3
    block["out_channels"][:, 0] = 4, 8
    assert bopscount.count_layers(block, metrics=["macs"])["macs"].tolist() == [12, 24]


def test_a_memory_map_and_repeated_rows_are_read_where_they_lie(tmp_path):
    block = random_block(500, 4)
    block.tofile(tmp_path / "block")
    mapped = np.memmap(tmp_path / "block", block.dtype, "r", shape=block.shape)
    assert lists(bopscount.count_layers(mapped[::3])) == expected(block[::3], "torchstat")
    repeated = np.broadcast_to(block[0], (10_000, 4))
    totals = bopscount.count_layers(repeated)
    assert totals["macs"].tolist() == expected(block[:1], "torchstat")["macs"] * 10_000


@pytest.mark.parametrize("n_threads", [1, 2, 8])
def test_of_several_bad_records_the_first_is_named(n_threads):
    block = random_block(30_000, 5)
    block["kind"][25_000, 2] = 0
    block["batch"][20_001, 3] = -1
    with pytest.raises(InputError, match=r"candidate 20001, layer 3: batch must not be negative"):
        bopscount.count_layers(block, n_threads=n_threads)


def test_a_layer_past_64_bits_is_named_with_its_candidate():
    block = random_block(7, 3)
    block["kind"] = _core.KINDS["relu"]
    block["calls"][4, 1], block["in_channels"][4, 1] = 2**50, 2**40
    for python_ints in (False, True):
        with pytest.raises(OverflowError, match="candidate 4, layer 1") as error:
            bopscount.count_layers(block, python_ints=python_ints)
        assert (error.value.candidate_index, error.value.layer_index) == (4, 1)


def test_a_total_past_64_bits_is_an_error_or_a_python_int():
    block = random_block(6, 3)
    block["params"][5, :2] = LARGEST, LARGEST - 1
    with pytest.raises(OverflowError, match="candidate 5: params is over") as error:
        bopscount.count_layers(block)
    assert (error.value.candidate_index, error.value.layer_index) == (5, None)
    exact = bopscount.count_layers(block, python_ints=True)["params"]
    assert exact[5] == int(block["params"][5, 2]) + 2 * LARGEST - 1
    assert bopscount.count_layers(block, metrics=["macs"])["macs"].dtype == np.int64
    block["params"][5] = LARGEST, 0, 0
    assert bopscount.count_layers(block)["params"][5] == LARGEST


_A_BLOCK = random_block(4, 3)


@pytest.mark.parametrize(
    ("records", "what"),
    [
        ([[1]], "records must be a numpy array of bopscount.LAYER_DTYPE, got list"),
        (np.zeros((2, 3)), "got float64"),
        (_A_BLOCK.astype(_A_BLOCK.dtype.newbyteorder()), "LAYER_DTYPE"),
        (np.zeros((2, 3), list(reversed(_A_BLOCK.dtype.descr))), "LAYER_DTYPE"),
        (_A_BLOCK[None], r"got \(1, 4, 3\)"),
        (_A_BLOCK[0, 0:1].reshape(()), r"got \(\)"),
    ],
)
def test_blocks_of_another_form_are_refused(records, what):
    with pytest.raises(InputError, match=what):
        bopscount.count_layers(records)


def test_blocks_that_are_not_aligned_are_refused():
    bytes_ = np.zeros(_A_BLOCK.nbytes + 8, np.uint8)
    shifted = bytes_[4:][: _A_BLOCK.nbytes].view(_A_BLOCK.dtype).reshape(_A_BLOCK.shape)
    crooked = as_strided(bytes_.view(np.uint8)[:192].view(_A_BLOCK.dtype), (2, 1), (4, 192))
    for records in (shifted, crooked):
        with pytest.raises(InputError, match="aligned to 8 bytes"):
            bopscount.count_layers(records)
        with pytest.raises(ValueError, match="aligned to 8 bytes"):
            _core.count_candidates(records, "full", ("macs",), 1)


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        ({"rules": "fast"}, "rules must be"),
        ({"metrics": "watts"}, "metrics must be among .*, got 'watts'"),
        ({"metrics": []}, r"metrics must name one at least, got \[\]; there are params, "),
        ({"metrics": ["macs", "watts"]}, "metrics must be among .*, got 'watts'"),
        ({"metrics": 3}, r"metrics must be names such as \('bops', 'macs'\) or None, got 3"),
        ({"metrics": ["macs", 3]}, r"metrics must be names .* got \['macs', 3\]"),
        ({"n_threads": 0}, "n_threads must be"),
        ({"n_threads": True}, "n_threads must be"),
    ],
)
def test_wrong_arguments_are_named(arguments, what):
    with pytest.raises(InputError, match=what):
        bopscount.count_layers(_A_BLOCK, **arguments)


def test_the_core_refuses_what_it_cannot_take():
    with pytest.raises(TypeError):
        _core.count_candidates(np.zeros((2, 3)), "full", ("macs",), 1)
    with pytest.raises(ValueError, match="n_candidates, n_layers"):
        _core.count_candidates(_A_BLOCK[0], "full", ("macs",), 1)
    with pytest.raises(ValueError, match="no metric is called 'watts'"):
        _core.count_candidates(_A_BLOCK, "full", ("watts",), 1)


def test_other_threads_run_while_a_block_is_counted():
    block = np.broadcast_to(random_block(1, 50), (100_000, 50))
    n_steps, done = 0, threading.Event()

    def count():
        bopscount.count_layers(block, n_threads=1)
        done.set()

    thread = threading.Thread(target=count)
    thread.start()
    while not done.is_set():
        n_steps += 1
        time.sleep(0.001)
    thread.join()
    assert n_steps > 5


SIZES = st.one_of(st.integers(-2, 20), st.integers(-(2**63), 2**63 - 1), st.just(2**31 - 1))
FIELDS = st.one_of(st.integers(-2, 9), st.integers(-(2**31), 2**31 - 1), st.just(2**31 - 1))


@pytest.mark.fuzz
@settings(deadline=None, max_examples=200)
@given(st.data())
def test_shapes_of_any_record_are_told_or_refused(data):
    rank, n_records = data.draw(st.integers(0, 6)), data.draw(st.integers(0, 3))
    layers = _core.new_layers(n_records)
    kinds = ("conv", "conv_transpose", "max_pool", "avg_pool", "linear", "relu")
    for layer in layers:
        layer["kind"] = _core.KINDS[data.draw(st.sampled_from(kinds))]
        layer["flags"] = data.draw(st.integers(0, 127))
        for field in ("kernel", "stride", "padding", "dilation", "output_padding"):
            layer[field] = data.draw(st.tuples(FIELDS, FIELDS, FIELDS))
        for field in ("in_channels", "out_channels"):
            layer[field] = data.draw(SIZES)
    sizes = data.draw(st.lists(SIZES, min_size=rank * n_records, max_size=rank * n_records))
    shapes = np.array(sizes, np.int64).reshape(n_records, rank)
    spatial = data.draw(st.integers(0, 3))
    outputs, bad = _core.changed_shapes(layers, spatial, shapes)
    assert outputs.shape == shapes.shape
    assert -1 <= bad < n_records
    assert (outputs[: n_records if bad < 0 else bad] > 0).all()
    axis, batched = data.draw(st.sampled_from([1, -1])), data.draw(st.booleans())
    assert -1 <= _core.set_sizes(layers, shapes, shapes, axis, batched) < n_records


@pytest.mark.parametrize(
    ("shapes", "error"),
    [
        (np.zeros((2, 3)), TypeError),
        (np.zeros((2, 3), np.int32), TypeError),
        (np.zeros((1, 3), np.int64), ValueError),
        (np.zeros((2, 13), np.int64), ValueError),
        (np.zeros(2, np.int64), ValueError),
        (np.zeros((3, 2), np.int64).T, ValueError),
    ],
)
def test_shapes_of_another_form_are_refused(shapes, error):
    layers, good = _core.new_layers(2), np.ones((2, 3), np.int64)
    with pytest.raises(error):
        _core.changed_shapes(layers, 2, shapes)
    for pair in ((shapes, good), (good, shapes)):
        with pytest.raises(error):
            _core.set_sizes(layers, *pair, 1, True)
    with pytest.raises(ValueError, match="spatial must be 0 to 3"):
        _core.changed_shapes(layers, 4, good)
