"""Every torchvision model, against the golden file where it stands there."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from corpus.comparing import Count, Library, Outcome, message, ours, outcome_of, reference

torchvision = pytest.importorskip("torchvision")

GOLDEN = Path(__file__).parents[1] / "golden" / "torchvision_macs.json"
DETECTION_SIZE = (3, 240, 320)


def golden() -> dict[str, dict]:
    return json.loads(GOLDEN.read_text())["models"]


def names() -> list[str]:
    return sorted({*torchvision.models.list_models(), *golden()})


def build(name: str) -> torch.nn.Module:
    modules = torchvision.models.detection, torchvision.models.segmentation
    has_backbone = any(name in torchvision.models.list_models(module) for module in modules)
    options = {"weights_backbone": None} if has_backbone else {}
    return torchvision.models.get_model(name, weights=None, **options).eval()


def build_on_meta(name: str) -> torch.nn.Module:
    if name.startswith("regnet"):  # asks for values while it is built
        return build(name).to("meta")
    with torch.device("meta"):
        return build(name)


def compare(name: str) -> Outcome:
    known = golden().get(name)
    if known is not None:
        model = build_on_meta(name)
        inputs = tuple(torch.empty(shape, device="meta") for shape in known["input"])
        theirs = Count(float(known["macs"]))
        outcome = outcome_of(model, ours(model, inputs), theirs, inputs="golden")
        outcome.params_agree &= outcome.params in (None, known["params"])
        return outcome
    if name in torchvision.models.list_models(torchvision.models.detection):
        return compare_detection(name)
    model = build_on_meta(name).requires_grad_(False)
    size = 299 if "inception" in name else 224
    inputs = (torch.empty(1, 3, size, size, device="meta"),)
    return outcome_of(model, ours(model, inputs), reference(model, inputs), inputs="image")


def compare_detection(name: str) -> Outcome:
    """What boxes it finds decides what it computes: both run it."""
    torch.manual_seed(0)
    try:
        model = build(name).requires_grad_(False)
    except Exception as error:
        return Outcome("not_built", our_error=message(error))
    inputs = ([torch.rand(DETECTION_SIZE)],)
    torch.manual_seed(0)
    theirs = reference(model, inputs)
    torch.manual_seed(0)
    mine = ours(model, inputs, run="auto")
    return outcome_of(model, mine, theirs, inputs="image, real", reference_how="on the CPU")


LIBRARY = Library("torchvision", names, compare, lambda: torchvision.__version__)


@pytest.mark.corpus
@pytest.mark.filterwarnings("ignore")
def test_counts_what_flop_counter_mode_counts(model_name):
    if LIBRARY.check(model_name).outcome in ("neither", "not_built"):
        pytest.skip(LIBRARY.outcomes[model_name].our_error)
