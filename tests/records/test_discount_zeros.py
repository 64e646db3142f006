"""discount_zeros: what is left when zero weights cost nothing."""

import copy
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from support import reference
from support.reference import DEFAULTS, METRICS, layer_costs
from torch import nn
from torch.nn.utils.prune import l1_unstructured

import bopscount
from bopscount import InputError, _core

KINDS = ("conv", "conv_transpose", "linear")


def prune(model, share=0.5):
    """Sets weights to zero at random, a share of them; the model itself."""
    generator = torch.Generator().manual_seed(7)
    for module in model.modules():
        if isinstance(weight := getattr(module, "weight", None), nn.Parameter):
            with torch.no_grad():
                weight.mul_(torch.rand(weight.shape, generator=generator) >= share)
    return model


@pytest.mark.parametrize(
    ("layer", "size", "multiply"),
    [
        (
            nn.Conv2d(6, 9, 3, groups=3),
            (6, 7, 8),
            lambda w, x: nn.functional.conv2d(x, w, groups=3),
        ),
        (
            nn.Conv2d(4, 8, 3, groups=4),
            (4, 6, 6),
            lambda w, x: nn.functional.conv2d(x, w, groups=4),
        ),
        (nn.Conv1d(4, 5, 3, stride=2), (4, 9), lambda w, x: nn.functional.conv1d(x, w, stride=2)),
        (
            nn.Conv3d(2, 3, 2, dilation=2),
            (2, 5, 5, 5),
            lambda w, x: nn.functional.conv3d(x, w, dilation=2),
        ),
        (
            nn.ConvTranspose2d(6, 4, 3, stride=2, groups=2),
            (6, 4, 5),
            lambda w, x: nn.functional.conv_transpose2d(x, w, stride=2, groups=2),
        ),
        (nn.Linear(7, 5), (3, 7), lambda w, x: nn.functional.linear(x, w)),
    ],
)
def test_macs_are_the_products_with_weights_that_are_not_zero(layer, size, multiply):
    # A product of ones where the weight is not zero, summed up by torch itself.
    prune(layer)
    nonzero = (layer.weight != 0).to(torch.float64)
    assert 0 < nonzero.sum() < nonzero.numel()
    products = int(multiply(nonzero, torch.ones(2, *size, dtype=torch.float64)).sum())
    totals = bopscount.scan(layer, size, batch_size=2, discount_zeros=True)
    assert totals.macs == products < bopscount.scan(layer, size, batch_size=2).macs


@st.composite
def pruned_layers(draw, largest=5):
    size = st.integers(1, largest)
    groups, kind = draw(st.integers(1, 3)), draw(st.sampled_from(KINDS))
    inner, outer = draw(size), groups * draw(size)
    kernel = (1, 1, 1) if kind == "linear" else (draw(size), draw(size), 1)
    elements = outer * inner * math.prod(kernel)
    fields = {name: draw(size) for name in ("calls", "batch", "in_positions", "out_positions")}
    if kind == "linear":
        fields["out_positions"] = fields["in_positions"]
    for operand in ("weight", "input"):
        fields[f"{operand}_bits"] = draw(st.sampled_from([1, 3, 8, 16, 32]))
        fields[f"{operand}_bits_source"] = draw(st.sampled_from([0, 1]))
    return DEFAULTS | fields | {
        "kind": kind,
        "groups": groups,
        "in_channels": groups * inner,
        "out_channels": outer,
        "kernel": kernel,
        "weight_elements": elements,
        "bias_elements": draw(st.sampled_from([0, outer])),
        "nonzero_weights": draw(st.integers(0, elements)),
        "input_item_bytes": draw(st.sampled_from([1, 2, 4])),
        "weight_item_bytes": draw(st.sampled_from([1, 2, 4])),
    }  # fmt: skip


def expected(fields, rules):
    """The reference's costs with fewer weights, but the same bias and sizes."""
    macs_of = reference.macs_of
    share = fields["nonzero_weights"], fields["weight_elements"]
    reference.macs_of = lambda f, s: macs_of(f, s) * share[0] // share[1]
    try:
        return layer_costs(fields | {"weight_elements": share[0]}, rules)
    finally:
        reference.macs_of = macs_of


def pack(layers):
    records = _core.new_layers(len(layers))
    for index, fields in enumerate(layers):
        for name, value in (fields | {"owner": index}).items():
            records[name][index] = _core.KINDS[value] if name == "kind" else value
    return records


@pytest.mark.parametrize("rules", ["torchstat", "full"])
@settings(max_examples=200, deadline=None)
@given(layers=st.lists(pruned_layers(), min_size=1, max_size=4))
def test_every_column_is_that_of_a_layer_with_fewer_weights(rules, layers):
    report = bopscount.count(pack(layers), rules=rules, discount_zeros=True)
    costs = [expected(fields, rules) for fields in layers]
    for row, cost in zip(report.layers, costs, strict=True):
        assert {name: getattr(row, name) for name in METRICS} == cost
    for name in METRICS:
        assert getattr(report.totals, name) == sum(cost[name] for cost in costs)
        by_kind = sum(getattr(total, name) for total in report.by_kind().values())
        assert by_kind == getattr(report.totals, name)


# Sizes of 2**8 come to costs on either side of what 64-bit arithmetic holds.
@pytest.mark.parametrize("rules", ["torchstat", "full"])
@pytest.mark.parametrize("largest", [5, 2**6, 2**8])
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_the_core_counts_each_layer_as_the_reference_does_or_both_overflow(rules, largest, data):
    layers = data.draw(st.lists(pruned_layers(largest), min_size=1, max_size=3))
    records, costs = pack(layers), []
    groups = np.arange(len(layers), dtype=np.int32) % 2
    try:
        costs = [expected(fields, rules) for fields in layers]
    except OverflowError:
        for count, args in (
            (_core.layer_costs, (rules, None)),
            (_core.count_totals, (rules,)),
            (_core.count_groups, (groups, 2, rules)),
        ):
            with pytest.raises(OverflowError):
                count(records, *args, discount_zeros=True)
        return
    counted = _core.layer_costs(records, rules, discount_zeros=True)
    assert [dict(zip(METRICS, row.item(), strict=True)) for row in counted] == costs
    rows = [tuple(cost.values()) for cost in costs]
    sums = _core.count_totals(records, rules, discount_zeros=True)
    assert sums == tuple(map(sum, zip(*rows, strict=True)))
    by_group = _core.count_groups(records, groups, 2, rules, discount_zeros=True)
    assert tuple(map(sum, zip(*by_group, strict=True))) == sums
    assert by_group[0] == tuple(map(sum, zip(*rows[::2], strict=True)))


@pytest.mark.parametrize("rules", ["torchstat", "full"])
def test_layers_whose_zeros_nobody_looked_for_and_other_kinds_cost_the_same(rules):
    records = _core.new_layers(len(_core.KINDS) - 1)
    records["kind"] = range(1, len(_core.KINDS))
    for name in ("in_channels", "out_channels", "in_positions", "out_positions"):
        records[name] = 6
    records["weight_elements"] = 36
    dense = _core.layer_costs(records, rules)
    assert (_core.layer_costs(records, rules, discount_zeros=True) == dense).all()
    records["nonzero_weights"] = 12
    assert (_core.layer_costs(records, rules) == dense).all()
    sparse = _core.layer_costs(records, rules, discount_zeros=True)
    names = np.array(list(_core.KINDS))[records["kind"]]
    assert set(names[sparse != dense]) == set(KINDS)
    assert (
        sparse["macs"][np.isin(names, KINDS)] == dense["macs"][np.isin(names, KINDS)] // 3
    ).all()


def test_weights_of_a_layer_without_macs_save_only_their_memory():
    records = pack([DEFAULTS | {"kind": "conv", "out_positions": 0, "weight_elements": 8}])
    records["nonzero_weights"] = 3
    (dense,), (sparse,) = (
        _core.layer_costs(records, "full", discount_zeros=discount) for discount in (False, True)
    )
    assert dense["mem_read"] - sparse["mem_read"] == 5 * 4
    assert sparse["macs"] == sparse["flops"] == sparse["madd"] == 0


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, padding=1)
        self.norm = nn.BatchNorm2d(8)
        self.fc = nn.Linear(8 * 36, 10)

    def forward(self, x):
        return self.fc(self.norm(self.conv(x)).flatten(1))


def test_stat_scan_and_count_agree(capsys):
    model = prune(Net())
    report = bopscount.stat(model, (3, 6, 6), timing=False, discount_zeros=True)
    assert "zero weights" in capsys.readouterr().out
    assert bopscount.scan(model, (3, 6, 6), discount_zeros=True) == report.totals
    table = bopscount.trace(model, (3, 6, 6), discount_zeros=True)
    assert bopscount.count(table, discount_zeros=True).totals == report.totals
    assert bopscount.count(table).totals == bopscount.scan(model, (3, 6, 6))
    nonzero = [int(layer.weight.count_nonzero()) for layer in (model.conv, model.fc)]
    assert report.totals.macs == 36 * nonzero[0] + nonzero[1]
    assert report.totals.params == sum(p.numel() for p in model.parameters())


def test_weight_memory_is_that_of_weights_that_are_not_zero():
    model = prune(Net())
    table = bopscount.trace(model, (3, 6, 6), discount_zeros=True)
    dense, sparse = bopscount.count(table), bopscount.count(table, discount_zeros=True)
    zeros = sum(int((layer.weight == 0).sum()) for layer in (model.conv, model.fc))
    assert zeros > 0
    assert dense.bit_summary.size_bits - sparse.bit_summary.size_bits == 32 * zeros
    assert dense.bit_summary.params == sparse.bit_summary.params
    assert sum(row.param_bits for row in sparse.rows) == sparse.bit_summary.size_bits


def test_the_convention_of_qonnx_discounts_whatever_count_does():
    model = prune(Net())
    table = bopscount.trace(model, (3, 6, 6), discount_zeros=True)
    macs = bopscount.count(table, discount_zeros=True).totals.macs
    assert bopscount.convention_value(table, "sparse_product") == 1024 * macs
    assert bopscount.convention_value(table, "product") > 1024 * macs


def test_the_model_is_left_as_it_was():
    model = prune(Net())
    before = copy.deepcopy(model.state_dict())
    versions = [parameter._version for parameter in model.parameters()]
    bopscount.scan(model, (3, 6, 6), discount_zeros=True)
    assert [parameter._version for parameter in model.parameters()] == versions
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_weights_on_meta_have_no_values_to_look_at():
    with torch.device("meta"):
        model = Net()
    for call in (
        lambda: bopscount.scan(model, (3, 6, 6), discount_zeros=True),
        lambda: bopscount.trace(model, (3, 6, 6), discount_zeros=True),
        lambda: bopscount.stat(model, (3, 6, 6), discount_zeros=True),
    ):
        with pytest.raises(InputError, match=r"discount_zeros .* conv are on the meta device"):
            call()


def test_a_table_that_was_not_looked_at_cannot_be_discounted():
    table = bopscount.trace(Net(), (3, 6, 6))
    with pytest.raises(InputError, match="discount_zeros"):
        bopscount.count(table, discount_zeros=True)
    with pytest.raises(InputError, match="discount_zeros"):
        table.totals(discount_zeros=True)


def test_more_non_zero_weights_than_weights_are_an_error():
    records = _core.new_layers(1)
    records["kind"], records["weight_elements"] = _core.KINDS["linear"], 4
    records["nonzero_weights"] = 5
    with pytest.raises(InputError, match=r"layer 0: nonzero_weights .* \(4\), got 5"):
        bopscount.count(records, discount_zeros=True)
    with pytest.raises(ValueError, match=r"^layer 0: .* at most weight_elements \(4\), got 5"):
        _core.count_totals(records, discount_zeros=True)
    records["kind"] = _core.KINDS["matmul"]
    assert _core.count_totals(records, discount_zeros=True) == _core.count_totals(records)


def test_one_bit_weights_are_never_zero():
    class HardBinaryConv(nn.Conv2d):
        pass

    layer = prune(HardBinaryConv(4, 4, 3, bias=False))
    table = bopscount.trace(layer, (4, 5, 5), discount_zeros=True)
    assert table.records["nonzero_weights"].tolist() == [144]
    assert not table.assumptions


def test_what_cannot_be_looked_at_is_assumed_dense_and_said():
    class Functional(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = nn.Identity()
            self.one = nn.Parameter(torch.zeros(5, 3))

        def forward(self, x):
            return nn.functional.linear(self.inner(x), torch.cat([self.one, self.one], 1))

    report = bopscount.stat(Functional(), (6,), timing=False, discount_zeros=True)
    assert report.totals.macs == 30
    assert report.assumptions == [
        "Zero weights of (linear) could not be looked for; they count as dense."
    ]
    assert f"Assumed: {report.assumptions[0]}" in str(report)


def test_a_layer_of_own_code_is_judged_by_its_parameter_and_that_is_said():
    class Halved(nn.Linear):
        def forward(self, x):
            return nn.functional.linear(x, self.weight / 2)

    report = bopscount.stat(prune(Halved(6, 5)), (6,), timing=False, discount_zeros=True)
    assert 0 < report.totals.macs < 30
    assert "stored parameter" in report.assumptions[0]


def test_a_layer_that_hands_out_its_quantised_weight_is_judged_by_that():
    class Quantised(nn.Linear):
        def quant_weight(self):
            return torch.round(self.weight)

        def forward(self, x):
            return nn.functional.linear(x, self.quant_weight())

    layer = Quantised(3, 2, bias=False)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[0.2, 0.9, -0.4], [1.6, 0.1, -0.9]]))
    table = bopscount.trace(layer, (3,), discount_zeros=True)
    linear = table.records["kind"] == _core.KINDS["linear"]
    assert table.records["nonzero_weights"][linear].tolist() == [3]
    assert not table.assumptions


def test_a_weight_that_is_quantised_later_is_judged_as_it_is_stored_and_that_is_said():
    layer = prune(nn.Linear(6, 5))
    bopscount.register_layer(nn.Linear, weight_bits=4, input_bits=4)
    try:
        table = bopscount.trace(layer, (6,), discount_zeros=True)
    finally:
        bopscount.unregister_layer(nn.Linear)
    assert table.records["nonzero_weights"].tolist() == [int(layer.weight.count_nonzero())]
    assert "stored parameter" in table.assumptions[0]


@pytest.mark.filterwarnings("ignore:torch.quantize_per_tensor:UserWarning")
def test_a_converted_layer_hands_out_its_weight_by_a_method():
    class Converted(nn.Module):
        def __init__(self):
            super().__init__()
            scale, values = 0.5, torch.tensor([[0.1, 0.6, -1.0], [0.0, 0.2, 2.0]])
            self._packed = torch.quantize_per_tensor(values, scale, 0, torch.qint8)

        def weight(self):
            return self._packed

        def forward(self, x):
            return nn.functional.linear(x, self._packed.dequantize())

    table = bopscount.trace(Converted(), (3,), discount_zeros=True)
    linear = table.records["kind"] == _core.KINDS["linear"]
    assert table.records["nonzero_weights"][linear].tolist() == [3]


def test_a_parametrised_weight_is_judged_as_it_is_used():
    class Masked(nn.Module):
        def forward(self, weight):
            return weight * (weight > 0)

    layer = nn.Linear(6, 5)
    positive = int((layer.weight > 0).sum())
    nn.utils.parametrize.register_parametrization(layer, "weight", Masked())
    table = bopscount.trace(layer, (6,), discount_zeros=True)
    linear = table.records["kind"] == _core.KINDS["linear"]
    assert table.records["nonzero_weights"][linear].tolist() == [positive]
    assert 0 < positive < 30
    assert not table.assumptions


def test_looking_at_a_weight_that_changes_its_module_changes_nothing():
    layer = nn.utils.parametrizations.spectral_norm(nn.Linear(6, 5)).train()
    buffers = {name: value.clone() for name, value in layer.named_buffers()}
    bopscount.trace(layer, (6,), discount_zeros=True)
    assert layer.training
    assert len(buffers) == 2
    assert all(torch.equal(value, buffers[name]) for name, value in layer.named_buffers())


def test_weights_pruned_by_torch_itself_are_seen():
    layer = nn.Linear(6, 5)
    l1_unstructured(layer, "weight", amount=0.4)
    assert bopscount.scan(layer, (6,), discount_zeros=True).macs == 18


def test_the_projections_of_attention_are_looked_at():
    layer = nn.MultiheadAttention(4, 2, bias=False)
    with torch.no_grad():
        layer.in_proj_weight[:5] = 0
        layer.out_proj.weight[:, 1] = 0
    x = torch.zeros(3, 1, 4)
    table = bopscount.trace(layer, inputs=(x, x, x), discount_zeros=True)
    macs = bopscount.count(table, discount_zeros=True).by_kind()["linear"].macs
    assert macs == 3 * (48 - 20) + 3 * (16 - 4)
    assert not table.assumptions


def test_projections_of_other_widths_are_looked_at():
    layer = nn.MultiheadAttention(4, 2, bias=False, kdim=3, vdim=5)
    with torch.no_grad():
        layer.q_proj_weight[1] = 0
        layer.v_proj_weight[:3] = 0
    sizes = (4, 3, 5)
    inputs = tuple(torch.zeros(2, 1, size) for size in sizes)
    table = bopscount.trace(layer, inputs=inputs, discount_zeros=True)
    macs = bopscount.count(table, discount_zeros=True).by_kind()["linear"].macs
    assert macs == 2 * ((16 - 4) + 12 + (20 - 15) + 16)
    assert not table.assumptions


def test_equal_parameters_that_a_forward_uses_itself_are_not_guessed_at():
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = nn.Identity()
            self.a, self.b = nn.Parameter(torch.eye(6)), nn.Parameter(torch.ones(6, 6))

        def forward(self, x):
            x = nn.functional.linear(self.inner(x), self.b)
            return nn.functional.linear(x, self.a)

    table = bopscount.trace(Twice(), (6,), discount_zeros=True)
    assert table.totals(discount_zeros=True).macs == 72
    assert "count as dense" in table.assumptions[0]


def test_a_parameter_that_a_forward_uses_itself_is_looked_at_and_that_is_said():
    class Functional(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = nn.Identity()
            self.matrix = nn.Parameter(torch.eye(6))

        def forward(self, x):
            return nn.functional.linear(self.inner(x), self.matrix)

    table = bopscount.trace(Functional(), (6,), discount_zeros=True)
    assert table.totals(discount_zeros=True).macs == 6
    assert "(linear)" in table.assumptions[0]
