"""A traced model is copied, saved, trained and freed as ever."""

import copy
import gc
import pickle
import weakref

import torch
from support.untouched import CHANNELS, SIZE, every_call
from torch import nn


@every_call
def test_a_traced_model_copies_saves_and_learns_as_ever(call, tmp_path):
    model = nn.Sequential(
        nn.Conv2d(CHANNELS, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.LSTM(144, 2)
    )
    x = torch.rand(2, *SIZE)
    fresh = copy.deepcopy(model)
    call(model)
    torch.save(model, tmp_path / "model.pt")
    copies = [
        copy.deepcopy(model),
        pickle.loads(pickle.dumps(model)),
        torch.load(tmp_path / "model.pt", weights_only=False),
        model,
    ]
    expected = fresh(x)[0]
    expected.sum().backward()
    for other in copies:
        assert other.training
        output = other(x)[0]
        assert torch.equal(output, expected)
        output.sum().backward()
        for one, same in zip(other.parameters(), fresh.parameters(), strict=True):
            assert torch.equal(one.grad, same.grad)
        assert torch.equal(other[1].running_mean, fresh[1].running_mean)


@every_call
def test_a_trace_keeps_no_hold_on_the_model(call):
    model = nn.Sequential(nn.Conv2d(CHANNELS, 4, 3), nn.Flatten())
    dead = [weakref.ref(module) for module in model.modules()]
    dead += [weakref.ref(parameter) for parameter in model.parameters()]
    result = call(model)
    del model
    gc.collect()
    assert not any(reference() for reference in dead)
    assert result is not None
