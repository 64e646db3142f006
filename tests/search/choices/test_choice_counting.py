"""Counting candidates of a choice table: any integers, any strides, any number of threads."""

import pickle
import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import choice_reference as reference

from bopscount import ChoiceTable, InputError, _core

COSTS = {"macs": [[1, 2], [10, 20, 30]], "params": [[5, 0], [7, 7, 1]]}
INTEGERS = [np.dtype(code).newbyteorder(order) for code in "bBhHiIlLqQ" for order in "=S"]
LARGEST = 2**63 - 1


def table():
    return ChoiceTable.from_costs(COSTS)


def as_lists(counted):
    return {metric: values.tolist() for metric, values in counted.items()}


@st.composite
def laid_out(draw, rows, n_slots):
    """The rows as an array of some integer type, somehow strided."""
    dtype = draw(st.sampled_from(INTEGERS))
    plain = np.array(rows, dtype).reshape(-1, n_slots)
    layout = draw(
        st.sampled_from(["C", "F", "spread", "backwards", "unaligned", "broadcast", "read-only"])
    )
    if layout == "F":
        return np.asfortranarray(plain)
    if layout == "spread":
        step, across = draw(st.integers(1, 3)), draw(st.integers(1, 3))
        wide = np.full((len(plain) * step, n_slots * across), 77, dtype)
        view = wide[::step, ::across]
        view[:] = plain
        return view
    if layout == "backwards":
        return plain[::-1, ::-1].copy()[::-1, ::-1]
    if layout == "unaligned":
        buffer = np.zeros(plain.nbytes + 1, np.uint8)
        view = buffer[1:].view(dtype).reshape(plain.shape)
        view[:] = plain
        return view
    if layout == "broadcast" and len(plain):
        return np.broadcast_to(plain[0], plain.shape)
    if layout == "read-only":
        plain.flags.writeable = False
    return plain


@st.composite
def searches(draw):
    n_alternatives = draw(st.lists(st.integers(1, 11), min_size=1, max_size=40))
    cost = st.integers(0, 2**56)
    metrics = draw(st.lists(st.sampled_from("abcdefghij"), min_size=1, max_size=9, unique=True))
    seed = draw(st.integers(0, 2**32))
    rng = np.random.default_rng(seed)
    top = draw(cost)
    costs = {
        metric: [rng.integers(0, top, n, endpoint=True).tolist() for n in n_alternatives]
        for metric in metrics
    }
    n_candidates = draw(st.sampled_from([0, 1, 2, 63, 64, 65, 130]))
    rows = [[int(rng.integers(n)) for n in n_alternatives] for _ in range(n_candidates)]
    return costs, draw(laid_out(rows, len(n_alternatives)))


@pytest.mark.fuzz
@settings(max_examples=150, deadline=None)
@given(searches(), st.integers(1, 8))
def test_sums_are_those_of_the_reference(search, n_threads):
    costs, choices = search
    counted = ChoiceTable.from_costs(costs).count(choices, n_threads=n_threads)
    assert all(values.dtype == np.int64 for values in counted.values())
    assert as_lists(counted) == reference.count(costs, choices.tolist())


@pytest.mark.fuzz
@settings(max_examples=50, deadline=None)
@given(searches())
def test_every_kernel_gives_the_same(search):
    costs, choices = search
    table = ChoiceTable.from_costs(costs)
    counter = table._counter.make_table(
        np.stack([table._counter._column(name) for name in costs], axis=-1)
    )
    for kernel in ("best", "portable", "walk"):
        out = [np.empty(len(choices), np.int64) for _ in costs]
        counter.count(choices, out, 2, kernel)
        assert [one.tolist() for one in out] == list(
            reference.count(costs, choices.tolist()).values()
        )


@pytest.mark.fuzz
@settings(max_examples=50, deadline=None)
@given(searches(), st.data())
def test_a_choice_out_of_range_is_named_wherever_it_is(search, data):
    costs, choices = search
    lengths = [len(row) for row in next(iter(costs.values()))]
    rows = choices.astype(np.int64)
    if not len(rows):
        return
    candidate = data.draw(st.integers(0, len(rows) - 1))
    slot = data.draw(st.integers(0, len(lengths) - 1))
    rows[candidate, slot] = wrong = data.draw(
        st.sampled_from([-1, lengths[slot], 255, 256, 300, -(2**63), LARGEST])
    )
    with pytest.raises(InputError) as caught:
        ChoiceTable.from_costs(costs).count(rows, n_threads=3)
    assert str(caught.value) == (
        f"choices has {wrong} for candidate {candidate}, slot {slot}, which has alternatives 0 "
        f"to {lengths[slot] - 1}"
    )


def test_one_candidate_may_be_a_list():
    assert as_lists(table().count([1, 2])) == {"macs": [32], "params": [1]}
    assert as_lists(table().count([[1, 2], [0, 0]])) == {"macs": [32, 11], "params": [1, 12]}


def test_metrics_come_as_asked():
    assert list(table().count([1, 2], ("params", "macs"))) == ["params", "macs"]
    assert list(table().count([1, 2], "macs")) == ["macs"]
    both = ChoiceTable.from_costs({"ops_x64": [[64, 96]]}).count([[0], [1]], ["ops", "ops_x64"])
    assert both["ops"].tolist() == [1.0, 1.5]
    assert both["ops"].dtype == np.float64
    assert both["ops_x64"].tolist() == [64, 96]


def test_results_go_into_out():
    out = {"macs": np.full(2, -1)}
    counted = table().count([[1, 2], [0, 0]], out=out)
    assert counted["macs"] is out["macs"]
    assert out["macs"].tolist() == [32, 11]
    assert counted["params"].tolist() == [1, 12]


def test_many_candidates_on_any_number_of_threads(tmp_path):
    rng = np.random.default_rng(3)
    costs = {"macs": rng.integers(0, 10**6, (21, 9))}
    path = tmp_path / "candidates"
    rng.integers(0, 9, (200_000, 21), dtype=np.uint8).tofile(path)
    choices = np.memmap(path, np.uint8, "r", shape=(200_000, 21))
    expected = costs["macs"][np.arange(21), choices].sum(axis=1)
    for n_threads in (None, 1, 2, 7):
        counted = ChoiceTable.from_costs(costs).count(choices, n_threads=n_threads)
        assert np.array_equal(counted["macs"], expected)


def test_the_first_of_several_wrong_candidates_is_named_whatever_the_threads():
    choices = np.zeros((300_000, 2), np.uint8)
    choices[[70_001, 140_000, 299_999]] = 9
    for n_threads in (1, 2, 8):
        with pytest.raises(InputError, match="candidate 70001, slot 0"):
            table().count(choices, n_threads=n_threads)


def test_the_interpreter_is_free_while_candidates_are_counted():
    choices = np.zeros((3_000_000, 2), np.int64)
    counting = threading.Thread(target=table().count, args=(choices,), kwargs={"n_threads": 1})
    counting.start()
    turns = 0
    while counting.is_alive():
        turns += 1
    assert turns > 0


def test_a_sum_over_64_bits_is_an_error_or_a_python_integer():
    large = ChoiceTable.from_costs({"macs": [[1, LARGEST], [0, 1], [0, LARGEST]]})
    assert large.count([1, 0, 0])["macs"].tolist() == [LARGEST]
    choices = [[0, 1, 0], [1, 1, 0], [1, 1, 1]]
    with pytest.raises(
        OverflowError, match=r"macs of candidate 1 is over 2\*\*63 - 1; python_ints"
    ):
        large.count(choices)
    exact = large.count(choices, python_ints=True)["macs"]
    assert exact.tolist() == [2, 2**63, 2**64 - 1]
    assert large.dearest("macs")[1] == 2**64 - 1
    with pytest.raises(InputError, match="choices has 2 for candidate 0, slot 0"):
        large.count([2, 0, 0], python_ints=True)


def test_a_table_travels_without_its_caches():
    original = table()
    original.count([1, 2])
    original.sample(3, rng=0, max_macs=20)
    for copy in (
        pickle.loads(pickle.dumps(original)),
        ChoiceTable.from_dict(original.to_dict()),
    ):
        assert as_lists(copy.count([1, 2])) == {"macs": [32], "params": [1]}
        assert copy.to_dict() == original.to_dict()
    big = ChoiceTable.from_costs({"macs": np.ones((21, 9), np.int64)})
    big.sample(1, rng=0, max_macs=21)
    assert len(pickle.dumps(big)) < 10_000


@pytest.mark.parametrize(
    ("choices", "options", "message"),
    [
        ([[0, 0, 0]], {}, r"choices must have shape \(n_candidates, 2\), .* got \(1, 3\)"),
        ([0], {}, r"choices must have shape \(n_candidates, 2\), .* got \(1,\)"),
        (3, {}, r"choices must have shape .* got \(\)"),
        (np.zeros((1, 1, 2), int), {}, r"choices must have shape .* got \(1, 1, 2\)"),
        ([[0.0, 1.0]], {}, "choices must be integers, got dtype float64"),
        ([[True, False]], {}, "choices must be integers, got dtype bool"),
        ([["a", "b"]], {}, "choices must be integers, got dtype <U1"),
        ([[0], [0, 1]], {}, "choices must be an integer array of shape"),
        ([[0, 0]], {"metrics": "bops"}, "metrics must be among macs, params, got 'bops'"),
        ([[0, 0]], {"metrics": ["ops"]}, "metrics must be among macs, params, got 'ops'"),
        ([[0, 0]], {"metrics": []}, "metrics must name one at least"),
        ([[0, 0]], {"n_threads": 0}, "n_threads must be None .* got 0"),
        ([[0, 0]], {"out": {}, "python_ints": True}, "out must be a dict .* without python_ints"),
        ([[0, 0]], {"out": {"macs": np.zeros(1)}}, "out must have dtype int64, got float64"),
        ([[0, 0]], {"out": {"macs": np.zeros(2, int)}}, "out must be as long as choices"),
        ([[0, 0]], {"out": {"bops": np.zeros(1, int)}}, "out has 'bops', which is not counted"),
        ([[0, 0]], {"out": [1]}, "out must be a dict of metric -> int64 array"),
        ([[0, -1]], {}, "choices has -1 for candidate 0, slot 1, which has alternatives 0 to 2"),
    ],
)
def test_what_cannot_be_counted_is_named(choices, options, message):
    with pytest.raises(InputError, match=message):
        table().count(choices, **options)


@pytest.mark.parametrize(
    ("costs", "message"),
    [
        ({}, "costs must be a dict of metric -> costs"),
        ([[1]], "costs must be a dict of metric -> costs"),
        ({"ops": [[1]]}, "metrics must be names such as"),
        ({"two words": [[1]]}, "metrics must be names such as"),
        ({"macs": []}, r"costs\['macs'\] must be costs by slot and alternative"),
        ({"macs": 3}, r"costs\['macs'\] must be costs by slot and alternative"),
        ({"macs": [[]]}, r"costs\['macs'\] of slot 0 must be one integer an alternative"),
        ({"macs": [[1], 2]}, r"costs\['macs'\] of slot 1 must be one integer an alternative"),
        ({"macs": [[1, -2]]}, r"integers from 0 to 2\*\*63 - 1, got -2 for slot 0, alternative 1"),
        ({"macs": [[1.5]]}, r"integers from 0 to 2\*\*63 - 1, got 1.5 for slot 0"),
        ({"macs": [[2**63]]}, r"integers from 0 to 2\*\*63 - 1, got 9223372036854775808"),
        ({"macs": [[True]]}, r"integers from 0 to 2\*\*63 - 1, got True"),
        ({"macs": [[1, 2]], "bops": [[1]]}, r"costs\['bops'\] must have as many slots"),
    ],
)
def test_costs_that_are_none_are_named(costs, message):
    with pytest.raises(InputError, match=message):
        ChoiceTable.from_costs(costs)


def test_the_core_refuses_what_it_cannot_take():
    ones, rows = np.ones(2, np.int64), np.zeros(2, np.int32)
    with pytest.raises(TypeError, match="next_states must have dtype int32"):
        _core.ChoiceTable(ones, ones, rows.astype(np.int64), ones)
    with pytest.raises(ValueError, match="n_states and n_choices must be of one length"):
        _core.ChoiceTable(ones, ones[:1], rows, ones)
    with pytest.raises(ValueError, match="must be positive"):
        _core.ChoiceTable(ones, 0 * ones, rows, ones)
    counter = _core.ChoiceTable(ones, ones, rows, ones)
    with pytest.raises(ValueError, match="kernel must be"):
        counter.count(np.zeros((1, 2), int), [np.zeros(1, int)], 1, "fast")
    with pytest.raises(ValueError, match=r"out must hold an array a metric \(1\), got 0"):
        counter.count(np.zeros((1, 2), int), [])
    with pytest.raises(TypeError, match="choices must be integers"):
        counter.count(np.zeros((1, 2)), [np.zeros(1, int)])
    with pytest.raises(ValueError, match="choices must have shape"):
        counter.count(np.zeros((2, 1), int), [np.zeros(1, int)])
