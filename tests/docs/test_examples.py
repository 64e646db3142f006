"""The searches in examples/ run and find what they say."""

from __future__ import annotations

import importlib.util
from itertools import product

import numpy as np
import pytest
import torch
from support.paths import ROOT
from torch import nn

import bopscount

FOLDER = ROOT / "examples"


@pytest.fixture
def load():
    """Loads an example; what it registers, seeds and sets is put back."""
    registered = []

    def load_example(name):
        spec = importlib.util.spec_from_file_location(name, FOLDER / f"{name}.py")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        registered.extend(
            getattr(module, cls) for cls in ("QuantConv", "BinaryConv") if hasattr(module, cls)
        )
        return module

    n_threads = torch.get_num_threads()
    with torch.random.fork_rng(devices=[]):
        yield load_example
    torch.set_num_threads(n_threads)
    for cls in registered:
        bopscount.unregister_layer(cls)


def test_every_example_has_a_line_in_the_table():
    page = (FOLDER / "README.md").read_text(encoding="utf-8")
    for path in FOLDER.glob("*.py"):
        assert f"[{path.name}]({path.name})" in page


def test_the_study_finds_a_front_that_no_trial_beats(load, capsys):
    pytest.importorskip("optuna")
    study = load("optuna_study").main()
    trials = [(trial.values[0], -trial.values[1]) for trial in study.trials]
    front = {(trial.values[0], -trial.values[1]) for trial in study.best_trials}

    def is_beaten(trial):
        return any(other != trial and all(map(float.__ge__, other, trial)) for other in trials)

    assert front == {trial for trial in trials if not is_beaten(trial)}
    assert len(front) >= 3
    printed = capsys.readouterr().out
    for accuracy, bops in front:
        assert f"{accuracy:8.1%} {-int(bops):11,} " in printed


def test_a_trial_costs_what_its_layers_cost(load):
    pytest.importorskip("optuna")
    study = load("optuna_study").main(n_trials=4, n_steps=1)
    for trial in study.trials:
        w1, a1, w2, a2 = (trial.params[name] for name in ("w1", "a1", "w2", "a2"))
        n = trial.params["channels"]
        expected = 9 * (144 * n * 64 + 36 * n * n * w1 * a1 + 9 * n * n * w2 * a2)
        assert trial.values[1] == expected


def test_evolution_keeps_its_budget_and_beats_random_candidates(load, capsys):
    example = load("evolutionary_search")
    slots, best, bops, score, random_scores = example.main()
    network = nn.Sequential(
        *(slot[choice] for slot, choice in zip(slots, best, strict=True) if slot[choice])
    )
    assert bopscount.scan(network, example.INPUT_SIZE).bops == bops <= example.BUDGET
    assert score > random_scores.max()
    printed = capsys.readouterr().out
    assert "100,000 searched" in printed
    assert f"found   {bops:,} Bops" in printed


@pytest.mark.parametrize("seed", range(10))
def test_the_assignment_is_the_best_of_all(load, seed):
    pytest.importorskip("scipy")
    rng = np.random.default_rng(seed)
    costs = rng.integers(1, 30, (3, 4)) * 1_000_003
    errors = rng.random((3, 4))
    rows = np.arange(3)
    within = [
        np.array(choice)
        for choice in product(range(4), repeat=3)
        if costs[rows, choice].sum() <= 45_000_135
    ]
    assert within
    best = load("mixed_precision_milp").assign(costs, errors, 45_000_135)
    assert costs[rows, best].sum() <= 45_000_135
    assert errors[rows, best].sum() == min(errors[rows, choice].sum() for choice in within)


def test_a_budget_that_no_assignment_meets_is_told(load):
    pytest.importorskip("scipy")
    with pytest.raises(SystemExit, match="no assignment within 1,000 Bops"):
        load("mixed_precision_milp").assign(np.array([[2000, 3000]]), np.array([[1.0, 0.5]]), 1000)


def test_mixed_precision_beats_four_bits_for_no_more_bops(load, capsys):
    pytest.importorskip("scipy")
    example = load("mixed_precision_milp")
    network, found, budget = example.main()
    uniform = bopscount.scan(network, example.INPUT_SIZE, bits={"*": (4, 4)}).bops
    bops = bopscount.scan(network, example.INPUT_SIZE, bits=found).bops
    assert bops <= budget == uniform
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    of_found = next(row for row in rows if row[:1] == ["found"])
    of_uniform = next(row for row in rows if row[:2] == ["all", "4"])
    assert of_found[1] == f"{bops:,}"
    assert float(of_found[2]) < float(of_uniform[4])  # alone
    assert float(of_found[3]) < float(of_uniform[5])  # together


def test_gradient_search_lowers_the_expected_bops(load, capsys):
    example = load("gradient_nas")
    before, after, derived, accuracy, network = example.main()
    table = bopscount.ChoiceTable.trace(example.build_slots(), example.INPUT_SIZE)
    everything = np.array([*product(*map(range, table.n_alternatives))])
    assert before == pytest.approx(table.count(everything, "bops")["bops"].mean())
    assert after < before / 2
    assert derived == bopscount.scan(network, example.INPUT_SIZE).bops
    assert accuracy > 0.6  # by chance: 0.25
    assert f"derived network      {derived:14,} Bops" in capsys.readouterr().out
