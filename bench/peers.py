"""Other counters of a PyTorch model's cost, each as one call; absent ones are left out."""

from __future__ import annotations

import contextlib
import importlib
import io
import warnings
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode


@dataclass(frozen=True)
class Peer:
    """A rival.

    Attributes:
        name: What the table calls it.
        package: What it needs installed.
        on_meta: Whether it gets the model and the input on the meta device.
        count: Counts a model once.
    """

    name: str
    package: str
    on_meta: bool
    count: Callable[[nn.Module, Tensor], object]

    def is_installed(self) -> bool:
        try:
            with quiet():
                importlib.import_module(self.package)
        except ImportError:
            return False
        return True


@contextlib.contextmanager
def quiet():
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        yield


@contextlib.contextmanager
def torch_as_it_was():
    """ptflops leaves its own functions on torch.Tensor, where the next would run into them."""
    places = (torch, torch.Tensor, nn.functional)
    before = [dict(vars(place)) for place in places]
    try:
        yield
    finally:
        for place, names in zip(places, before, strict=True):
            for name, value in tuple(vars(place).items()):
                if name not in names:
                    if place is torch.Tensor:
                        delattr(place, name)
                elif value is not names[name]:
                    setattr(place, name, names[name])


@contextlib.contextmanager
def unheard():
    """No output, no warnings, nothing left on torch: around a rival's call, not timed."""
    with torch_as_it_was(), quiet(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def flop_counter_mode(model: nn.Module, inputs: Tensor) -> float:
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        model(inputs)
    return counter.get_total_flops() / 2


def _ptflops(backend: str) -> Callable[[nn.Module, Tensor], object]:
    def count(model: nn.Module, inputs: Tensor) -> object:
        import ptflops

        macs, _ = ptflops.get_model_complexity_info(
            model,
            tuple(inputs.shape[1:]),
            as_strings=False,
            print_per_layer_stat=False,
            backend=backend,
            verbose=False,
        )
        return _counted(macs)

    return count


def _thop(model: nn.Module, inputs: Tensor) -> object:
    import thop

    return thop.profile(model, (inputs,), verbose=False)


def _fvcore(model: nn.Module, inputs: Tensor) -> object:
    from fvcore.nn import FlopCountAnalysis

    with torch.no_grad():
        analysis = FlopCountAnalysis(model, inputs)
        analysis.unsupported_ops_warnings(False)
        analysis.uncalled_modules_warnings(False)
        return analysis.total()


def _torchinfo(model: nn.Module, inputs: Tensor) -> object:
    import torchinfo

    return torchinfo.summary(model, input_data=inputs, verbose=0)


def _calflops(model: nn.Module, inputs: Tensor) -> object:
    import calflops

    return _counted(
        calflops.calculate_flops(
            model, tuple(inputs.shape), print_results=False, output_as_string=False
        )[1]
    )


def _torchprofile(model: nn.Module, inputs: Tensor) -> object:
    import torchprofile

    return torchprofile.profile_macs(model, inputs)


def _torchscan(model: nn.Module, inputs: Tensor) -> object:
    import torchscan

    return torchscan.crawl_module(model, tuple(inputs.shape[1:]))


def _counted(value: object) -> object:
    """Some return None where they failed."""
    if value is None:
        raise ValueError("no count")
    return value


PEERS = (
    Peer("FlopCounterMode, meta", "torch", True, flop_counter_mode),
    Peer("FlopCounterMode, cpu", "torch", False, flop_counter_mode),
    Peer("ultralytics-thop", "thop", False, _thop),
    Peer("ptflops, pytorch", "ptflops", False, _ptflops("pytorch")),
    Peer("ptflops, aten", "ptflops", False, _ptflops("aten")),
    Peer("torchinfo", "torchinfo", False, _torchinfo),
    Peer("fvcore", "fvcore.nn", False, _fvcore),
    Peer("calflops", "calflops", False, _calflops),
    Peer("torchprofile", "torchprofile", False, _torchprofile),
    Peer("torchscan", "torchscan", False, _torchscan),
)


def absent() -> list[str]:
    """Packages of peers that are not installed."""
    return sorted({peer.package.partition(".")[0] for peer in PEERS if not peer.is_installed()})
