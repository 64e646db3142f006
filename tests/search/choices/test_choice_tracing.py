"""Choice tables of modules, against scans of the networks that candidates stand for."""

from functools import partial

import numpy as np
import pytest
import torch
from support import choice_reference as reference
from support.choice_reference import all_candidates
from torch import nn

import bopscount
from bopscount import ChoiceTable, InputError, TraceError
from bopscount.records.totals import METRIC_NAMES


def mbconv(channels, out_channels, kernel, expansion, stride=1):
    """An inverted residual block without the shortcut, as in ProxylessNAS."""
    hidden = channels * expansion
    return nn.Sequential(
        nn.Conv2d(channels, hidden, 1, bias=False), nn.BatchNorm2d(hidden), nn.ReLU6(),
        nn.Conv2d(hidden, hidden, kernel, stride, kernel // 2, groups=hidden, bias=False),
        nn.BatchNorm2d(hidden), nn.ReLU6(),
        nn.Conv2d(hidden, out_channels, 1, bias=False), nn.BatchNorm2d(out_channels),
    )  # fmt: skip


def choice_block(channels, out_channels, stride=1):
    blocks = [
        mbconv(channels, out_channels, kernel, expansion, stride)
        for kernel in (3, 5, 7)
        for expansion in (3, 6)
    ]
    return blocks + [None] * (stride == 1 and channels == out_channels)


def single_path_space():
    stem = nn.Sequential(nn.Conv2d(3, 16, 3, 2, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU6())
    body = []
    channels = 16
    for out_channels in (24, 32, 48):
        body += [choice_block(channels, out_channels, 2), choice_block(out_channels, out_channels)]
        channels = out_channels
    head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, 10))
    return [stem, *body, head]


def check_candidates(slots, input_size, candidates, **options):
    """Every candidate costs what a scan of its network says, or is refused as that is."""
    table = ChoiceTable.trace(slots, input_size, **options)
    n_runnable = 0
    for candidate in candidates:
        expected = reference.scan(slots, candidate, input_size, **options)
        if isinstance(expected, TraceError):
            with pytest.raises(InputError, match="which cannot take an input of shape"):
                table.count(candidate)
            continue
        n_runnable += 1
        counted = table.count(candidate)
        assert {name: int(values[0]) for name, values in counted.items()} == dict(
            zip(METRIC_NAMES, expected.costs(), strict=True)
        )
        assert table.count(candidate, "ops")["ops"][0] == expected.ops
    return table, n_runnable


@pytest.mark.parametrize("rules", ["torchstat", "full"])
def test_a_single_path_space_costs_what_its_networks_do(rules):
    slots = single_path_space()
    rng = np.random.default_rng(0)
    lengths = [len(slot) if isinstance(slot, list) else 1 for slot in slots]
    candidates = [[int(rng.integers(n)) for n in lengths] for _ in range(12)]
    table, n_runnable = check_candidates(slots, (3, 64, 64), candidates, rules=rules, batch_size=2)
    assert n_runnable == 12
    assert table.n_candidates == 6**3 * 7**3
    assert all(len(slot.next_states) == 1 for slot in table.slots)
    for find in (table.cheapest, table.dearest):
        choices, cost = find("macs")
        assert cost == reference.scan(slots, choices, (3, 64, 64), batch_size=2).macs


def test_strides_that_differ_give_later_slots_several_shapes():
    slots = [
        [nn.Conv2d(3, 8, 3, 1, 1), nn.Conv2d(3, 8, 3, 2, 1), nn.Conv2d(3, 6, 1)],
        [nn.Conv2d(8, 8, 3, 1, 1), nn.MaxPool2d(2), None, nn.Conv2d(6, 8, 3, 2, 1)],
        [nn.Conv2d(8, 4, 5, 1, 2), nn.Conv2d(8, 4, 1), nn.Conv2d(6, 4, 1)],
        nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2)),
    ]
    candidates = all_candidates((3, 4, 3, 1))
    table, n_runnable = check_candidates(slots, (3, 16, 16), candidates)
    assert 0 < n_runnable < len(candidates)
    assert table.n_candidates == n_runnable
    assert len(table.slots[1].next_states) == 3
    runnable = [
        c for c in candidates if not isinstance(reference.scan(slots, c, (3, 16, 16)), TraceError)
    ]
    counted = table.count(np.array(runnable))
    for metric in ("macs", "params", "mem_read"):
        assert table.cheapest(metric)[1] == counted[metric].min()
        assert table.dearest(metric)[1] == counted[metric].max()


def test_the_first_candidate_that_cannot_run_is_explained():
    slots = [[nn.Conv2d(3, 8, 1), nn.Conv2d(3, 6, 1)], [nn.Conv2d(8, 4, 1), nn.Conv2d(6, 4, 1)]]
    table = ChoiceTable.trace(slots, (3, 4, 4))
    with pytest.raises(
        InputError,
        match=r"choices has 0 for candidate 2, slot 1, which cannot take an input of shape "
        r"\(1, 6, 4, 4\), torch.float32: .*expected input\[1, 6, 4, 4\] to have 8 channels",
    ):
        table.count([[0, 0], [1, 1], [1, 0], [0, 1]])


def test_bit_widths_travel_from_slot_to_slot():
    class Sign(nn.Module):
        def forward(self, x):
            return torch.sign(x)

    class SignConv(nn.Conv2d):
        def forward(self, x):
            return nn.functional.conv2d(x, self.weight)

    bopscount.register_layer(Sign, output_bits=1)
    bopscount.register_layer(SignConv, weight_bits=1)
    try:
        conv = partial(SignConv, 8, 8, 3, bias=False)
        slots = [
            [Sign(), None],
            [nn.MaxPool2d(2), None],
            [conv(), nn.Conv2d(8, 8, 3)],
            [conv(), None],
        ]
        table, n_runnable = check_candidates(slots, (8, 12, 12), all_candidates((2, 2, 2, 2)))
        assert n_runnable == 16
        assert len(table.slots[2].next_states) == 4
        assert table.count([0, 1, 0, 1], "bops")["bops"][0] == 100 * 8 * 72 + 8 * 144
        assert table.count([1, 1, 0, 1], "bops")["bops"][0] == 0
    finally:
        bopscount.unregister_layer(Sign)
        bopscount.unregister_layer(SignConv)


def test_bits_are_given_by_slot_alternative_and_path():
    slots = [[nn.Conv2d(3, 8, 1), nn.Conv2d(3, 8, 3)], [nn.Sequential(nn.Conv2d(8, 4, 1))]]
    macs = [[3 * 8 * 36, 27 * 8 * 16], [8 * 4 * 36, 8 * 4 * 16]]
    table = ChoiceTable.trace(
        slots, (3, 6, 6), bits={"0.*": (4, 4), "0.1": (2, 8), "1.0.0": (1, 1)}
    )
    assert table.count([0, 0], "bops")["bops"][0] == 16 * macs[0][0] + macs[1][0]
    assert table.count([1, 0], "bops")["bops"][0] == 16 * macs[0][1] + macs[1][1]
    same = ChoiceTable.trace(
        slots, (3, 6, 6), bits=lambda path, module: (1, 2) if path == "1.0.0" else None
    )
    assert same.count([[0, 0], [1, 0]], "bops")["bops"].tolist() == [2 * m for m in macs[1]]
    with pytest.raises(InputError, match=r"bits\['2.\*'\] matches no layer with MACs"):
        ChoiceTable.trace(slots, (3, 6, 6), bits={"2.*": (1, 1)})
    with pytest.raises(InputError, match="from 1 to 64, got 65"):
        ChoiceTable.trace(slots, (3, 6, 6), bits={"0.0": (65, 1)})
    with pytest.raises(InputError, match="bits must be a dict"):
        ChoiceTable.trace(slots, (3, 6, 6), bits=3)


def test_shared_parameters_are_counted_where_they_are_chosen_first():
    shared, other = nn.Conv2d(8, 8, 3, padding=1), nn.Conv2d(8, 8, 1)
    tied = nn.Conv2d(8, 8, 3, padding=1, bias=False)
    tied.weight = shared.weight
    slots = [[shared, other, None], [shared, None], [tied, other, nn.ReLU()], [shared, tied, None]]
    check_candidates(slots, (8, 5, 5), all_candidates((3, 2, 3, 3)))


def test_alternatives_of_one_slot_may_share_parameters_without_more_states():
    convs = [nn.Conv2d(8, 8, 3, padding=1) for _ in range(3)]
    for conv in convs[1:]:
        conv.weight = convs[0].weight
    table, _ = check_candidates([convs, [nn.ReLU(), None]], (8, 5, 5), all_candidates((3, 2)))
    assert len(table.slots[1].next_states) == 1


def test_callables_build_alternatives_and_modules_may_stand_alone():
    lists = nn.ModuleList([nn.Conv2d(8, 8, 1), nn.Conv2d(8, 8, 3)])
    table = ChoiceTable.trace([partial(nn.Conv2d, 3, 8, 1), lists, [nn.ReLU()]], (3, 6, 6))
    assert table.n_alternatives == (1, 2, 1)
    assert table.count([[0, 0, 0], [0, 1, 0]], "macs")["macs"].tolist() == [
        36 * 24 + 36 * 64, 36 * 24 + 16 * 9 * 64,
    ]  # fmt: skip


def test_token_ids_and_dtypes_reach_their_slots():
    slots = [
        nn.Embedding(100, 16),
        [nn.Linear(16, 16), None, nn.TransformerEncoderLayer(16, 2, 32, batch_first=True)],
        nn.Linear(16, 100),
    ]
    check_candidates(
        slots, (7,), all_candidates((1, 3, 1)), dtype=torch.int64, batch_size=3, rules="full"
    )


def test_each_pair_of_module_and_input_is_traced_once(monkeypatch):
    from bopscount.search.choices import trace as choice_trace

    calls = []
    record = choice_trace.record

    def counting(module, *args, **options):
        calls.append(module)
        return record(module, *args, **options)

    monkeypatch.setattr(choice_trace, "record", counting)
    block = nn.Conv2d(4, 4, 3, padding=1)
    ChoiceTable.trace([[block, None]] * 12, (4, 6, 6))
    assert len(calls) == 2  # the last slot's output is not looked at


def test_the_last_slot_may_return_anything_and_models_that_read_values_are_run():
    class Pair(nn.Module):
        def forward(self, x):
            return x, x * 2

    class Branch(nn.Module):
        def forward(self, x):
            return x + 1 if x.sum() > 0 else x

    table = ChoiceTable.trace([[Branch(), nn.ReLU()], Pair()], (4,), rules="full")
    assert table.n_candidates == 2
    assert table.notes == (
        "slot 0, alternative 0: what it does depends on values, so it was run once",
    )
    with pytest.raises(
        InputError, match=r"slots must return one tensor.*alternative 1 returns tuple"
    ):
        ChoiceTable.trace([[nn.ReLU(), Pair()], nn.ReLU()], (4,))


def test_ops_without_a_rule_are_noted():
    class Odd(nn.Module):
        def forward(self, x):
            return torch.linalg.matrix_exp(x)

    table = ChoiceTable.trace([[nn.ReLU(), Odd()]], (4, 4))
    assert len(table.notes) == 1
    assert "slot 0, alternative 1: " in table.notes[0]
    assert "has no rule" in table.notes[0]
    with pytest.raises(TraceError, match=r"slot 0, alternative 1: .* has no rule"):
        ChoiceTable.trace([[nn.ReLU(), Odd()]], (4, 4), strict=True)


def test_modules_are_left_as_they_were():
    block = mbconv(4, 4, 3, 3).train()
    before = {name: tensor.clone() for name, tensor in block.state_dict().items()}
    ChoiceTable.trace([[block, None], [block, None]], (4, 6, 6))
    assert block.training
    assert all(torch.equal(before[name], tensor) for name, tensor in block.state_dict().items())


@pytest.mark.parametrize(
    ("slots", "input_size", "message"),
    [
        ([], (4,), "slots must be a list .* got an empty one"),
        (nn.ReLU(), (4,), "slots must be a list .* got ReLU"),
        ([[nn.ReLU()], []], (4,), "slots must have one alternative at least, got none for slot 1"),
        ([[nn.ReLU(), 3]], (4,), "slot 0, alternative 1: model must be a torch.nn.Module"),
        ([[nn.ReLU, None]], (4,), "slot 0, alternative 0: model must be an instance"),
        ([[nn.ReLU()]], [(4,), (4,)], "input_size must be one shape"),
        ([[nn.ReLU()]], (0,), "input_size must hold positive sizes only"),
        ([nn.Linear(4, 4), [nn.Linear(3, 3), nn.Linear(5, 5)]], (4,),
         "no alternative of slot 1 can take what reaches it, such as an input of shape"),
    ],
)  # fmt: skip
def test_slots_that_are_none_are_named(slots, input_size, message):
    with pytest.raises(InputError, match=message):
        ChoiceTable.trace(slots, input_size)


def test_a_space_whose_paths_all_end_early_is_refused():
    slots = [
        [nn.Linear(4, 3), nn.Linear(4, 5)],
        [nn.Linear(3, 2), nn.Linear(5, 1)],
        [nn.Linear(7, 1)],
    ]
    with pytest.raises(InputError, match="no alternative of slot 2 can take what reaches it"):
        ChoiceTable.trace(slots, (4,))
