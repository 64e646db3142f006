"""What the tests of the tracer share: small modules, and other ways to count them."""

import copy
import warnings

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map
from torch.utils.flop_counter import FlopCounterMode

import bopscount
from bopscount.layer_table import LayerTable
from bopscount.tracing.driver import Driver
from bopscount.tracing.inputs import ForwardCall
from bopscount.tracing.table import build_table


class Calls(nn.Module):
    """A function of the inputs and of its own parameters, as an inner module."""

    def __init__(self, function, *parameters, **modules):
        super().__init__()
        self.function = function
        self.own = nn.ParameterList(parameters)
        self.inert = nn.Identity()
        for name, module in modules.items():
            self.add_module(name, module)

    def forward(self, *args, **kwargs):
        return self.function(self, *args, **kwargs)


class Watched(nn.Module):
    """Notes what comes out of a model."""

    def __init__(self, model):
        super().__init__()
        self.model = model
        self.outputs = Notes()

    def forward(self, *args, **kwargs):
        output = self.model(*args, **kwargs)
        with torch._C.DisableTorchFunction():
            # What works in place gives what is put back later.
            self.outputs.copies = tree_map(_copy, output)
        self.outputs.last = output
        return output


def _copy(value):
    return value.detach().clone() if isinstance(value, Tensor) else value


class Notes:
    """Holds what a trace must not put back."""

    last = copies = None


def function(call, *parameters):
    """A module whose forward is call(*inputs, *parameters)."""
    return Calls(lambda self, *args: call(*args, *self.own), *parameters)


def parameter(*shape):
    generator = torch.Generator().manual_seed(1)
    return nn.Parameter(torch.randn(shape, generator=generator))


def values(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def call_of(inputs):
    if isinstance(inputs, dict):
        return ForwardCall((), inputs, 1)
    return ForwardCall(inputs if isinstance(inputs, tuple) else (inputs,), {}, 1)


def macs_on_meta(model, inputs):
    """Half of what torch's own counter says of the model on the meta device."""
    model = copy.deepcopy(model).to("meta").eval()
    call = call_of(inputs)

    def move(value):
        return value.to("meta") if isinstance(value, Tensor) else value

    args, kwargs = tree_map(move, (call.args, call.kwargs))
    counter = FlopCounterMode(display=False)
    with torch.no_grad(), counter, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model(*args, **kwargs)
    assert counter.get_total_flops() % 2 == 0
    return counter.get_total_flops() // 2


def table_of_real_run(model, inputs) -> LayerTable:
    """The table that running the model's arithmetic yields."""
    driver = Driver(model, real=True)
    driver.run(call_of(inputs))
    return build_table(driver.tracer, ran_model=True)


def form(value):
    """Nested shapes and dtypes."""
    if isinstance(value, Tensor):
        return tuple(value.shape), value.dtype
    if isinstance(value, dict):
        return {key: form(item) for key, item in value.items()}
    if isinstance(value, (tuple, list)):
        return [form(item) for item in value]
    return value


def report_of(model, inputs, **options):
    rules = options.pop("rules", "torchstat")
    return bopscount.count(bopscount.trace(model, inputs=inputs, **options), rules=rules)
