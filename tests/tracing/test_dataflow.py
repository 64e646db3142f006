"""Each op knows which ops made its inputs."""

import pytest
import torch
from support.tracing_cases import Calls, parameter, table_of_real_run, values
from torch import nn
from torch.nn import functional as F  # noqa: N812 - torch's own custom

import bopscount

IMAGE, ROWS = values(2, 3, 8, 8), values(2, 4, 8)


def makers_of(table, at):
    """The ops that made an op's operands, inputs and parameters left out."""
    start, end = table.producer_starts[at : at + 2]
    return {int(maker) for maker in table.producers[start:end] if maker >= 0}


def sources_of(table, at):
    """The ops that an op's operands come from, over whatever lies in between."""
    reached = makers_of(table, at)
    for between in range(at - 1, -1, -1):
        if between in reached:
            reached |= makers_of(table, between)
    return reached


def edges(table):
    """(op, the ops that made its operands), by name."""
    names = [f"{op} {index}" for index, op in enumerate(table.ops)]
    made_by = [sorted(makers_of(table, at)) for at in range(len(table))]
    return {name: [names[i] for i in of] for name, of in zip(names, made_by, strict=True) if of}


def edges_of(forward, inputs=IMAGE, **modules):
    """The same, both by rules and by a run; the op names may differ between them."""
    model = Calls(forward, **modules)
    table = bopscount.trace(model, inputs=inputs, run="never")
    assert len(table.producer_starts) == len(table) + 1
    assert (table.producers < len(table)).all()
    of_run = edges(table_of_real_run(model, inputs))
    found = edges(table)
    assert [len(of) for of in of_run.values()] == [len(of) for of in found.values()]
    return found


def conv():
    return nn.Conv2d(3, 3, 3, padding=1)


def test_a_chain_reads_what_the_layer_before_made():
    table = bopscount.trace(nn.Sequential(conv(), nn.BatchNorm2d(3), nn.ReLU()), inputs=IMAGE)
    assert table.producers.tolist() == [-1, 0, 1]
    assert table.producer_starts.tolist() == [0, 1, 2, 3]


def test_a_layer_that_no_op_feeds_reads_the_input():
    found = edges_of(lambda self, x: (self.a(x), self.b(x)), a=conv(), b=conv())
    assert found == {}


def test_a_residual_sum_reads_both_its_branches():
    found = edges_of(
        lambda self, x: self.act(self.a(x) + self.b(self.a(x))), a=conv(), b=conv(), act=nn.ReLU()
    )
    assert found == {
        "Conv2d 2": ["Conv2d 1"],
        "add 3": ["Conv2d 0", "Conv2d 2"],
        "ReLU 4": ["add 3"],
    }


def test_a_residual_sum_in_place_reads_both_its_branches():
    def forward(self, x):
        x = self.a(x)
        x += self.b(x)
        return self.act(x)

    found = edges_of(forward, a=conv(), b=conv(), act=nn.ReLU(inplace=True))
    (add,) = (name for name in found if "add" in name)
    assert found[add] == ["Conv2d 0", "Conv2d 1"]
    assert found["ReLU 3"] == [add]


def test_a_concatenation_reads_all_its_parts():
    found = edges_of(
        lambda self, x: self.c(torch.cat([self.a(x), x, self.b(x)], 1)),
        a=conv(), b=conv(), c=nn.Conv2d(9, 1, 1),
    )  # fmt: skip
    assert found == {"cat 2": ["Conv2d 0", "Conv2d 1"], "Conv2d 3": ["cat 2"]}


def test_a_stack_reads_all_its_parts():
    found = edges_of(
        lambda self, x: self.act(torch.stack([self.a(x), self.b(x)])),
        a=conv(), b=conv(), act=nn.ReLU(),
    )  # fmt: skip
    assert found == {"stack 2": ["Conv2d 0", "Conv2d 1"], "ReLU 3": ["stack 2"]}


VIEWS = {
    "view": lambda x: x.view(2, -1),
    "reshape": lambda x: x.reshape(2, 3, 64),
    "flatten": lambda x: x.flatten(1),
    "permute": lambda x: x.permute(0, 2, 3, 1),
    "transpose": lambda x: x.transpose(1, 2),
    "slice": lambda x: x[:, 1:, ::2],
    "select": lambda x: x[0],
    "new axis": lambda x: x[..., None],
    "unsqueeze": lambda x: x.unsqueeze(0),
    "squeeze": lambda x: x[:1].squeeze(0),
    "expand": lambda x: x[:, :1].expand(2, 5, 8, 8),
    "chunk": lambda x: x.chunk(2, 1)[1],
    "split": lambda x: x.split([1, 2], 1)[0],
    "torch.split": lambda x: torch.split(x, 2, 1)[1],
    "unbind": lambda x: x.unbind(1)[2],
    "narrow": lambda x: x.narrow(1, 0, 2),
    "movedim": lambda x: x.movedim(1, -1),
    "unflatten": lambda x: x.unflatten(-1, (2, 4)),
    "diagonal": lambda x: x.diagonal(dim1=2, dim2=3),
    "mT": lambda x: x.mT,
    "detach": lambda x: x.detach(),
    "unfold": lambda x: x.unfold(2, 3, 1),
    "view_as": lambda x: x.view_as(x),
    "as_strided": lambda x: x.as_strided((2, 3), (3, 1)),
    "contiguous": lambda x: x.contiguous(),
    "to its own dtype": lambda x: x.to(torch.float32),
    "float": lambda x: x.float(),
    "views of views": lambda x: x.view(2, 3, 64).transpose(1, 2)[:, ::2].unsqueeze(1),
    "eval dropout": lambda x: F.dropout(x, training=False),
    "swapaxes": lambda x: torch.swapaxes(x, 1, 2),
    "ravel": lambda x: x.ravel(),
    "atleast_3d": torch.atleast_3d,
    "squeeze_": lambda x: x[:1].squeeze_(0),
}


@pytest.mark.parametrize("name", VIEWS)
def test_a_view_is_made_by_what_made_its_base(name):
    view = VIEWS[name]
    found = edges_of(lambda self, x: self.act(view(self.a(x))), a=conv(), act=nn.Tanh())
    assert found == {"Tanh 1": ["Conv2d 0"]}


@pytest.mark.parametrize("name", ["view", "slice", "unbind", "chunk", "transpose"])
def test_a_view_written_in_place_writes_its_base(name):
    def forward(self, x):
        x = self.a(x)
        VIEWS[name](x).mul_(2)
        return self.act(x)

    found = edges_of(forward, a=conv(), act=nn.Tanh())
    (write,) = (op for op in found if "mul" in op)
    assert found[write] == ["Conv2d 0"]
    assert found["Tanh 2"] == [write]


IN_PLACE = {
    "relu_": lambda x: x.relu_(),
    "add_": lambda x: x.add_(1),
    "+=": lambda x: x.__iadd__(1),
    "clamp_": lambda x: x.clamp_(0, 1),
    "zero_": lambda x: x.zero_(),
    "F.relu": lambda x: F.relu(x, inplace=True),
    "F.elu": lambda x: F.elu(x, inplace=True),
    "masked_fill_": lambda x: x.masked_fill_(x > 0, 0.0),
    "setitem": lambda x: x.__setitem__((slice(None), 0), 1.0),
    "copy_": lambda x: x.copy_(torch.ones(8, 8)),
}


@pytest.mark.parametrize("name", IN_PLACE)
def test_what_is_written_in_place_was_made_by_the_writer(name):
    def forward(self, x):
        x = self.a(x)
        IN_PLACE[name](x)
        return self.act(x)

    model = Calls(forward, a=conv(), act=nn.Tanh())
    for table in (bopscount.trace(model, inputs=IMAGE), table_of_real_run(model, IMAGE)):
        found = edges(table)
        (last,) = found[f"Tanh {table.ops.index('Tanh')}"]
        assert "Conv2d" not in last


def test_a_modules_of_in_place_layers_reads_the_last_writer():
    found = edges_of(
        lambda self, x: self.b(self.act(self.a(x))), a=conv(), act=nn.ReLU(inplace=True), b=conv()
    )
    assert found == {"ReLU 1": ["Conv2d 0"], "Conv2d 2": ["ReLU 1"]}


SECOND_OUTPUTS = {
    "max": lambda x: x.max(1)[1],
    "topk": lambda x: x.topk(2).indices,
    "sort": lambda x: torch.sort(x)[1],
    "var_mean": lambda x: torch.var_mean(x, 1)[1],
    "max_pool": lambda x: F.max_pool2d(x, 2, return_indices=True)[1],
}


@pytest.mark.parametrize("name", SECOND_OUTPUTS)
def test_every_output_of_an_op_is_made_by_it(name):
    model = Calls(lambda self, x: SECOND_OUTPUTS[name](self.a(x)) * 2, a=conv())
    for table in (bopscount.trace(model, inputs=IMAGE), table_of_real_run(model, IMAGE)):
        found = edges(table)
        (product,) = (op for op in found if "mul" in op)
        assert len(found[product]) == 1
        assert "Conv2d" not in found[product][0]


def test_what_torch_answers_itself_stays_in_the_flow():
    def forward(self, x):
        x = torch.fft.fft2(self.a(x)).real
        x = torch.einsum("...k,ko->...o", x, *self.own)
        return self.act(F.pixel_shuffle(x.cumsum(1).repeat(1, 4, 1, 1), 2))

    model = Calls(forward, parameter(8, 8), a=conv(), act=nn.Tanh())
    for table in (bopscount.trace(model, inputs=IMAGE), table_of_real_run(model, IMAGE)):
        assert table.ops[0] == "Conv2d"
        assert 0 in sources_of(table, table.ops.index("Tanh"))


def test_recurrent_layers_and_cells_stay_in_the_flow():
    def forward(self, x):
        out, (hidden, _) = self.lstm(self.a(x))
        return self.act(out), self.act(hidden), self.act(self.cell(out[0])[0])

    model = Calls(
        forward, a=nn.Linear(8, 8), lstm=nn.LSTM(8, 8), act=nn.Tanh(), cell=nn.LSTMCell(8, 8)
    )
    for table in (bopscount.trace(model, inputs=ROWS), table_of_real_run(model, ROWS)):
        found = edges(table)
        sources = [of for op, of in found.items() if op.startswith("Tanh")]
        assert len(sources) == 3
        assert all(sources)


def test_attention_reads_query_key_and_value():
    def forward(self, x):
        return self.out(F.scaled_dot_product_attention(self.q(x), self.k(x), self.v(x)))

    linears = {name: nn.Linear(8, 8) for name in ("q", "k", "v", "out")}
    table = bopscount.trace(Calls(forward, **linears), inputs=ROWS)
    assert edges(table) == {
        "scaled_dot_product_attention 3": ["Linear 0", "Linear 1", "Linear 2"],
        "Linear 4": ["scaled_dot_product_attention 3"],
    }


def test_modules_that_pass_their_input_on_do_not_break_the_flow():
    model = nn.Sequential(conv(), nn.Identity(), nn.Dropout(), nn.Flatten(), nn.Tanh())
    table = bopscount.trace(model, inputs=IMAGE)
    assert 0 in sources_of(table, table.ops.index("Tanh"))


class TwoInputs(nn.Module):
    """A weight on a view of one input, plus the other, plus a parameter."""

    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(12, 4)
        self.bias = nn.Parameter(torch.zeros(4))

    def forward(self, image, other):
        return self.fc(image.flatten(1)).view(2, 4) + other + self.bias


def test_operands_know_whether_they_are_inputs_and_seen_through_views():
    table = bopscount.trace(TwoInputs(), inputs=(torch.zeros(2, 3, 4), torch.zeros(2, 4)))
    assert table.ops == ["Linear", "add", "add", "parameters"]
    assert table.producers.tolist() == [-1, 0, -1, 1, -1]
    assert table.input_numbers.tolist() == [0, -1, 1, -1, -1]
    assert table.viewed.tolist() == [True, True, False, False, False]


def test_a_flatten_module_is_a_view_and_writing_through_one_is_remembered():
    class WritesThroughView(nn.Module):
        def forward(self, x):
            y = x.exp()
            y.view(2, 12).add_(1)
            return y.sqrt()

    model = nn.Sequential(WritesThroughView(), nn.Flatten(), nn.Linear(12, 4))
    table = bopscount.trace(model, inputs=torch.zeros(2, 3, 4))
    assert table.ops == ["exp", "add", "sqrt", "Flatten", "Linear"]
    assert table.producers.tolist() == [-1, 0, 1, 2, 2]
    assert table.viewed.tolist() == [False, True, True, False, True]
