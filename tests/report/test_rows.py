"""The rows rule: which module, op and parameter has which row, and that nothing is lost."""

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.reference import METRICS
from torch import nn

import bopscount

WIDTH = 4


def report_of(model, size=(WIDTH,), rules="torchstat", **options):
    return bopscount.count(bopscount.trace(model, size, **options), rules=rules)


def rows_of(model, size=(WIDTH,), rules="torchstat", **options):
    return {row.module_path: row for row in report_of(model, size, rules, **options).rows}


class Chain(nn.Module):
    """Calls the named children in the given order."""

    def __init__(self, order, **children):
        super().__init__()
        for name, child in children.items():
            self.add_module(name, child)
        self.order = order

    def forward(self, x):
        for name in self.order:
            x = getattr(self, name)(x)
        return x


def test_rows_stand_in_module_order_and_not_in_calling_order():
    model = Chain(
        ["last", "first"], first=nn.Linear(WIDTH, WIDTH), last=nn.Linear(WIDTH, WIDTH, bias=False)
    )
    assert list(rows_of(model)) == ["first", "last"]


def test_a_module_never_called_keeps_its_row_at_zero_but_for_its_parameters():
    model = Chain(["a"], a=nn.ReLU(), unused=nn.Linear(WIDTH, 3))
    row = rows_of(model, rules="full")["unused"]
    assert row.params == 3 * WIDTH + 3
    assert row.calls == 0
    assert row.kind == "uncalled"
    assert row.input_shape == row.output_shape == (0, 0, 0)
    assert all(getattr(row, name) == 0 for name in METRICS if not name.endswith("params"))


def test_a_module_called_n_times_costs_n_times_and_its_parameters_once():
    once = rows_of(Chain(["a"], a=nn.Linear(WIDTH, WIDTH)))["a"]
    thrice = rows_of(Chain(["a"] * 3, a=nn.Linear(WIDTH, WIDTH)))["a"]
    assert (once.calls, thrice.calls) == (1, 3)
    assert thrice.params == once.params == WIDTH * WIDTH + WIDTH
    assert thrice.macs == 3 * once.macs == 3 * WIDTH * WIDTH
    for name in METRICS[2:]:
        assert getattr(thrice, name) == 3 * getattr(once, name)


def test_calls_of_one_module_at_several_shapes_are_summed():
    class Pyramid(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(1, 1, 3, stride=2, padding=1, bias=False)

        def forward(self, x):
            return self.conv(self.conv(x))

    row = rows_of(Pyramid(), (1, 8, 8))["conv"]
    assert row.macs == 9 * (4 * 4 + 2 * 2)
    assert row.calls == 2
    assert row.input_shape == (1, 8, 8)
    assert row.output_shape == (1, 2, 2)


def test_a_shared_module_has_one_row_under_its_first_path():
    shared = nn.Linear(WIDTH, WIDTH)
    rows = rows_of(Chain(["a", "b"], a=shared, b=shared))
    assert list(rows) == ["a"]
    assert rows["a"].calls == 2
    assert rows["a"].params == WIDTH * WIDTH + WIDTH


def test_a_shared_parameter_counts_once_on_its_first_owner():
    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.embed = nn.Embedding(10, WIDTH)
            self.out = nn.Linear(WIDTH, 10, bias=False)
            self.out.weight = self.embed.weight

        def forward(self, tokens):
            return self.out(self.embed(tokens))

    rows = rows_of(Tied(), (3,), dtype=torch.int64)
    assert rows["embed"].params == 10 * WIDTH
    assert rows["out"].params == 0
    assert rows["out"].macs == 3 * WIDTH * 10
    # The product still reads the weight.
    assert rows["out"].mem_read == 4 * (3 * WIDTH + 10 * WIDTH)


class Tokens(nn.Module):
    """A linear layer between parameters that no leaf owns."""

    def __init__(self):
        super().__init__()
        self.class_token = nn.Parameter(torch.zeros(1, WIDTH))
        self.proj = nn.Linear(WIDTH, WIDTH)
        self.positions = nn.Parameter(torch.zeros(5, WIDTH))

    def forward(self, x):
        return self.proj(x + self.class_token) + self.positions[0]


def test_parameters_of_an_inner_module_have_a_row_of_their_own():
    rows = rows_of(Chain(["inner"], inner=Tokens()))
    assert list(rows) == ["inner.(parameters)", "inner.proj"]
    assert rows["inner.(parameters)"].params == 6 * WIDTH
    assert rows["inner.(parameters)"].kind == "parameters"
    assert rows["inner.(parameters)"].macs == 0


def test_parameters_of_the_model_itself_have_a_row_without_a_path():
    assert next(iter(rows_of(Tokens()))) == "(parameters)"


def test_a_parameter_first_owned_by_an_inner_module_is_not_counted_again_in_a_leaf():
    class Borrowing(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.zeros(WIDTH, WIDTH))
            self.proj = nn.Linear(WIDTH, WIDTH, bias=False)
            self.proj.weight = self.weight

        def forward(self, x):
            return self.proj(x)

    rows = rows_of(Borrowing())
    assert rows["(parameters)"].params == WIDTH * WIDTH
    assert rows["proj"].params == 0
    assert rows["proj"].macs == WIDTH * WIDTH


class Product(nn.Module):
    """A matrix product and an addition in an inner module's forward."""

    def __init__(self):
        super().__init__()
        self.act = nn.ReLU()
        self.weight = nn.Parameter(torch.zeros(WIDTH, 3))

    def forward(self, x):
        x = self.act(x) + 1
        return x @ self.weight


@pytest.mark.parametrize("rules", ["torchstat", "full"])
def test_a_matrix_product_in_an_inner_forward_has_a_row_under_it(rules):
    rows = rows_of(Chain(["inner"], inner=Product()), (7, WIDTH), rules)
    row = rows["inner.(matmul)"]
    assert row.kind == "matmul"
    assert row.macs == 7 * WIDTH * 3
    assert row.flops == row.macs
    assert row.calls == 1
    assert row.params == 0
    assert rows["inner.(parameters)"].params == WIDTH * 3


def test_products_of_one_inner_module_share_their_row():
    class Twice(Product):
        def forward(self, x):
            return super().forward(x) + (self.act(x) @ self.weight)

    row = rows_of(Twice(), (7, WIDTH))["(matmul)"]
    assert row.calls == 2
    assert row.macs == 2 * 7 * WIDTH * 3


def test_a_functional_convolution_has_its_row_by_kind():
    class Functional(nn.Module):
        def __init__(self):
            super().__init__()
            self.act = nn.ReLU()
            self.weight = nn.Parameter(torch.zeros(5, 2, 3, 3))

        def forward(self, x):
            return nn.functional.conv2d(self.act(x), self.weight)

    row = rows_of(Functional(), (2, 6, 6))["(conv)"]
    assert row.macs == 5 * 4 * 4 * 2 * 9


def test_other_functional_ops_share_one_row_that_only_full_rules_show():
    class Functional(nn.Module):
        def __init__(self):
            super().__init__()
            self.act = nn.ReLU()

        def forward(self, x):
            return torch.tanh(self.act(x)) + 1

    model = Chain(["inner"], inner=Functional())
    assert list(rows_of(model)) == ["inner.act"]
    full = rows_of(model, rules="full")
    assert sorted(full) == ["inner.(functional)", "inner.act"]
    row = full["inner.(functional)"]
    assert row.flops == 2 * WIDTH
    assert row.calls == 2


def test_functional_ops_outside_the_rules_are_named_with_their_calls():
    report = report_of(Product(), (7, WIDTH))
    assert sum(report.left_out.values()) == 1
    assert "add" in next(iter(report.left_out))
    assert report_of(Product(), (7, WIDTH), "full").left_out == {}
    assert report.status == "complete"


def test_functional_rows_do_not_raise_a_node_s_height():
    table = bopscount.trace(Chain(["inner", "act"], inner=Product(), act=nn.ReLU()), (7, WIDTH))
    rows = bopscount.count(table, rules="full", query_granularity=2).rows
    assert [row.module_path for row in rows] == ["inner", "act"]
    (root,) = bopscount.count(table, rules="full", query_granularity=3).rows
    assert root.module_path == "Chain"


def test_an_inner_row_has_the_shapes_of_its_first_and_last_called_leaves():
    inner = Chain(
        ["a", "b"],
        unused=nn.Linear(1, 1),
        a=nn.Linear(WIDTH, 5),
        b=nn.Linear(5, 6),
        spare=nn.Linear(1, 1),
    )
    table = bopscount.trace(Chain(["inner", "act"], inner=inner, act=nn.ReLU()), (WIDTH,))
    row = bopscount.count(table, query_granularity=2).rows[0]
    assert (row.input_shape, row.output_shape) == ((WIDTH,), (6,))


def test_subclasses_of_torch_layers_are_leaves_whatever_they_contain():
    class OwnConv(nn.Conv2d):
        def __init__(self, *args):
            super().__init__(*args)
            self.helper = nn.Sequential(nn.Linear(3, 3), nn.ReLU())

    class OwnLinear(nn.Linear):
        def __init__(self, *args):
            super().__init__(*args)
            self.helper = nn.BatchNorm1d(2)

    class OwnNorm(nn.BatchNorm2d):
        def __init__(self, *args):
            super().__init__(*args)
            self.helper = nn.Identity()

    model = nn.Sequential(OwnConv(2, 3, 1), OwnNorm(3), nn.Flatten(), OwnLinear(27, 2))
    rows = rows_of(model, (2, 3, 3))
    assert list(rows) == ["0", "1", "2", "3"]
    assert (rows["0"].kind, rows["1"].kind, rows["3"].kind) == ("conv", "batch_norm", "linear")
    assert rows["0"].macs == 3 * 9 * 2
    # 2 x 3 weights, 3 biases, and what the helper holds.
    assert rows["0"].params == 9 + 12
    assert rows["3"].params == 27 * 2 + 2 + 4


def test_a_subclass_with_its_own_forward_is_a_leaf_whose_products_count():
    class ScaledConv(nn.Conv2d):
        def forward(self, x):
            return super().forward(x * 2)

    rows = rows_of(nn.Sequential(ScaledConv(2, 3, 1, bias=False)), (2, 3, 3))
    assert list(rows) == ["0"]
    assert rows["0"].macs == 3 * 9 * 2


def test_an_own_class_without_children_is_a_leaf_whose_products_count():
    class Dense(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.zeros(WIDTH, 5))

        def forward(self, x):
            return x @ self.weight

    rows = rows_of(nn.Sequential(Dense()))
    assert list(rows) == ["0"]
    assert rows["0"].macs == WIDTH * 5
    assert rows["0"].params == WIDTH * 5


def test_a_model_that_is_a_leaf_itself_is_one_row_under_its_class_s_name():
    rows = rows_of(nn.Linear(WIDTH, 3))
    assert list(rows) == ["Linear"]
    assert rows["Linear"].macs == 3 * WIDTH


def test_attention_s_own_parameters_and_products_are_not_lost():
    model = nn.MultiheadAttention(8, 2, batch_first=True)
    x = torch.zeros(1, 5, 8)
    report = bopscount.count(bopscount.trace(model, inputs=(x, x, x)))
    # Three projections in, one out, and the two products of 2 heads, 5 x 5 scores.
    assert report.totals.macs == 4 * 5 * 8 * 8 + 2 * 5 * 5 * 8
    assert report.totals.params == sum(p.numel() for p in model.parameters())
    assert report.uncounted == []


@pytest.mark.parametrize("rules", ["torchstat", "full"])
def test_a_model_that_returns_its_input_costs_nothing_but_the_memory_of_its_output(rules):
    report = report_of(nn.Sequential(), rules=rules)
    assert report.totals == bopscount.Totals(memory_bytes=4 * WIDTH)


class Tree(nn.Module):
    """An inner module that hypothesis puts together."""

    def __init__(self, children, calls, own_parameter, adds, multiplies):
        super().__init__()
        self.parts = nn.ModuleList(children)
        self.calls = calls
        self.weight = nn.Parameter(torch.zeros(WIDTH, WIDTH)) if own_parameter else None
        self.adds = adds
        self.multiplies = multiplies

    def forward(self, x):
        for part, calls in zip(self.parts, self.calls, strict=True):
            for _ in range(calls):
                x = part(x)
        if self.adds:
            x = x + 1
        if self.multiplies and self.weight is not None:
            x = x @ self.weight
        return x


SHARED = nn.Linear(WIDTH, WIDTH)


def tied_linear():
    layer = nn.Linear(WIDTH, WIDTH)
    layer.bias = SHARED.bias
    return layer


LEAVES = (
    lambda: nn.Linear(WIDTH, WIDTH),
    lambda: nn.LayerNorm(WIDTH),
    nn.ReLU,
    nn.PReLU,
    nn.Identity,
    nn.Dropout,
    tied_linear,
)


def trees(children):
    def build(parts, calls, own_parameter, adds, multiplies):
        return Tree(parts, calls[: len(parts)], own_parameter, adds, multiplies)

    return st.builds(
        build,
        st.lists(children, min_size=0, max_size=3),
        st.lists(st.integers(0, 2), min_size=3, max_size=3),
        st.booleans(),
        st.booleans(),
        st.booleans(),
    )


def models(*more_leaves):
    leaves = st.sampled_from([*LEAVES, *more_leaves]).map(lambda make: make())
    return trees(leaves | trees(leaves | trees(leaves)))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(models(lambda: SHARED), st.sampled_from(["torchstat", "full"]))
def test_rows_groups_and_kinds_all_add_up_to_the_totals(model, rules):
    table = bopscount.trace(model, (3, WIDTH))
    report = bopscount.count(table, rules=rules)
    totals = {name: getattr(report.totals, name) for name in METRICS}
    parameters = sum(parameter.numel() for parameter in model.parameters())
    assert totals["params"] == parameters
    assert table.totals(rules) == report.totals

    def sums(items):
        return {name: sum(getattr(item, name) for item in items) for name in METRICS}

    assert sums(report.layers) == totals
    assert sums(report.by_kind().values()) == totals
    for number in range(1, 9):
        coarse = bopscount.count(table, rules=rules, query_granularity=number)
        assert coarse.totals == report.totals
        assert sums(coarse.rows) == totals
        assert sums(report.by_module(number).values()) == totals
        assert len({row.module_path for row in coarse.rows}) == len(coarse.rows)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(models(), st.integers(1, 6))
def test_granularity_shows_the_nodes_of_its_height_and_lower_ones_beside_them(model, granularity):
    def height(module):
        children = list(module.children())
        return 1 + max(map(height, children)) if children else 1

    # The rule of the issue, by definition instead of top down.
    shown = set()
    parents = {"": None}
    named = dict(model.named_modules())
    for path in named:
        if path:
            parents[path] = path.rpartition(".")[0]
    for path, module in named.items():
        siblings = [other for other in named if parents[other] == parents[path]]
        if height(module) <= granularity and (
            height(module) == granularity
            or any(height(named[other]) >= granularity for other in siblings)
        ):
            shown.add(path or type(model).__name__)
    report = bopscount.count(
        bopscount.trace(model, (3, WIDTH)), rules="full", query_granularity=granularity
    )
    nodes = {row.module_path for row in report.rows if not row.module_path.endswith(")")}
    if granularity > height(model):
        shown = {type(model).__name__}
    assert nodes == shown


@pytest.mark.parametrize("packed", [False, True], ids=["padded", "packed"])
@pytest.mark.parametrize("cls", [nn.RNN, nn.GRU, nn.LSTM])
@pytest.mark.parametrize(("options", "width"), [({}, 6), ({"bidirectional": True}, 12)])
@pytest.mark.parametrize("layers", [1, 3])
def test_recurrent_rows_show_the_shape_of_their_output(cls, options, width, layers, packed):
    model = nn.Sequential(cls(WIDTH, 6, layers, batch_first=True, **options)).eval()
    x = torch.zeros(2, 5, WIDTH)
    inputs = nn.utils.rnn.pack_padded_sequence(x, [5, 3], batch_first=True) if packed else x
    with torch.no_grad():
        output, _ = model(inputs)
    expected = tuple((output.data if packed else output).shape)
    table = bopscount.trace(model, inputs=(inputs,), run="never")
    assert table.output_shapes == [expected] * len(table)
    (row,) = bopscount.count(table).rows
    assert row.output_shape == expected[1:]
    assert expected[-1] == width
