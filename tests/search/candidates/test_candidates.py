"""Changed candidates cost what the network costs that is built with these sizes."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from support.searched_networks import (
    RESNET_INNERS,
    RESNET_STAGES,
    DenseNet,
    Mixed,
    MobileNet,
    ResNet,
    vgg,
)
from torch import nn

import bopscount
from bopscount.errors import InputError
from bopscount.networks import NETWORKS

RULES = ("torchstat", "full")
WIDTHS = st.integers(1, 40)


def assert_costs_of(candidates, models, size, batch_size=2):
    """Every metric under both rules, each candidate against its own network."""
    for rules in RULES:
        totals = candidates.count(rules=rules)
        for index, model in enumerate(models):
            side = size if isinstance(size, tuple) else size[index]
            n = batch_size if isinstance(batch_size, int) else batch_size[index]
            expected = bopscount.trace(model, side, batch_size=n).totals(rules)
            found = {name: int(values[index]) for name, values in totals.items()}
            assert found == {name: getattr(expected, name) for name in found}, (rules, index)


def several(*strategies):
    """Two candidates of such values."""
    return st.lists(st.tuples(*strategies), min_size=2, max_size=2)


def column(candidates, position):
    return [candidate[position] for candidate in candidates]


def traced(model, size=(3, 32, 32), batch_size=2):
    return bopscount.trace(model, size, batch_size=batch_size)


RESNET = traced(ResNet())
MOBILENETS = {by_view: traced(MobileNet(by_view=by_view)) for by_view in (False, True)}


@settings(deadline=None, max_examples=15)
@given(several(*[WIDTHS] * 6))
def test_widths_of_a_resnet_follow_through_its_shortcuts(widths):
    candidates = RESNET.candidates(len(widths))
    for stage, layers in enumerate(RESNET_STAGES):
        candidates.set_out_channels(layers, column(widths, stage))
    for inner, layer in enumerate(RESNET_INNERS, 2):
        candidates.set_out_channels(layer, column(widths, inner))
    assert_costs_of(candidates, [ResNet(w[:2], w[2:]) for w in widths], (3, 32, 32))


@settings(deadline=None, max_examples=15)
@given(st.booleans(), several(*[WIDTHS] * 7, *[st.sampled_from([1, 3, 5, 7])] * 2))
def test_a_mobilenet_changes_widths_and_windows_at_once(by_view, drawn):
    candidates = MOBILENETS[by_view].replace(
        out_channels={
            "stem": column(drawn, 0),
            "blocks.0.expand.0": column(drawn, 1),
            "blocks.1.expand.0": column(drawn, 2),
            "blocks.2.expand.0": column(drawn, 3),
            ("blocks.0.se.expand",): column(drawn, 1),
            ("blocks.1.se.expand",): column(drawn, 2),
            ("blocks.2.se.expand",): column(drawn, 3),
            "blocks.0.project.0": column(drawn, 4),
            ("blocks.1.project.0", "blocks.2.project.0"): column(drawn, 5),
            "blocks.*.se.reduce": column(drawn, 6),
        },
        kernel_size={
            "blocks.0.depthwise.0": column(drawn, 7),
            "blocks.1.depthwise.0": column(drawn, 8),
        },
    )
    models = [MobileNet(d[0], d[1:4], d[4:6], (d[7], d[8], 3), d[6], by_view) for d in drawn]
    assert_costs_of(candidates, models, (3, 32, 32))


@settings(deadline=None, max_examples=15)
@given(st.booleans(), several(WIDTHS, st.sampled_from([2, 4, 10, 18]), WIDTHS))
def test_a_classifier_reads_every_channel_of_every_position(flatten, widths):
    table = traced(vgg(side=4, flatten=flatten), (3, 16, 16))
    candidates = table.replace(
        out_channels={"0": column(widths, 0), "3": column(widths, 1), "8": column(widths, 2)}
    )
    assert_costs_of(candidates, [vgg(w[:2], w[2]) for w in widths], (3, 16, 16))


@settings(deadline=None, max_examples=15)
@given(several(*[WIDTHS] * 5))
def test_concatenated_channels_add_up(widths):
    candidates = traced(DenseNet(), (3, 16, 16)).candidates(len(widths))
    layers = ("stem", "layers.0.2", "layers.1.2", "layers.2.2", "transition")
    for position, layer in enumerate(layers):
        candidates.set_out_channels(layer, column(widths, position))
    assert_costs_of(candidates, [DenseNet(w[0], w[1:4], w[4]) for w in widths], (3, 16, 16))


@settings(deadline=None, max_examples=15)
@given(
    several(
        st.integers(1, 4).map(lambda n: 4 * n),
        st.integers(1, 4).map(lambda n: 4 * n),
        st.sampled_from([1, 2, 4]),
        st.integers(1, 12).map(lambda n: 2 * n),
    )
)
def test_groups_transposed_and_shared_convolutions_follow(drawn):
    candidates = traced(Mixed(), (3, 8, 8)).replace(
        out_channels={
            "up": column(drawn, 0),
            "grouped": column(drawn, 1),
            ("into", "shared"): column(drawn, 3),
        },
        groups={"grouped": column(drawn, 2)},
    )
    assert_costs_of(candidates, [Mixed(*d) for d in drawn], (3, 8, 8))


@settings(deadline=None, max_examples=15)
@given(several(st.integers(8, 70), st.integers(8, 70), st.integers(1, 5), WIDTHS))
def test_resolution_batch_and_width_change_together(drawn):
    sizes = [d[:2] for d in drawn]
    candidates = RESNET.candidates(2)
    candidates.set_input_size(sizes)
    candidates.set_batch(column(drawn, 2))
    candidates.set_out_channels("layer2.0.conv1", column(drawn, 3))
    models = [ResNet(inners=(16, 16, d[3], 24)) for d in drawn]
    assert_costs_of(candidates, models, [(3, *s) for s in sizes], column(drawn, 2))


@settings(deadline=None, max_examples=10)
@given(st.booleans(), several(st.integers(9, 64)))
def test_resolutions_of_a_mobilenet(by_view, drawn):
    candidates = MOBILENETS[by_view].replace(input_size=column(drawn, 0))
    models = [MobileNet(by_view=by_view)] * 2
    assert_costs_of(candidates, models, [(3, d[0], d[0]) for d in drawn])


@settings(deadline=None, max_examples=10)
@given(several(st.sampled_from([1, 3, 5, 9]), st.integers(1, 3)))
def test_windows_and_strides(drawn):
    candidates = RESNET.replace(
        kernel_size={("layer1.0.conv1", "maxpool"): column(drawn, 0)},
        stride={"layer2.0.conv1": 2, "conv1": column(drawn, 1)},
    )
    models = []
    for kernel, stride in drawn:
        model = ResNet()
        model.conv1.stride = (stride, stride)
        model.layer1[0].conv1 = nn.Conv2d(16, 16, kernel, 1, kernel // 2, bias=False)
        model.maxpool = nn.MaxPool2d(kernel, 2, kernel // 2)
        models.append(model)
    assert_costs_of(candidates, models, (3, 32, 32))


def test_windows_may_differ_by_dimension():
    candidates = RESNET.replace(kernel_size={"layer1.0.conv1": [(3, 1), (5, 7)]})
    models = []
    for kernel in ((3, 1), (5, 7)):
        model = ResNet()
        padding = kernel[0] // 2, kernel[1] // 2
        model.layer1[0].conv1 = nn.Conv2d(16, 16, kernel, 1, padding, bias=False)
        models.append(model)
    assert_costs_of(candidates, models, (3, 32, 32))


def test_setting_back_what_was_traced_gives_what_was_traced():
    candidates = RESNET.replace(
        out_channels={RESNET_STAGES[0]: [3, 5], "layer2.0.conv1": 7}, input_size=50, batch=9
    )
    candidates.change(input_size=32, batch=2)
    candidates.change(out_channels={RESNET_STAGES[0]: 16, "layer2.0.conv1": 24})
    candidates.records["nonzero_weights"] = RESNET.records["nonzero_weights"]
    assert (candidates.records == RESNET.records).all()


def test_candidates_are_as_traced_and_fields_may_be_set_directly():
    candidates = RESNET.candidates(3)
    assert len(candidates) == 3
    assert_costs_of(candidates, [ResNet()] * 3, (3, 32, 32))
    candidates.records["calls"][1, 0] = 2
    macs = candidates.count(metrics=["macs"])["macs"]
    assert macs[1] - macs[0] == 2 * 16 * 256 * 147
    assert (bopscount.count_layers(candidates.records, metrics=["macs"])["macs"] == macs).all()
    assert len(RESNET.candidates(0).count()["macs"]) == 0


def test_the_worked_number_of_the_documentation():
    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 4, 3))
    candidates = bopscount.trace(model, (3, 8, 8)).replace(out_channels={"0": [8, 16]})
    assert candidates.count(metrics=["macs"])["macs"].tolist() == [12_384, 24_768]


FOLLOWED = (
    "binary_resnet18 birealnet18 birealnet34 reactnet_a react_resnet18 resnet_e18 binary_densenet28"
).split()


@pytest.mark.parametrize("name", FOLLOWED)
def test_built_in_networks_follow_resolution_and_batch(name):
    build = NETWORKS[name].build
    # No size is that of a layer's channels.
    table = bopscount.trace(build(), (3, 160, 160), batch_size=3)
    candidates = table.replace(input_size=[160, 96, 224], batch=[1, 3, 2])
    sizes = [(3, side, side) for side in (160, 96, 224)]
    assert_costs_of(candidates, [build()] * 3, sizes, [1, 3, 2])


@pytest.mark.parametrize(
    ("name", "said"),
    [("quicknet", "its padding may follow from the sizes"), ("bitnet", "has no positions")],
)
def test_built_in_networks_that_pad_by_size_or_read_words_are_refused(name, said):
    network = NETWORKS[name]
    image = len(network.input_size) > 1
    size = (3, 160, 160) if image else network.input_size
    dtype = None if network.dtype is None else getattr(torch, network.dtype)
    table = bopscount.trace(network.build(), size, batch_size=3, dtype=dtype)
    assert said in refusal(table, input_size=[160, 96, 224])


def refusal(table, **changes):
    """What is said, after a check that nothing was changed."""
    candidates = table.candidates(3)
    with pytest.raises(InputError) as error:
        candidates.change(**changes)
    assert (candidates.records == table.records).all()
    return str(error.value)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"out_channels": {"layer1.0.conv2": [16, 16, 17]}},
            r"candidate 2, layer1.0.\(functional\) \(layer 9, add\): 17 and 16 along dimension 1 "
            "do not broadcast",
        ),
        (
            {"groups": {"layer1.0.conv1": [1, 3, 16]}},
            r"candidate 1, layer1.0.conv1 \(layer 4, Conv2d\): in_channels 16 are no multiple of "
            "groups 3",
        ),
        ({"kernel_size": {"layer1.0.conv1": [1, 3, 4]}}, "candidate 2, layer1.0.conv1: an even"),
        ({"input_size": [32, 1, 2**31 - 1]}, "candidate 2, conv1"),
        (
            {"out_channels": {"layer1.0.conv1": 2**31 - 1}, "kernel_size": {"layer1.*": 2**24 + 1}},
            "candidate 0, layer1.0.conv1 .*: its weight is too large",
        ),
        ({"out_channels": {"nowhere": 3}}, r"no conv.* has the path 'nowhere'; such are 'conv1'"),
        ({"out_channels": {"bn1": 3}}, r"out_channels\['bn1'\]: no conv"),
        ({"groups": {"fc": 1}}, "no conv, conv_transpose has the path 'fc'"),
        ({"out_channels": {("conv1", 3): 3}}, "layers must be paths, got 3"),
        ({"out_channels": {(): 3}}, "layers must be a path or several"),
        ({"out_channels": {"conv1": [1, 2]}}, "one for each of 3 candidates"),
        ({"out_channels": {"conv1": [1, 0, 2]}}, r"must be 1 to 2147483647, got 0 for candidate 1"),
        ({"out_channels": {"conv1": -1}}, "must be 1 to 2147483647, got -1"),
        ({"out_channels": {"conv1": 2**31}}, "got 2147483648"),
        ({"out_channels": {"conv1": 1.5}}, "must be whole numbers, got float64"),
        ({"out_channels": {"conv1": True}}, "must be whole numbers, got bool"),
        ({"out_channels": {"conv1": [[1], [2], [3]]}}, "must be one number a candidate"),
        ({"kernel_size": {"conv1": [[1, 3, 5]] * 3}}, r"must be \(3,\) or \(3, 2\)"),
        ({"stride": {"conv1": 0}}, "stride.* must be 1 to"),
        ({"batch": [[1]] * 3}, "batch must be one number a candidate"),
        ({"batch": "four"}, "batch must be whole numbers"),
        ({"input_size": [1]}, "one for each of 3 candidates"),
    ],
)
def test_what_does_not_fit_is_named_and_changes_nothing(changes, said):
    with pytest.raises(InputError, match=said):
        RESNET.candidates(3).change(**changes)
    refusal(RESNET, **changes)


class Forward(nn.Module):
    """A forward with what modules it needs."""

    def __init__(self, forward, **modules):
        super().__init__()
        self.function = forward
        for name, module in modules.items():
            setattr(self, name, module)

    def forward(self, x):
        return self.function(self, x)


def conv(before=3, after=8, **attributes):
    return nn.Conv2d(before, after, 3, padding=1, **attributes)


class Scaled(nn.Conv2d):
    """A convolution with a parameter for each channel besides."""

    def __init__(self):
        super().__init__(3, 8, 3, padding=1)
        self.scale = nn.Parameter(torch.ones(8, 1, 1))

    def forward(self, x):
        return super().forward(x) * self.scale


def tied():
    first, second = conv(8, 8), conv(8, 8)
    second.weight = first.weight
    return nn.Sequential(conv(), first, second)


def zeros_beside(self, x):
    x = self.a(x)
    return self.b(torch.cat([x, torch.zeros(x.shape[0], 8, *x.shape[2:])], 1))


UNKNOWN = {
    "a slice": (Forward(lambda self, x: self.b(self.a(x)[:, :4]), a=conv(), b=conv(4)), "a"),
    "a split": (
        Forward(lambda self, x: self.b(self.a(x).chunk(2, 1)[0]), a=conv(), b=conv(4)),
        "a",
    ),
    "channels made positions": (
        Forward(
            lambda self, x: self.b(self.a(x).view(2, 2, 4, 9, 9).flatten(2, 3)),
            a=conv(),
            b=nn.Conv2d(2, 3, 1),
        ),
        "a",
    ),
    "zeros of its own": (Forward(zeros_beside, a=conv(), b=conv(16)), "a"),
    "a matrix product": (Forward(lambda self, x: self.a(x) @ self.a(x), a=conv()), "a"),
    "tied weights": (tied(), "1"),
    "a weight that another layer owns": (tied(), "2"),
    "a parameter for each channel": (nn.Sequential(Scaled(), conv(8)), "0"),
    "a parameter beside": (
        Forward(lambda self, x: self.a(x) + self.p, a=conv(), p=nn.Parameter(torch.zeros(8, 1, 1))),
        "a",
    ),
}


@pytest.mark.parametrize("name", UNKNOWN)
def test_widths_that_cannot_be_followed_are_refused(name):
    model, layer = UNKNOWN[name]
    table = bopscount.trace(model, (3, 9, 9), batch_size=2)
    said = refusal(table, out_channels={layer: [8, 9, 10]})
    assert "cannot be told from the trace" in said or "do not broadcast" in said


def shuffled(self, x):
    left, right = self.a(x).chunk(2, 1)
    x = torch.cat([left, self.b(right)], 1)
    n, channels, *size = x.shape
    x = x.view(n, 2, channels // 2, *size).transpose(1, 2).contiguous()
    return self.fc(x.view(n, channels, *size)[:, 2:].mean((2, 3)))


def test_splits_and_shuffles_of_channels_follow_resolution_and_batch():
    model = Forward(shuffled, a=conv(), b=conv(4, 4), fc=nn.Linear(6, 2))
    table = bopscount.trace(model, (3, 9, 11), batch_size=5)
    candidates = table.replace(input_size=[(9, 11), (20, 13)], batch=[7, 2])
    assert_costs_of(candidates, [model] * 2, [(3, 9, 11), (3, 20, 13)], [7, 2])
    assert "cannot be told" in refusal(table, out_channels={"a": [8, 10, 12]})


def lacking(self, x):
    return self.a(nn.functional.pad(x, (0, -x.shape[3] % 8, 0, -x.shape[2] % 8)))


@pytest.mark.parametrize(
    "model",
    [
        Forward(lacking, a=conv()),
        Forward(lambda self, x: nn.functional.avg_pool2d(self.a(x), x.shape[2:]), a=conv()),
        nn.Sequential(conv(), nn.Upsample(scale_factor=2)),
        nn.Sequential(conv(), nn.Upsample(20)),
        Forward(lambda self, x: self.a(x[:, :, :4]), a=conv()),
    ],
    ids=["padding to a multiple", "a global pool", "a factor", "a size", "a part of the input"],
)
def test_resolutions_that_cannot_be_followed_are_refused(model):
    said = refusal(bopscount.trace(model, (3, 9, 9), batch_size=2), input_size=[9, 10, 11])
    assert "cannot be told from the trace" in said


def test_a_view_that_may_have_turned_a_square_is_refused_and_one_that_cannot_have_is_not():
    model = Forward(
        lambda self, x: self.b(self.a(x).transpose(1, 2)), a=nn.Conv1d(3, 8, 1), b=nn.Linear(8, 4)
    )
    square = bopscount.trace(model, (3, 8), batch_size=2)
    assert "in more than one way" in refusal(square, out_channels={"a": [8, 9, 10]})
    table = bopscount.trace(model, (3, 9), batch_size=2)
    models = []
    for width in (5, 9):
        wide = Forward(model.function, a=nn.Conv1d(3, width, 1), b=nn.Linear(width, 4))
        models.append(wide)
    assert_costs_of(table.replace(out_channels={"a": [5, 9]}), models, (3, 9))


def test_a_module_that_is_called_twice_has_one_width():
    model = Forward(
        lambda self, x: self.shared(self.a(x)) + self.shared(self.b(x)),
        a=conv(),
        b=conv(),
        shared=conv(8),
    )
    table = bopscount.trace(model, (3, 9, 9), batch_size=2)
    assert "between the calls of one module" in refusal(table, out_channels={"a": [8, 8, 9]})
    widths = [5, 9]
    models = [Forward(model.function, a=conv(3, w), b=conv(3, w), shared=conv(w)) for w in widths]
    assert_costs_of(table.replace(out_channels={("a", "b"): widths}), models, (3, 9, 9))


def test_a_table_of_bare_records_has_no_dataflow():
    table = bopscount.count(bopscount.new_layers(0)).table
    bare = bopscount.LayerTable(bopscount.new_layers(2), table.owners, table.nodes, [], [], [])
    with pytest.raises(InputError, match="must come from trace"):
        bare.candidates(2)
    for n_candidates in (-1, 2.0, True):
        with pytest.raises(InputError, match="n_candidates must be a whole number"):
            RESNET.candidates(n_candidates)


def test_a_depthwise_convolution_keeps_its_multiplier_unless_its_channels_are_given():
    def network(before, after):
        return nn.Sequential(
            conv(3, before), conv(before, after, groups=before), nn.Conv2d(after, 4, 1)
        )

    table = bopscount.trace(network(8, 16), (3, 9, 9), batch_size=2)
    follows = table.replace(out_channels={"0": [5, 20]})
    assert_costs_of(follows, [network(5, 10), network(20, 40)], (3, 9, 9))
    given = table.replace(out_channels={"0": [5, 20], "1": [5, 60]})
    assert_costs_of(given, [network(5, 5), network(20, 60)], (3, 9, 9))
    same = table.replace(out_channels={"0": [4, 16], "1": 16})
    assert_costs_of(same, [network(4, 16), network(16, 16)], (3, 9, 9))
