"""Widths that the caller gives, and widths that tensors carry from op to op."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from support.low_bit.recorded import FLOATING, FULL, PRODUCER, USER, widths
from torch import nn

import bopscount
from bopscount import InputError
from bopscount.api import build_report
from bopscount.report.options import ReportOptions
from bopscount.tracing.options import TraceOptions

SIZE = (3, 8, 8)


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(4, 4, 3, padding=1, bias=False)
        self.relu = nn.ReLU()

    def forward(self, x):
        return self.relu(self.conv(x)) + x


class Network(nn.Module):
    """A stem, two blocks, a classifier and a product of its own."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 1, bias=False)
        self.layer1 = Block()
        self.layer2 = Block()
        self.fc = nn.Linear(64, 5)

    def forward(self, x):
        x = self.layer2(self.layer1(self.stem(x))).flatten(2)
        return self.fc(x @ x.transpose(1, 2) @ x)


def test_patterns_set_what_they_match_and_nothing_else():
    table = bopscount.trace(Network(), SIZE, bits={"layer*.conv": (1, 1), "fc": (8, 4)})
    assert widths(table) == {
        "(matmul)": FULL,
        "stem": FULL,
        "layer1.conv": (1, 1, USER, USER),
        "layer2.conv": (1, 1, USER, USER),
        "fc": (8, 4, USER, USER),
    }


def test_the_last_pattern_that_matches_counts_and_none_leaves_a_width():
    bits = {"*": (4, 4), "layer2.*": (None, 2), "(matmul)": (None, 8)}
    found = widths(bopscount.trace(Network(), SIZE, bits=bits))
    assert found["stem"] == (4, 4, USER, USER)
    assert found["layer2.conv"] == (32, 2, FLOATING, USER)
    assert found["(matmul)"] == (32, 8, FLOATING, USER)


def test_a_callable_gets_path_and_module():
    model = Network()
    seen = {}

    def bits(path, module):
        seen[path] = module
        return (2, 3) if isinstance(module, nn.Linear) else None

    found = widths(bopscount.trace(model, SIZE, bits=bits))
    assert seen == {path: model.get_submodule(path) for path in
                    ("", "stem", "layer1.conv", "layer2.conv", "fc")}  # fmt: skip
    assert [path for path, row in found.items() if row == (2, 3, USER, USER)] == ["fc"]
    assert found["layer1.conv"] == FULL


def test_the_user_has_the_last_word_over_registered_classes():
    class Registered(nn.Linear):
        pass

    bopscount.register_layer(Registered, weight_bits=2, input_bits=2)
    model = nn.Sequential(Registered(4, 3))
    assert widths(bopscount.trace(model, (4,)))["0"][:2] == (2, 2)
    assert widths(bopscount.trace(model, (4,), bits={"0": (3, 5)}))["0"] == (3, 5, USER, USER)


def test_every_call_takes_them_and_all_agree():
    model, bits = Network(), {"layer*.conv": (1, 1)}
    table = bopscount.trace(model, SIZE)
    for rules in ("torchstat", "full"):
        expected = table.with_bits(bits).totals(rules)
        assert expected.bops == 2 * 4 * 4 * 9 * 64
        assert bopscount.scan(model, SIZE, bits=bits, rules=rules) == expected
        asked = TraceOptions(SIZE, bits=bits)
        report = build_report(model, asked, ReportOptions(rules), timing=False)
        assert report.totals == expected
    assert widths(table)["layer1.conv"] == FULL, "the traced table stays"


@pytest.mark.parametrize(
    ("bits", "words"),
    [
        ({"layer9.*": (1, 1)}, "'layer9.*'.* matches no layer"),
        ({"layer1": (1, 1)}, "'layer1.*'"),
        ({"fc": (0, 1)}, "from 1 to 64, got 0"),
        ({"fc": (1, 65)}, "from 1 to 64, got 65"),
        ({"fc": (1.0, 1)}, "got 1.0"),
        ({"fc": (True, 1)}, "got True"),
        ({"fc": 8}, "must be .weight bits, input bits. or .measured., got 8"),
        ({"fc": (1, 2, 3)}, "got .1, 2, 3."),
        ({3: (1, 1)}, "path patterns as keys, got 3"),
        ("fourish", "must be .measured., a dict"),
        (lambda path, module: (1, 99), "got 99"),
    ],
)
def test_what_cannot_be_meant_is_one_clear_sentence(bits, words):
    with pytest.raises(InputError, match=words):
        bopscount.trace(Network(), SIZE, bits=bits)


def test_a_table_alone_has_no_modules_for_a_callable():
    with pytest.raises(InputError, match="needs the model"):
        bopscount.trace(Network(), SIZE).with_bits(lambda path, module: (1, 1))


@bopscount.register_layer(output_bits=2)
class Quantiser(nn.Module):
    def forward(self, x):
        return torch.round(x)


def carried(*modules, size=SIZE, call=None):
    """The input's width and source that the last product sees behind these modules."""
    table = bopscount.trace(nn.Sequential(Quantiser(), *modules), size)
    _, bits, _, source = list(widths(table).values())[-1]
    return bits, source


class Call(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


KEEPS = {
    "nothing": lambda x: x,
    "view": lambda x: x.view(1, 3, 64).reshape(1, 3, 8, 8),
    "permute": lambda x: x.permute(0, 1, 3, 2),
    "index": lambda x: x[:, :, 1:, ::2],
    "padding": lambda x: nn.functional.pad(x, (1, 1)),
    "max pooling": lambda x: nn.functional.max_pool2d(x, 2),
    "nearest": lambda x: nn.functional.interpolate(x, scale_factor=2),
    "concatenation of equals": lambda x: torch.cat([x, x], 2),
    "contiguous": lambda x: x.transpose(2, 3).contiguous(),
    "dropout that is off": lambda x: nn.functional.dropout(x, 0.5, False),
    "chunks": lambda x: x.chunk(2, 2)[1],
    "roll": lambda x: torch.roll(x, 1, 2),
    "flatten and back": lambda x: x.flatten(2).unflatten(2, (8, 8)),
}
LOSES = {
    "addition": lambda x: x + x,
    "in-place addition": lambda x: x.clone().add_(1),
    "averaging": lambda x: nn.functional.avg_pool2d(x, 2),
    "bilinear": lambda x: nn.functional.interpolate(x, scale_factor=2, mode="bilinear"),
    "activation": torch.sigmoid,
    "concatenation of others": lambda x: torch.cat([x, x * 2], 2),
}


@pytest.mark.parametrize("function", KEEPS.values(), ids=list(KEEPS))
def test_a_width_survives(function):
    assert carried(Call(function), nn.Conv2d(3, 2, 1)) == (2, PRODUCER)


@pytest.mark.parametrize("function", LOSES.values(), ids=list(LOSES))
def test_a_width_does_not_survive(function):
    assert carried(Call(function), nn.Conv2d(3, 2, 1)) == (32, FLOATING)


@pytest.mark.parametrize(
    ("module", "kept"),
    [
        (nn.MaxPool2d(2), True), (nn.Identity(), True), (nn.Dropout(), True),
        (nn.ZeroPad2d(1), True), (nn.Upsample(scale_factor=2), True), (nn.ReLU(), False),
        (nn.AvgPool2d(2), False), (nn.BatchNorm2d(3), False), (nn.Conv2d(3, 3, 1), False),
    ],
    ids=repr,
)  # fmt: skip
def test_modules_keep_or_lose_a_width(module, kept):
    expected = (2, PRODUCER) if kept else (32, FLOATING)
    assert carried(module, nn.Conv2d(3, 2, 1)) == expected


@given(st.lists(st.sampled_from(sorted({**KEEPS, **LOSES})), max_size=4))
def test_a_width_goes_as_far_as_every_op_keeps_it(names):
    steps = [Call({**KEEPS, **LOSES}[name]) for name in names]
    size = (3, 32, 32)
    if any(name in ("view", "flatten and back") for name in names):
        return  # of one size only
    expected = (2, PRODUCER) if all(name in KEEPS for name in names) else (32, FLOATING)
    assert carried(*steps, nn.Conv2d(3, 2, 1), size=size) == expected


def test_both_operands_of_a_product_carry_widths():
    class Scores(nn.Module):
        def __init__(self):
            super().__init__()
            self.quantise = Quantiser()

        def forward(self, x):
            return self.quantise(x) @ self.quantise(x).transpose(1, 2)

    table = bopscount.trace(Scores(), (4, 6))
    assert widths(table) == {"(matmul)": (2, 2, PRODUCER, PRODUCER)}
    assert table.totals("full").bops == 4 * 4 * 6 * 2 * 2


def test_an_op_in_place_takes_a_width_away():
    class InPlace(nn.Module):
        def __init__(self):
            super().__init__()
            self.quantise, self.conv = Quantiser(), nn.Conv2d(3, 2, 1)

        def forward(self, x):
            x = self.quantise(x)
            x.view(-1).mul_(3.5)
            return self.conv(x)

    assert widths(bopscount.trace(InPlace(), SIZE))["conv"] == FULL
