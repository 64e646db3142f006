"""The best candidates of a choice table, expected costs, and samples within budgets."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from support import choice_reference as reference
from support.choice_reference import all_candidates

from bopscount import ChoiceTable, InputError
from bopscount.search.choices import samples as choice_samples
from bopscount.search.choices.slots import ChoiceSlot

LARGEST = 2**63 - 1


def random_table(seed, n_alternatives, n_states=1, top=1000, metrics=("macs", "params")):
    """A table of several states with some pairs that cannot be, and its candidates' sums."""
    rng = np.random.default_rng(seed)
    slots = []
    for index, n in enumerate(n_alternatives):
        states = 1 if index == 0 else n_states
        after = 1 if index == len(n_alternatives) - 1 else n_states
        next_states = rng.integers(0, after, (states, n)).astype(np.int32)
        if n_states > 1:
            next_states[:, 1:][rng.random((states, n - 1)) < 0.15] = -1
        costs = rng.integers(0, top, (states, n, len(metrics)))
        inputs = tuple(f"an input of state {state}" for state in range(states))
        slots.append(ChoiceSlot(costs, next_states, inputs))
    table = ChoiceTable(metrics, slots)
    sums = {}
    for candidate in all_candidates(n_alternatives):
        state, total = 0, [0] * len(metrics)
        for slot, choice in zip(slots, candidate, strict=True):
            total = [a + int(b) for a, b in zip(total, slot.costs[state, choice], strict=True)]
            state = slot.next_states[state, choice]
            if state < 0:
                break
        else:
            sums[candidate] = total
    return table, sums


shapes = st.tuples(st.integers(0, 2**32), st.lists(st.integers(1, 4), min_size=1, max_size=5))


@settings(max_examples=80, deadline=None)
@given(shapes, st.integers(1, 3))
def test_the_best_are_those_of_all_candidates(shape, n_states):
    table, sums = random_table(*shape, n_states, top=50)
    assert table.n_candidates == len(sums)
    for index, metric in enumerate(table.metrics):
        for find, best in ((table.cheapest, min), (table.dearest, max)):
            choices, cost = find(metric)
            assert cost == best(total[index] for total in sums.values())
            first = next(c for c, total in sums.items() if total[index] == cost)
            assert tuple(choices.tolist()) == first
            assert type(cost) is int


@settings(max_examples=40, deadline=None)
@given(shapes, st.integers(1, 3))
def test_counting_follows_the_states(shape, n_states):
    table, sums = random_table(*shape, n_states)
    counted = table.count(np.array(list(sums)))
    for index, metric in enumerate(table.metrics):
        assert counted[metric].tolist() == [total[index] for total in sums.values()]
    for candidate in set(all_candidates(shape[1])) - set(sums):
        with pytest.raises(InputError, match="which cannot take an input of state"):
            table.count(candidate)


def test_ops_are_searched_as_the_quotient_that_they_are():
    table = ChoiceTable.from_costs({"ops_x64": [[32, 96], [64, 16]]})
    assert table.cheapest("ops")[1] == 0.75
    assert table.dearest("ops")[1] == 2.5
    assert {tuple(c) for c in table.sample(50, rng=0, max_ops=1.5).tolist()} == {(0, 0), (0, 1)}


def test_numbers_of_candidates_are_exact():
    table = ChoiceTable.from_costs({"macs": [[0] * 9] * 50})
    assert table.n_candidates == 9**50


# --- expected costs -----------------------------------------------------------


def mean(sums, probabilities, index):
    """The definition: every candidate's cost times how likely it is."""
    return sum(
        total[index]
        * np.prod([p[choice] for p, choice in zip(probabilities, candidate, strict=True)])
        for candidate, total in sums.items()
    )


def allowed(table, rng):
    """Random probabilities, 0 for alternatives that any state cannot take."""
    found = []
    for slot in table.slots:
        row = rng.random(slot.n_alternatives) * (slot.next_states >= 0).all(axis=0)
        found.append(torch.tensor(row / row.sum()))
    return found


@settings(max_examples=40, deadline=None)
@given(shapes, st.integers(1, 3))
def test_expected_costs_are_the_mean_of_all_candidates(shape, n_states):
    table, sums = random_table(*shape, n_states)
    probabilities = allowed(table, np.random.default_rng(shape[0]))
    expected = [mean(sums, probabilities, index) for index in range(2)]
    for index, metric in enumerate(table.metrics):
        found = table.expected(probabilities=probabilities, metric=metric)
        assert found.dtype == torch.float64
        assert float(found) == pytest.approx(float(expected[index]), rel=1e-12)
        logits = [row.log() for row in probabilities]
        assert float(table.expected(logits, metric=metric)) == pytest.approx(
            float(found), rel=1e-12
        )


@pytest.mark.parametrize("n_states", [1, 3])
def test_gradients_are_those_of_the_mean(n_states):
    table, _ = random_table(4, [3, 2, 4, 3], 1)
    if n_states > 1:
        rng = np.random.default_rng(0)
        slots = [
            ChoiceSlot(
                rng.integers(0, 9, (1 if i == 0 else 3, n, 2)),
                rng.integers(0, 1 if i == 3 else 3, (1 if i == 0 else 3, n)).astype(np.int32),
                ("",) * 3,
            )
            for i, n in enumerate([3, 2, 4, 3])
        ]
        table = ChoiceTable(("macs", "params"), slots)
    logits = [torch.randn(n, dtype=torch.float64, requires_grad=True) for n in table.n_alternatives]
    assert torch.autograd.gradcheck(lambda *rows: table.expected(rows, metric="macs"), logits)
    weights = torch.zeros(2, 3, requires_grad=True)
    square = ChoiceTable.from_costs({"macs": [[3, 6, 9], [0, 30, 60]]})
    loss = square.expected(weights, metric="macs")
    loss.backward()
    assert float(loss.detach()) == pytest.approx(36)
    assert weights.grad[0].tolist() == pytest.approx([-1, 0, 1])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "give either logits or probabilities, got neither"),
        ({"logits": torch.zeros(2, 2), "probabilities": torch.zeros(2, 2)}, "got both"),
        ({"logits": 3}, "logits must be a tensor of shape .* got int"),
        ({"logits": torch.zeros(3, 2)}, "logits must be of 2 slots, got 3"),
        ({"logits": torch.zeros(2, 3)}, r"logits of slot 0 must have shape \(2,\), .* got \(3,\)"),
        (
            {"logits": torch.zeros(2, 2).long()},
            "floating-point tensors, got torch.int64 for slot 0",
        ),
        ({"logits": [[0.0, 0.0], [0.0, 0.0]]}, "floating-point tensors, got list for slot 0"),
        ({"logits": torch.full((2, 2), torch.nan)}, "logits must be numbers, got nan for slot 0"),
        (
            {"probabilities": torch.tensor([[0.5, 0.5], [0.5, 0.4]])},
            "add up to 1, got 0.9.* slot 1",
        ),
        (
            {"probabilities": torch.tensor([[1.5, -0.5], [1, 0]])},
            "not be negative, got -0.5 for slot 0",
        ),
        ({"logits": torch.zeros(2, 2), "metric": "bops"}, "metric must be one of macs, got 'bops'"),
        ({"logits": torch.zeros(2, 2), "metric": "ops"}, "metric must be one of macs, got 'ops'"),
    ],
)
def test_expectations_that_make_no_sense_are_named(arguments, message):
    table = ChoiceTable.from_costs({"macs": [[1, 2], [3, 4]]})
    with pytest.raises(InputError, match=message):
        table.expected(**{"metric": "macs", **arguments})


def test_a_chance_of_what_cannot_be_is_an_error():
    slots = [
        ChoiceSlot(np.ones((1, 2, 1), np.int64), np.int32([[0, 1]])),
        ChoiceSlot(np.ones((2, 2, 1), np.int64), np.int32([[0, 0], [0, -1]]), ("a", "an input b")),
    ]
    table = ChoiceTable(["macs"], slots)
    with pytest.raises(InputError, match="logits of slot 1 give alternative 1 a chance with input"):
        table.expected([torch.zeros(2), torch.zeros(2)], metric="macs")
    safe = [torch.tensor([0.0, -torch.inf]), torch.zeros(2)]
    assert float(table.expected(safe, metric="macs")) == 2


# --- samples ---------------------------------------------------------------------


def check_uniform(table, sums, n=4000, **budgets):
    """All candidates within the budgets, and no others, are drawn about equally often."""
    within = [
        candidate
        for candidate, total in sums.items()
        if all(
            total[table.metrics.index(name.removeprefix("max_"))] <= limit
            for name, limit in budgets.items()
        )
    ]
    drawn = table.sample(n, rng=12345, **budgets)
    assert drawn.shape == (n, table.n_slots)
    number = {candidate: index for index, candidate in enumerate(within)}
    times = np.bincount([number[tuple(row)] for row in drawn.tolist()], minlength=len(within))
    if len(within) > 1:
        assert stats.chisquare(times).pvalue > 1e-3
    return len(within)


@pytest.mark.parametrize("n_states", [1, 3])
@pytest.mark.parametrize("top", [40, 10**6, 10**12])
def test_samples_are_uniform_within_one_budget(n_states, top):
    table, sums = random_table(7, [4, 3, 4, 3], n_states, top)
    ordered = sorted(total[0] for total in sums.values())
    for share in (0, 0.02, 0.3, 0.8, 1):
        at = int(share * (len(ordered) - 1))
        assert check_uniform(table, sums, max_macs=ordered[at]) > at


@pytest.mark.parametrize("n_states", [1, 3])
@pytest.mark.parametrize("top", [40, 10**6])
def test_samples_are_uniform_within_two_budgets(n_states, top):
    table, sums = random_table(8, [4, 3, 4, 3], n_states, top)
    middles = [sorted(total[index] for total in sums.values())[len(sums) // 2] for index in (0, 1)]
    assert check_uniform(table, sums, max_macs=middles[0], max_params=middles[1]) > 1
    assert check_uniform(table, sums) == len(sums)


def test_samples_are_uniform_on_the_coarsest_of_grids(monkeypatch):
    monkeypatch.setattr(choice_samples, "_CELLS", 3)
    monkeypatch.setattr(choice_samples, "_ALL_CELLS", 3)
    table, sums = random_table(9, [4, 3, 4, 3], 2, 10**6)
    ordered = sorted(total[0] for total in sums.values())
    check_uniform(table, sums, max_macs=ordered[len(ordered) // 3])


def test_what_is_rarely_met_is_listed(monkeypatch):
    monkeypatch.setattr(choice_samples, "_CELLS", 2)
    monkeypatch.setattr(choice_samples, "_ALL_CELLS", 2)
    monkeypatch.setattr(choice_samples, "_RARE", 1)
    monkeypatch.setattr(choice_samples, "_BATCH", 64)
    monkeypatch.setattr(choice_samples, "_FEW_DRAWS", 64)
    table, sums = random_table(9, [4, 3, 4, 3], 1, 10**6)
    ordered = sorted(total[0] for total in sums.values())
    check_uniform(table, sums, max_macs=ordered[20])
    assert table._sampler[1]._listed is not None
    assert len(table._sampler[1]._listed) == 21


def test_numbers_of_candidates_over_64_bits_are_drawn_from_uniformly():
    table = ChoiceTable.from_costs({"macs": [list(range(9))] * 21, "params": [[1] * 9] * 21})
    assert table.n_candidates > LARGEST
    times = np.stack([np.bincount(slot, minlength=9) for slot in table.sample(9000, rng=1).T])
    assert stats.chisquare(times, axis=1).pvalue.min() > 1e-3
    within = table.sample(9000, rng=1, max_macs=84)
    sums = within.astype(int).sum(axis=1)
    assert sums.max() == 84
    # How many of 9**21 add up to each number: the coefficients of (1 + x + ... + x**8)**21.
    ways = np.ones(1, object)
    for _ in range(21):
        ways = sum(np.pad(ways, (shift, 8 - shift)) for shift in range(9))
    likely = np.array([int(way) for way in ways[:85]], float)
    shown = likely / likely.sum() * 9000 > 10
    times = np.bincount(sums, minlength=85)
    expected = likely / likely.sum() * 9000
    bins = np.append(times[shown], times[~shown].sum())
    assert stats.chisquare(bins, np.append(expected[shown], expected[~shown].sum())).pvalue > 1e-3


def test_a_budget_of_exactly_the_cheapest_gives_the_cheapest():
    rng = np.random.default_rng(0)
    table = ChoiceTable.from_costs({"macs": rng.integers(10**8, 10**9, (21, 9))})
    choices, cost = table.cheapest("macs")
    assert (table.sample(5, rng=0, max_macs=cost) == choices).all()
    with pytest.raises(
        InputError,
        match=rf"no candidate was found within max_macs={cost - 1}; the cheapest possible, each "
        rf"by itself: max_macs {cost:,}",
    ):
        table.sample(5, rng=0, max_macs=cost - 1)


def test_costs_as_large_as_they_get_are_sampled():
    table = ChoiceTable.from_costs({"macs": [[0, LARGEST]] * 3})
    drawn = table.sample(200, rng=0, max_macs=2 * LARGEST)
    assert {tuple(row) for row in drawn.tolist()} == set(all_candidates((2, 2, 2))) - {(1, 1, 1)}


def test_budgets_that_nothing_meets_together_are_an_error():
    table = ChoiceTable.from_costs({"macs": [[1, 10**6]] * 8, "params": [[10**6, 1]] * 8})
    with pytest.raises(InputError, match=r"no candidate was found within max_macs=.*, max_params="):
        table.sample(1, rng=0, max_macs=2 * 10**6, max_params=2 * 10**6)


def test_the_same_seed_draws_the_same_and_a_generator_goes_on():
    table, _ = random_table(1, [4] * 6)
    assert (table.sample(9, rng=5) == table.sample(9, rng=5)).all()
    rng = np.random.default_rng(5)
    first, second = table.sample(9, rng=rng), table.sample(9, rng=rng)
    assert (first == table.sample(9, rng=5)).all()
    assert (first != second).any()
    assert table.sample(0).shape == (0, 6)
    assert first.dtype == np.uint8


def test_a_realistic_space_is_sampled_fast_and_within_budgets():
    rng = np.random.default_rng(2)
    table = ChoiceTable.from_costs(
        {"bops": rng.integers(10**6, 10**9, (21, 9)), "params": rng.integers(10**3, 10**6, (21, 9))}
    )
    bops, params = 5 * 10**9, 6 * 10**6
    drawn = table.sample(500, rng=0, max_bops=bops, max_params=params)
    counted = table.count(drawn)
    assert counted["bops"].max() <= bops
    assert counted["params"].max() <= params
    assert len(np.unique(drawn, axis=0)) > 490


@pytest.mark.parametrize(
    ("n", "options", "message"),
    [
        (-1, {}, "n must be a whole number of at least 0, got -1"),
        (1.5, {}, "n must be a whole number of at least 0, got 1.5"),
        (1, {"rng": "seed"}, "rng must be a numpy Generator or a seed, got 'seed'"),
        (1, {"rng": -1}, "rng must be a numpy Generator or a seed, got -1"),
        (1, {"macs": 3}, "sample takes budgets such as max_macs=, got macs="),
        (1, {"max_bops": 3}, "metric must be one of macs, params, got 'bops'"),
        (1, {"max_macs": "many"}, "max_macs must be a number, got 'many'"),
        (1, {"max_macs": float("nan")}, "max_macs must be a number, got nan"),
        (1, {"max_macs": True}, "max_macs must be a number, got True"),
    ],
)
def test_samples_that_make_no_sense_are_named(n, options, message):
    table, _ = random_table(1, [2, 2])
    with pytest.raises(InputError, match=message):
        table.sample(n, **options)


def test_the_reference_counts_by_hand():
    assert reference.count({"macs": [[1, 2], [10, 20]]}, [(0, 1), (1, 0)]) == {"macs": [21, 12]}
