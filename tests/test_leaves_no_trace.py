"""The model, and what is global to a forward, are as before: whatever happened."""

import copy
import gc
import pickle
import random
import signal
import sys
import threading
import weakref
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import _get_current_dispatch_mode_stack

import bopscount
from bopscount import TraceError
from bopscount.tracing.driver import TRACING

CHANNELS, SIZE = 3, (3, 8, 8)
HOOK_TABLES = (
    "_forward_hooks",
    "_forward_hooks_with_kwargs",
    "_forward_hooks_always_called",
    "_forward_pre_hooks",
    "_forward_pre_hooks_with_kwargs",
    "_backward_hooks",
    "_backward_pre_hooks",
    "_state_dict_hooks",
    "_load_state_dict_pre_hooks",
)


class Messy(nn.Module):
    """Changes whatever a forward can change, then ends as it is told."""

    def __init__(self, ending=None):
        super().__init__()
        self.conv = nn.Conv2d(CHANNELS, 4, 3)
        self.norm = nn.BatchNorm2d(4)
        self.drop = nn.Dropout(0.5)
        self.scale = nn.Parameter(torch.ones(4, 1, 1))
        self.register_buffer("steps", torch.zeros(1))
        self.register_buffer("cache", torch.zeros(1))
        self.register_buffer("table", torch.zeros(2, 3))
        self.register_buffer("absent", None)
        self.history = [1]
        self.counts = {"forward": 0}
        self.seen = {"a"}
        self.nested = {"a": [{1}, ([2],)]}
        self.last = None
        self.ending = ending

    def forward(self, x):
        self.steps.add_(1)
        self.cache = self.cache + 1
        self.absent = torch.ones(2)
        with torch.no_grad():
            self.scale.mul_(0.5)
            self.norm.running_mean.fill_(7)
        self.conv.bias.data.zero_()
        self.conv.bias.grad = torch.ones_like(self.conv.bias)
        self.scale.requires_grad_(False)
        self.norm.weight.requires_grad = False
        self.norm.bias.data = torch.zeros_like(self.norm.bias)
        self.table.numpy().fill(7)
        self.table.resize_(1, 2).squeeze_(0)
        self.history.append(x)
        self.history[0] = 2
        self.counts["forward"] += 1
        self.seen.add("b")
        self.nested["a"][0].add(2)
        self.nested["a"][1][0].append(3)
        self.nested["b"] = 1
        self.last = x
        self.conv.newcomer = x
        self.new_layer = nn.ReLU()
        self.register_buffer("new_buffer", torch.ones(1))
        self.conv.register_forward_hook(lambda module, args, output: output)
        self.norm.train()
        torch.rand(2)
        torch.manual_seed(3)
        random.random()
        np.random.rand(2)
        x = self.drop(self.norm(self.conv(x))) * self.scale
        torch.set_default_dtype(torch.float64)
        torch.set_grad_enabled(not torch.is_grad_enabled())
        if self.ending is not None:
            raise self.ending
        return x


def contents(value):
    """A container's members by identity, and theirs."""
    if isinstance(value, dict):
        return [(key, id(item), contents(item)) for key, item in value.items()]
    if isinstance(value, (list, tuple)):
        return [(id(item), contents(item)) for item in value]
    return sorted(value) if isinstance(value, set) else None


def snapshot(model):
    """All there is to know of a model, without copies of identical things."""
    state = {}
    for path, module in model.named_modules():
        state[path, "training"] = module.training
        for name, value in module.__dict__.items():
            state[path, "__dict__", name] = (id(value), contents(value))
        for name in HOOK_TABLES:
            state[path, name] = contents(getattr(module, name))
    for kind in ("named_parameters", "named_buffers"):
        for path, tensor in getattr(model, kind)():
            state[kind, path] = (
                id(tensor),
                id(tensor.grad),
                tensor.data_ptr(),
                tensor.shape,
                tensor._version,
                tensor.requires_grad,
                tensor.dtype,
                tensor.is_meta,
                tensor.flatten().tolist(),
            )
    return state


def global_state():
    keys, positions, *rest = np.random.get_state()[1:4]
    return {
        "torch": torch.get_rng_state().tolist(),
        "random": random.getstate(),
        "numpy": (keys.tolist(), positions, rest),
        "grad": torch.is_grad_enabled(),
        "dtype": torch.get_default_dtype(),
    }


def trace(model):
    return bopscount.trace(model, SIZE)


def trace_training(model):
    return bopscount.trace(model, SIZE, training=True)


def scan(model):
    return bopscount.scan(model, SIZE)


def stat(model):
    return bopscount.stat(model, SIZE)


def stat_untimed(model):
    return bopscount.stat(model, SIZE, timing=False)


every_call = pytest.mark.parametrize("call", [trace, trace_training, scan, stat, stat_untimed])


def check_untouched(model, call, raises=None):
    before, world = snapshot(model), global_state()
    frozen = pickle.dumps(model.state_dict())
    if raises is None:
        call(model)
    else:
        with pytest.raises(raises):
            call(model)
    assert snapshot(model) == before
    assert global_state() == world
    assert pickle.dumps(model.state_dict()) == frozen
    thawed = pickle.loads(pickle.dumps(model))
    assert [path for path, _ in thawed.named_modules()] == [p for p, _ in model.named_modules()]


@every_call
def test_after_success_the_model_is_as_before(call):
    check_untouched(Messy(), call)


@every_call
def test_after_a_forward_that_raises_the_model_is_as_before(call):
    check_untouched(Messy(RuntimeError("broken")), call, TraceError)


@every_call
def test_after_an_interrupt_in_forward_the_model_is_as_before(call):
    check_untouched(Messy(KeyboardInterrupt()), call, KeyboardInterrupt)


@every_call
def test_a_messy_part_of_a_model_is_as_before(call):
    check_untouched(nn.Sequential(nn.Identity(), nn.Sequential(Messy())), call)


def test_the_messy_forward_does_change_all_this_by_itself():
    model = Messy()
    before, world = snapshot(model), global_state()
    try:
        model(torch.zeros(1, *SIZE))
        after, changed_world = snapshot(model), global_state()
    finally:
        torch.set_default_dtype(torch.float32)
        torch.set_grad_enabled(True)
    changed = {key for key in before.keys() | after.keys() if before.get(key) != after.get(key)}
    assert {
        ("named_parameters", "scale"),
        ("named_parameters", "conv.bias"),
        ("named_parameters", "norm.weight"),
        ("named_parameters", "norm.bias"),
        ("named_buffers", "table"),
        ("", "__dict__", "nested"),
        ("named_buffers", "steps"),
        ("named_buffers", "cache"),
        ("named_buffers", "absent"),
        ("named_buffers", "new_buffer"),
        ("named_buffers", "norm.running_mean"),
        ("named_buffers", "norm.num_batches_tracked"),
        ("", "__dict__", "history"),
        ("", "__dict__", "counts"),
        ("", "__dict__", "seen"),
        ("", "__dict__", "last"),
        ("conv", "__dict__", "newcomer"),
        ("conv", "_forward_hooks"),
        ("new_layer", "training"),
    } <= changed
    assert all(world[name] != changed_world[name] for name in world)


@every_call
@pytest.mark.parametrize("training", [True, False])
def test_training_flags_come_back_module_by_module(call, training):
    model = nn.Sequential(nn.Conv2d(CHANNELS, 4, 3), nn.BatchNorm2d(4), nn.Sequential(nn.Dropout()))
    model.train(training)
    model[1].train(not training)
    check_untouched(model, call)
    assert model.training is training
    assert model[1].training is not training


def test_the_batch_norms_of_a_model_in_training_keep_their_statistics():
    model = nn.Sequential(nn.Conv2d(CHANNELS, 4, 3), nn.BatchNorm2d(4)).train()
    check_untouched(model, trace_training)
    assert model[1].num_batches_tracked.item() == 0


@every_call
def test_the_user_s_own_hooks_stay_and_no_other_does(call):
    model = nn.Sequential(nn.Conv2d(CHANNELS, 4, 3), nn.ReLU())
    model[0].register_forward_hook(own_hook)
    check_untouched(model, call)
    assert list(model[0]._forward_hooks.values()) == [own_hook]
    assert not model[1]._forward_hooks
    assert not model._forward_pre_hooks


def own_hook(module, args, output):
    return output


@every_call
def test_the_caller_s_grad_mode_and_default_dtype_stay(call):
    model = nn.Conv2d(CHANNELS, 4, 3)
    torch.set_default_dtype(torch.bfloat16)
    try:
        with torch.no_grad():
            call(model)
            assert not torch.is_grad_enabled()
            assert torch.get_default_dtype() is torch.bfloat16
        call(model)
        assert torch.is_grad_enabled()
    finally:
        torch.set_default_dtype(torch.float32)


def test_the_caller_s_inputs_stay_as_they_are():
    class Overwrites(nn.Module):
        def forward(self, x, options):
            options["scale"] = 2
            return nn.functional.relu(x, inplace=False) + 1

    x, options = -torch.ones(2, 3), {"scale": 1}
    bopscount.stat(Overwrites(), inputs=(x, options))
    assert x.tolist() == [[-1.0] * 3] * 2
    assert options == {"scale": 1}


def test_gradients_and_the_graph_of_the_user_stay():
    model = nn.Linear(3, 3)
    loss = model(torch.ones(1, 3)).sum()
    bopscount.stat(model, (3,))
    loss.backward()
    assert model.weight.grad.tolist() == [[1.0] * 3] * 3
    bopscount.stat(model, (3,))
    assert model.weight.grad.tolist() == [[1.0] * 3] * 3


@pytest.mark.parametrize("same_model", [True, False], ids=["one model", "two models"])
def test_threads_that_trace_at_once_get_equal_results_and_leave_nothing(same_model):
    def network():
        return nn.Sequential(
            nn.Conv2d(CHANNELS, 4, 3),
            nn.BatchNorm2d(4),
            nn.Sequential(nn.ReLU(), nn.Flatten(), nn.Linear(144, 2)),
        )

    first = network()
    models = [first, first if same_model else network()]
    expected = [row.costs() for row in bopscount.count(trace(first)).rows]
    before = [snapshot(model) for model in models]
    barrier = threading.Barrier(2)

    def work(model):
        barrier.wait()
        return [[row.costs() for row in bopscount.count(trace(model)).rows] for _ in range(10)]

    with ThreadPoolExecutor(2) as pool:
        results = list(pool.map(work, models))
    assert results == [[expected] * 10] * 2
    assert [snapshot(model) for model in models] == before


def test_a_trace_that_raises_in_one_thread_does_not_disturb_the_other():
    good = nn.Sequential(nn.Conv2d(CHANNELS, 4, 3), nn.ReLU())
    bad = nn.Sequential(good, Messy(RuntimeError("broken")))
    expected = scan(good)
    before = snapshot(bad)
    barrier = threading.Barrier(2)

    def work_well():
        barrier.wait()
        return [scan(good) for _ in range(10)]

    def work_badly():
        barrier.wait()
        for _ in range(10):
            with pytest.raises(TraceError):
                scan(bad)

    with ThreadPoolExecutor(2) as pool:
        well, badly = pool.submit(work_well), pool.submit(work_badly)
        badly.result()
        assert well.result() == [expected] * 10
    assert snapshot(bad) == before


def test_a_forward_of_another_thread_is_not_counted():
    model = nn.Sequential(nn.Conv2d(CHANNELS, 4, 3), nn.ReLU())
    expected = scan(model)
    stop = threading.Event()

    def use():
        with torch.no_grad():
            while not stop.is_set():
                model(torch.zeros(1, *SIZE))

    thread = threading.Thread(target=use)
    thread.start()
    try:
        assert [scan(model) for _ in range(20)] == [expected] * 20
    finally:
        stop.set()
        thread.join()


# Torch itself.

OWNERS = (
    torch,
    torch.jit.ScriptFunction,
    torch.Tensor,
    torch._C._TensorBase,
    nn.functional,
    nn.Module,
    torch.nn.init,
)


def torch_state():
    """Whatever a tracer might have put in the place of something of torch's."""
    classes = [cls for cls in vars(nn).values() if isinstance(cls, type)]
    return {
        "names": [{name: id(value) for name, value in vars(owner).items()} for owner in OWNERS],
        "calls": [cls for cls in classes if "__call__" in cls.__dict__],
        "function modes": torch._C._len_torch_function_stack(),
        "dispatch modes": len(_get_current_dispatch_mode_stack()),
        "functions": torch._C._is_torch_function_enabled(),
        "hooks": [
            len(hooks)
            for name, hooks in vars(nn.modules.module).items()
            if name.startswith("_global") and isinstance(hooks, dict)
        ],
        "inference": torch.is_inference_mode_enabled(),
        "device": torch.get_default_device(),
    }


class LooksAtValues(Messy):
    """The same, by a run: what it does depends on values."""

    def forward(self, x):
        self.steps.mul_(2)
        nn.functional.relu(self.steps, inplace=True)
        nn.functional.relu_(self.cache)
        self.cache.add_(1)
        if x.sum().item() > float("-inf"):
            x = x * 1
        return super().forward(x)


ENDINGS = pytest.mark.parametrize(
    ("ending", "raises"),
    [(None, None), (RuntimeError("broken"), TraceError), (KeyboardInterrupt(), KeyboardInterrupt)],
    ids=["success", "error", "interrupt"],
)


@every_call
@ENDINGS
@pytest.mark.parametrize("make", [Messy, LooksAtValues])
def test_torch_is_as_before(call, ending, raises, make):
    model = nn.Sequential(nn.Identity(), make(ending))
    before = torch_state()
    check_untouched(model, call, raises)
    assert torch_state() == before
    assert "__call__" not in nn.Conv2d.__dict__
    assert "__call__" not in make.__dict__
    assert before["function modes"] == before["dispatch modes"] == 0


class Called(Messy):
    def __call__(self, x):
        return super().__call__(x)


@every_call
@ENDINGS
def test_a_class_s_own_call_method_stays(call, ending, raises):
    own = Called.__dict__["__call__"]
    model = nn.Sequential(Called(ending))
    check_untouched(model, call, raises)
    assert Called.__dict__["__call__"] is own


def raising(*_):
    raise KeyboardInterrupt


class InterruptedFunction(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        raise KeyboardInterrupt


def hooked(register):
    layer = nn.Conv2d(CHANNELS, 4, 3)
    getattr(layer, register)(raising)
    return layer


class Interrupted(nn.Module):
    """Is interrupted in something that its forward calls."""

    def __init__(self, call):
        super().__init__()
        self.call = call

    def forward(self, x):
        return self.call(x)


def interrupted_vmap(x):
    return torch.vmap(raising)(x)


def interrupted_checkpoint(x):
    return torch.utils.checkpoint.checkpoint(raising, x, use_reentrant=False)


class BadTensor(torch.Tensor):
    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        raise KeyboardInterrupt


def interrupted_tensor(x):
    return torch.zeros(2).as_subclass(BadTensor) + 1


@pytest.mark.parametrize(
    "make",
    [
        lambda: hooked("register_forward_hook"),
        lambda: hooked("register_forward_pre_hook"),
        lambda: Interrupted(InterruptedFunction.apply),
        lambda: Interrupted(interrupted_vmap),
        lambda: Interrupted(interrupted_checkpoint),
        lambda: Interrupted(interrupted_tensor),
    ],
    ids=["hook", "pre-hook", "autograd", "vmap", "checkpoint", "tensor"],
)
def test_an_interrupt_anywhere_leaves_nothing(make):
    model = nn.Sequential(nn.Conv2d(CHANNELS, CHANNELS, 1), make())
    before = torch_state()
    check_untouched(model, scan, KeyboardInterrupt)
    assert torch_state() == before
    assert torch._C._functorch.peek_interpreter_stack() is None
    assert scan(model[0]).macs == CHANNELS * CHANNELS * 64


class Functions(nn.Module):
    """Answered by rules in Python, or by torch itself, and changing itself meanwhile."""

    def __init__(self):
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3)
        self.register_buffer("steps", torch.zeros(1))
        self.history = []

    def forward(self, x):
        self.steps.add_(1)
        self.history.append(1)
        x = nn.functional.relu(self.norm(self.conv(x))) + torch.arange(8)
        return nn.functional.interpolate(torch.special.i0(x), scale_factor=1)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="no timers")
@pytest.mark.parametrize(
    ("make", "number", "seconds"),
    [
        (lambda: nn.Sequential(nn.Conv2d(3, 3, 1), nn.ReLU()), 20, 1.5e-3),
        (Functions, 4, 6e-3),
    ],
    ids=["modules", "functions"],
)
def test_an_interrupt_at_any_moment_leaves_nothing(make, number, seconds):
    model = nn.Sequential(*(make() for _ in range(number)))
    model(torch.zeros(1, *SIZE))
    expected = scan(model)
    before, state, chance = torch_state(), snapshot(model), random.Random(0)
    spoiled, interrupts = [], 0
    old = signal.signal(signal.SIGALRM, raising)
    try:
        for _ in range(300):
            try:
                signal.setitimer(signal.ITIMER_REAL, chance.uniform(2e-5, seconds))
                for _ in range(50):
                    scan(model)
            except KeyboardInterrupt:
                interrupts += 1
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0)
            spoiled += ["function mode"] * torch._C._len_torch_function_stack()
            if spoiled:
                break
            after = torch_state()
            spoiled += [name for name in before if after[name] != before[name]]
            spoiled += ["grad mode"] * (not torch.is_grad_enabled())
            spoiled += ["training"] * (not all(module.training for module in model.modules()))
            spoiled += ["lock"] * clean_up(model)
    finally:
        signal.signal(signal.SIGALRM, old)
    assert interrupts > 200
    assert Counter(spoiled) == {}
    assert snapshot(model) == state
    assert scan(model) == expected


def clean_up(model):
    """For the tests after one that fails; how often the lock was still held."""
    for cls in {type(module) for module in model.modules()}:
        if "__call__" in cls.__dict__:
            del cls.__call__
    while torch._C._len_torch_function_stack():
        torch._C._pop_torch_function_stack()
    torch.set_grad_enabled(True)
    model.train()
    for held in range(100):
        try:
            TRACING.release()
        except RuntimeError:
            return held
    return 100


# Other threads.


def test_another_thread_s_unrelated_model_runs_as_ever_and_is_not_counted():
    traced = nn.Sequential(nn.Conv2d(CHANNELS, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout())
    other = nn.Sequential(
        nn.Conv2d(CHANNELS, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(144, 2)
    ).eval()
    x = torch.rand(1, *SIZE)
    seen = []
    other[0].register_forward_hook(lambda module, args, output: seen.append(output.device.type))
    with torch.no_grad():
        right = other(x) @ torch.ones(2, 2)
    expected, before = bopscount.count(trace(traced)), snapshot(other)
    stop, errors, runs = threading.Event(), [], []

    def use():
        with torch.no_grad():
            while not stop.is_set():
                runs.append(1)
                if not torch.equal(other(x) @ torch.ones(2, 2), right):
                    errors.append("another result")

    thread = threading.Thread(target=use)
    thread.start()
    try:
        reports = [bopscount.count(trace(traced)) for _ in range(30)]
    finally:
        stop.set()
        thread.join()
    assert not errors
    assert len(runs) + 1 == len(seen)
    assert set(seen) == {"cpu"}
    assert all(report.layers == expected.layers for report in reports)
    assert snapshot(other) == before


def test_another_thread_s_unrelated_model_does_as_much_as_ever():
    """The calls that it makes, while a trace of the same classes stands in its middle."""

    def network():
        return nn.Sequential(nn.Conv2d(CHANNELS, 4, 3), nn.BatchNorm2d(4), nn.ReLU()).eval()

    class Waits(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = network()

        def forward(self, x):
            tracing.set()
            assert counted.wait(60)
            return self.inner(x)

    other, x = network(), torch.rand(1, *SIZE)

    @torch.no_grad()
    def calls():
        made = Counter()
        sys.setprofile(lambda _frame, event, _argument: made.update([event]))
        try:
            other(x)
        finally:
            sys.setprofile(None)
        return made

    calls()  # what torch does on a first call
    tracing, counted, alone = threading.Event(), threading.Event(), calls()
    with ThreadPoolExecutor(1) as pool:
        trace_of_waits = pool.submit(scan, Waits())
        assert tracing.wait(60)
        beside = calls()
        counted.set()
        assert trace_of_waits.result().macs == 36 * 4 * 27
    assert beside == alone
    assert alone["call"] > len(other)


def test_a_thread_that_forward_starts_is_not_traced_and_ends_well():
    class Threaded(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.side = nn.Conv2d(CHANNELS, 4, 3), nn.Linear(4, 4)

        def forward(self, x):
            with ThreadPoolExecutor(1) as pool:
                self.result = pool.submit(self.side, torch.ones(1, 4)).result()
            assert not self.result.is_meta
            return self.conv(x)

    model = Threaded()
    assert scan(model).macs == 36 * 4 * 27
    assert not hasattr(model, "result")


def test_a_model_traced_inside_another_s_forward_is_its_own():
    inner, sums = nn.Linear(8, 2, bias=False), []

    class Nested(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(CHANNELS, 4, 3, bias=False)

        def forward(self, x):
            x = self.conv(x)
            sums.append(bopscount.scan(inner, (8,)).macs)
            return self.conv(x[:, :3])

    before = torch_state()
    assert scan(Nested()).macs == 108 * (36 + 16)
    assert sums == [16]
    assert torch_state() == before


# Afterwards.


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


def test_a_model_that_is_run_leaves_its_input_as_it_was():
    class Overwrites(nn.Module):
        def forward(self, x):
            x.mul_(2)
            nn.functional.relu(x, inplace=True)
            return x.sum().item()

    x = -torch.ones(2, 3)
    version = x._version
    assert bopscount.trace(Overwrites(), inputs=x).ran_model
    assert x.tolist() == [[-1.0] * 3] * 2
    assert x._version == version


def test_layers_that_work_in_place_on_buffers_leave_them_in_a_run():
    class InPlace(nn.Module):
        def __init__(self):
            super().__init__()
            self.act = nn.ReLU(inplace=True)
            self.register_buffer("state", -torch.ones(3))

        def forward(self, x):
            if x.sum().item() > float("-inf"):
                return self.act(self.state) + x

    model = InPlace()
    state = snapshot(model)
    assert bopscount.trace(model, (3,)).ran_model
    assert snapshot(model) == state
