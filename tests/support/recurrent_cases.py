"""For each recurrent class, a strategy of (module arguments, call)."""

from hypothesis import strategies as st
from torch import nn

from support.against_meta import T, shapes, sizes
from support.leaf_cases import flags, seldom


@st.composite
def recurrent(draw, cls):
    features, hidden = draw(st.integers(1, 4)), draw(st.integers(2, 4))
    kwargs = {
        "input_size": features,
        "hidden_size": hidden,
        "num_layers": draw(st.integers(1, 3)),
        "bias": draw(flags),
        "batch_first": draw(flags),
        "bidirectional": draw(flags),
    }
    if cls is nn.LSTM:
        kwargs["proj_size"] = draw(st.integers(0, hidden - 1))
    if cls is nn.RNN:
        kwargs["nonlinearity"] = draw(st.sampled_from(["tanh", "relu"]))
    shape = (draw(sizes(high=4)), draw(sizes(high=3)), features)
    shape = seldom(draw, shape, st.just((shape[0], features)), 4)
    shape = seldom(draw, shape, shapes(low=1))
    states = None
    if draw(st.integers(0, 3)) == 0:
        layers = kwargs["num_layers"] * (1 + kwargs["bidirectional"])
        batch = shape[:-1][not kwargs["batch_first"] :][:1] if len(shape) == 3 else ()
        width = kwargs.get("proj_size") or hidden
        states = T(seldom(draw, (layers, *batch, width), shapes()))
        if cls is nn.LSTM:
            states = (states, T((layers, *batch, hidden)))
    x = T(shape)
    if states is None:
        return kwargs, (x,), {}
    return (kwargs, (x, states), {}) if draw(flags) else (kwargs, (x,), {"hx": states})


@st.composite
def cell(draw, cls):
    features, hidden = draw(st.integers(1, 4)), draw(st.integers(1, 4))
    kwargs = {"input_size": features, "hidden_size": hidden, "bias": draw(flags)}
    batch = draw(st.sampled_from([(), (1,), (3,), (0,)]))
    x = T(seldom(draw, (*batch, features), shapes()))
    if draw(flags):
        return kwargs, (x,), {}
    state = T((*batch, hidden))
    return kwargs, (x, (state, state) if cls is nn.LSTMCell else state), {}


RECURRENT = {cls: recurrent(cls) for cls in (nn.LSTM, nn.GRU, nn.RNN)}
CELLS = {cls: cell(cls) for cls in (nn.LSTMCell, nn.GRUCell, nn.RNNCell)}
