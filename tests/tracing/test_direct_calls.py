"""Torch's functions that are answered before torch asks a mode: nobody sees a difference."""

import operator
import threading

import pytest
import torch
from support.entries import CALL, GETATTRO, entries
from support.tracing_cases import Notes, form, function
from torch import nn
from torch.nn import functional as F  # noqa: N812 - torch's own custom
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

import bopscount
from bopscount import TraceError

SHAPE = (2, 4)


class Asked(nn.Module):
    """Notes what a function of the input and of something made from it says in a forward."""

    def __init__(self, ask, **modules):
        super().__init__()
        self.ask, self.notes = ask, Notes()
        for name, module in modules.items():
            self.add_module(name, module)

    def forward(self, x):
        self.notes.last = self.ask(self, x)
        return x


def in_trace(ask, **modules):
    model = Asked(ask, **modules)
    bopscount.scan(model, SHAPE)
    return model.notes.last


def outside(ask, **modules):
    with torch.no_grad():
        model = Asked(ask, **modules).eval()
        model(torch.empty((1, *SHAPE), device="meta"))
    return model.notes.last


def said(call, *args):
    """What comes of a call, an error in torch's words included."""
    try:
        return form(call(*args))
    except Exception as error:
        return type(error), str(error)


def test_torch_has_other_entries_while_a_model_is_traced_and_its_own_afterwards():
    before = entries(Asked)
    during = in_trace(lambda model, x: entries(Asked))
    changed = {key for key in before if during[key] != before[key]}
    expected = {
        ("Tensor", name) for name in "view size dim add __add__ __iadd__ shape dtype".split()
    }
    expected |= {("Tensor", "subscripts"), ("torch", "permute"), ("torch", "matmul"), ("F", "gelu")}
    expected |= {("Asked", CALL), ("Asked", GETATTRO)}
    assert expected <= changed
    assert {cls for cls, _ in changed} == {"Tensor", "torch", "F", "Asked"}
    assert entries(Asked) == before
    with pytest.raises(TraceError):
        in_trace(lambda model, x: x + torch.empty(7, 7))
    assert entries(Asked) == before


def test_a_trace_inside_a_trace_leaves_the_outer_one_its_entries():
    def ask(model, x):
        before = entries(Asked)
        inner = in_trace(lambda model, x: x.size())
        return inner, entries(Asked) == before, (x @ x.transpose(1, 2)).shape

    assert in_trace(ask) == ((1, *SHAPE), True, (1, 2, 2))


QUESTIONS = [
    lambda x: x.shape,
    lambda x: x.size(),
    lambda x: x.size(-1),
    lambda x: x.size(dim=0),
    lambda x: x.size(3),
    lambda x: x.size(True),
    lambda x: x.size("a"),
    torch.Tensor.dim,
    lambda x: x.dim(1),
    lambda x: getattr(x, "dim")(),  # noqa: B009 - bound before it is called
    lambda x: x.ndim,
    lambda x: x.dtype,
    lambda x: x.is_nested,
    lambda x: x.device,
    lambda x: x.stride(),
    lambda x: x.is_contiguous(),
    lambda x: x.numel(),
    lambda x: (type(x.shape), hash(x.shape)),
    lambda x: torch.Size([*x.shape]).numel(),
    len,
]


@pytest.mark.parametrize("question", QUESTIONS)
@pytest.mark.parametrize(
    "make",
    [
        lambda x: x,
        lambda x: x * 2,
        lambda x: (x * 2).transpose(0, 1),
        lambda x: (x * 2).unsqueeze_(0),
        lambda x: (x * 2).view(-1).resize_(3),
    ],
    ids=["input", "made", "view", "unsqueezed in place", "resized"],
)
def test_a_question_is_answered_as_torch_does(question, make):
    answers = [run(lambda model, x: said(question, make(x))) for run in (in_trace, outside)]
    assert answers[0] == answers[1]


CALLS = {
    "views": [
        lambda x: x.permute(2, 0, 1).stride(),
        lambda x: x.permute("a"),
        lambda x: x.permute(0, 0, 1),
        lambda x: x.view(3, -1),
        lambda x: x.view(-1, -1),
        lambda x: x.view(8, size=8),
        lambda x: x.transpose(1, 2).view(8),
        lambda x: x.transpose(1, 2).reshape(8),
        lambda x: torch.transpose(x, 1, dim1=2),
        lambda x: x.unsqueeze(9),
        lambda x: x.mT.shape,
        lambda x: x[0],
        lambda x: x[..., None, 1:],
        lambda x: x["a"],
        lambda x: x[0, 0, 0, 0],
        lambda x: x[5],
        lambda x: x.__getitem__(0),
        lambda x: operator.getitem(x, (0, slice(None))),
        lambda x: x.chunk(2, dim=-1),
    ],
    "operators": [
        lambda x: x + 1,
        lambda x: 1 + x,
        lambda x: 2 * x - x / 3,
        lambda x: x + "a",
        lambda x: "a" * x,
        lambda x: x + object(),
        lambda x: x.__add__("a"),
        lambda x: x.add("a"),
        lambda x: x.add(x, alpha=2),
        lambda x: x.add(),
        lambda x: x.add(1, 2, 3),
        lambda x: x.add(x, beta=2),
        lambda x: torch.Tensor.mul(x, x),
        lambda x: torch.Tensor.mul(3, x),
        lambda x: operator.iadd(x * 1, x),
        lambda x: operator.iadd((x * 1)[:, :1], x),
        lambda x: x @ x,
        lambda x: x @ x.mT,
        lambda x: torch.matmul(x, other=x.transpose(1, 2)),
        lambda x: x == x + 1,
        lambda x: x < 2,
        lambda x: (x == None) is False,  # noqa: E711
        lambda x: x % 2,
    ],
    "functions of one tensor": [
        torch.Tensor.relu,
        lambda x: x.relu(1),
        lambda x: torch.relu(input=x),
        lambda x: torch.relu(x, inplace=True),
        lambda x: torch.relu(),
        lambda x: F.relu(x, inplace=True),
        lambda x: F.relu(x, True),
        lambda x: F.relu(x * 1, inplace=1),
        F.gelu,
        lambda x: F.gelu(x, inplace=True),
        lambda x: F.gelu(x, approximate="tanh"),
        lambda x: F.leaky_relu(x, inplace=True),
        lambda x: F.dropout(x, 0.5, False),
        lambda x: F.dropout(x, 2.0, False),
        lambda x: torch.relu(x.long()),
        lambda x: x.exp(out=x),
        lambda x: torch.sigmoid(x, out=torch.empty_like(x)),
        lambda x: F.softmax(x, -1),
        lambda x: F.pad(x, (1, 1)),
        lambda x: F.linear(x, x[0]),
        lambda x: F.linear(x, x[0], bias="a"),
    ],
}


@pytest.mark.parametrize("kind", CALLS)
@pytest.mark.parametrize("make", [lambda x: x, lambda x: x * 2], ids=["input", "made"])
def test_a_call_gives_what_torch_gives(kind, make):
    for i, call in enumerate(CALLS[kind]):
        answers = [run(lambda model, x: said(call, make(x))) for run in (in_trace, outside)]  # noqa: B023
        assert answers[0] == answers[1], i


class Functions(TorchFunctionMode):
    def __init__(self):
        super().__init__()
        self.names = []

    def __torch_function__(self, func, types, args=(), kwargs=None):
        self.names.append(getattr(func, "__name__", str(func)))
        return func(*args, **(kwargs or {}))


def many_calls(x):
    y = F.relu(x) + x
    y += 1
    y = y.view(1, -1)[:, :4].unsqueeze(0).permute(2, 0, 1)
    y = torch.matmul(y.transpose(1, 2), y) * y.shape[0] * y.dim()
    return F.dropout(F.softmax(y, -1), 0.5, False)


def test_a_mode_of_the_user_s_own_sees_every_function():
    def ask(model, x):
        with Functions() as mode:
            many_calls(x * 1)
        return mode.names

    assert in_trace(ask) == outside(ask)
    assert len(outside(ask)) > 15


def test_a_mode_around_the_trace_sees_what_torch_makes():
    with Functions() as mode:
        table = bopscount.trace(function(many_calls), SHAPE)
    assert table.totals() == bopscount.scan(function(many_calls), SHAPE)
    assert mode.names


class Dispatches(TorchDispatchMode):
    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        return func(*args, **(kwargs or {}))


def test_where_torch_functions_are_switched_off_torch_answers():
    def ask(model, x):
        with torch._C.DisableTorchFunction():
            y = (x * 1).view(2, 4) @ torch.empty(4, 3, device="meta")
        with Dispatches():
            return form(y + 1)

    assert in_trace(ask) == outside(ask)


def test_another_thread_gets_torch_s_answers_meanwhile():
    def elsewhere(found):
        x = torch.arange(6.0).view(2, 3)
        found += [x.shape, x[0].tolist(), (x + 1).sum().item(), F.relu(-x).max().item()]
        found.append(F.dropout(nn.Linear(3, 2)(x), 0.5, False).shape)

    def ask(model, x):
        found = []
        thread = threading.Thread(target=elsewhere, args=(found,))
        thread.start()
        thread.join()
        return found, len(bopscount.trace(function(lambda x: x + 1), SHAPE))

    found, _ = in_trace(ask)
    assert found == [(2, 3), [0, 1, 2], 21, 0, (2, 2)]


class Odd(nn.Module):
    """Attributes that could be mistaken for what nn.Module holds."""

    shared = "of the class"

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(2))
        self.register_buffer("empty", None)
        self.inner = nn.ReLU()
        self.inner.inner = nn.Tanh()
        self.register_parameter("gone", nn.Parameter(torch.ones(1)))
        del self.gone
        self._modules["shared"] = nn.ReLU()
        self._parameters["shadowed"] = nn.Parameter(torch.ones(1))
        self.__dict__["shadowed"] = 7

    @property
    def doubled(self):
        return self.weight.shape[0] * 2


class Own(Odd):
    def __getattr__(self, name):
        return "mine" if name == "invented" else super().__getattr__(name)


@pytest.mark.parametrize("cls", [Odd, Own])
@pytest.mark.parametrize(
    "name", "weight empty inner inner.inner gone shared shadowed doubled invented training".split()
)
def test_a_module_finds_what_it_holds(cls, name):
    odd = cls()

    def ask(model, x):
        return said(lambda: operator.attrgetter(name)(model.odd))

    answers = [run(ask, odd=odd) for run in (in_trace, outside)]
    assert str(answers[0]) == str(answers[1])


def test_a_class_derived_in_a_forward_is_as_torch_makes_it():
    def ask(model, x):
        class Derived(type(model.conv)):
            pass

        derived = Derived(2, 3, 1)
        return said(lambda: derived.weight), said(lambda: derived.absent), form(derived(x))

    answers = [run(ask, conv=nn.Conv1d(2, 3, 1)) for run in (in_trace, outside)]
    assert str(answers[0]) == str(answers[1])


def test_a_module_replaced_in_a_forward_is_found_there():
    def ask(model, x):
        first, model.act = model.act, nn.Tanh()
        second = model.act
        del model.act
        return type(first), type(second), hasattr(model, "act")

    assert in_trace(ask, act=nn.ReLU()) == (nn.ReLU, nn.Tanh, False)
