"""Every transformers model type that its default config builds, against FlopCounterMode."""

from __future__ import annotations

import gc
import inspect
import os
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from corpus.comparing import Count, Library, Outcome, message, ours, outcome_of, reference, to_meta
from corpus.transformer_inputs import ALWAYS_REAL, Builder

transformers = pytest.importorskip("transformers")

from corpus.transformer_models import build, names  # noqa: E402

CHECKS = "TRANSFORMERS_DISABLE_TORCH_CHECK"
SMALL = 700_000_000
"""Parameters up to which a model is also built and run for real, if nothing else counts it."""
FEW_LAYERS, SMALL_WITH_FEW = 2, 1_500_000_000
"""Layers of each kind that larger ones keep for that, and up to which size then."""
HEAVY = 500_000_000_000
"""MACs from which on a run takes too long."""


def on_meta(inputs: dict[str, Any]) -> dict[str, Any]:
    """The call with everything on meta but the sizes, which forward reads."""
    return {
        name: value if name in ALWAYS_REAL else to_meta(value) for name, value in inputs.items()
    }


def described(inputs: dict[str, Any]) -> str:
    return ", ".join(f"{name} {tuple(getattr(v, 'shape', ()))}" for name, v in inputs.items())


def calls(model: nn.Module, config: Any) -> list[dict[str, Any]]:
    try:
        return Builder(model, config).candidates()
    except Exception:
        return []


def count_ours(model: nn.Module, inputs: dict[str, Any]) -> tuple[Count, str]:
    """On meta; else with the integers given real, for models that ask for their values."""
    mine = ours(model, on_meta(inputs))
    if mine.macs is not None:
        return mine, "on meta"
    with_values = ours(model, inputs)
    return (mine, "") if with_values.macs is None else (with_values, "real integers")


def count_theirs(model: nn.Module, inputs: dict[str, Any], mine: Count) -> tuple[Count, Count, str]:
    """FlopCounterMode's count, ours of the same variant of the model, and the variant.

    FlopCounterMode has no formula for grouped matrix products, which also want bfloat16:
    a mixture of experts is given to it as batched products. Eager attention asks no mask
    for its values. That the text has as many places as the image has features is checked by
    value, unless transformers is told not to.
    """
    variants = (
        ("", ()),
        ("checks off", ("checks",)),
        ("experts batched", ("experts",)),
        ("eager attention", ("attn",)),
        ("experts batched, eager attention", ("experts", "attn")),
        ("checks off, experts batched, eager attention", ("checks", "experts", "attn")),
    )
    first = None
    for variant, switches in variants:
        try:
            if "experts" in switches:
                model.set_experts_implementation("batched_mm")
            if "attn" in switches:
                model.set_attn_implementation("eager")
        except Exception:
            continue
        with checks_off() if "checks" in switches else nullcontext():
            theirs = reference(model, on_meta(inputs))
        first = first or theirs
        if theirs.macs is not None:
            if variant and (mine.macs is None or mine.macs - mine.unseen != theirs.macs):
                again = count_ours(model, inputs)[0]
                again.error = mine.error
                mine = mine if again.macs is None else again
            return theirs, mine, variant
        if "expected device" in theirs.error:
            break  # integers that have to be real, beside parameters on meta: no variant helps
    return first, mine, ""


@contextmanager
def checks_off() -> Iterator[None]:
    """transformers' own switch for its checks of values."""
    os.environ[CHECKS] = "1"
    try:
        yield
    finally:
        del os.environ[CHECKS]


MODALITIES = {"pixel_values", "input_features", "input_values"}


def is_multimodal(inputs: dict[str, Any]) -> bool:
    return "input_ids" in inputs and bool(MODALITIES & set(inputs))


def is_text_only(model: nn.Module, inputs: dict[str, Any]) -> bool:
    names = set(inspect.signature(model.forward).parameters)
    return "input_ids" in names and bool(names & MODALITIES) and not MODALITIES & set(inputs)


def compare(name: str) -> Outcome:
    """On meta; where FlopCounterMode cannot, or neither, beside a run of it on the CPU."""
    gc.collect()
    try:
        with torch.device("meta"):
            model, config = build(name)
    except Exception as error:
        return Outcome("not_built", our_error=message(error))
    outcome = compare_on_meta(model, config)
    del model
    if outcome.outcome not in ("exact", "differing", "failed"):
        outcome = compare_on_cpu(name) or outcome
    return outcome


def compare_on_meta(model: nn.Module, config: Any) -> Outcome:
    first = alone = None
    for inputs in calls(model, config):
        mine, how = count_ours(model, inputs)
        if mine.macs is None:
            theirs = reference(model, on_meta(inputs))
            if theirs.macs is None:
                first = first or (inputs, mine)
                continue
        theirs, mine, variant = count_theirs(model, inputs, mine)
        outcome = variant_of(
            model,
            mine,
            theirs,
            inputs=f"{described(inputs)}; {how}" if how else described(inputs),
            reference_how=variant,
            text_only=is_text_only(model, inputs),
        )
        if outcome.outcome != "only_ours" or not is_multimodal(inputs):
            return outcome if alone is None or outcome.outcome != "only_ours" else alone
        alone = alone or outcome  # FlopCounterMode may count the text without the rest
    if alone is not None:
        return alone
    if first is None:
        return Outcome("neither", our_error="no inputs known", reference_error="no inputs known")
    inputs, mine = first
    theirs, mine, variant = count_theirs(model, inputs, mine)
    return variant_of(model, mine, theirs, inputs=described(inputs), reference_how=variant)


def variant_of(model: nn.Module, mine: Count, theirs: Count, **more: Any) -> Outcome:
    """The outcome, told apart where we too needed the variant."""
    outcome = outcome_of(model, mine, theirs, **more)
    if outcome.outcome == "exact" and mine.error:
        outcome.outcome = "exact_variant"
    return outcome


def with_values(inputs: dict[str, Any]) -> dict[str, Any]:
    generator = torch.Generator().manual_seed(0)
    return {
        name: torch.rand(value.shape, generator=generator)
        if isinstance(value, Tensor) and value.is_meta
        else value
        for name, value in inputs.items()
    }


def reference_on_cpu(model: nn.Module, inputs: dict[str, Any]) -> Count:
    """FlopCounterMode beside a real run; the CPU's kernels for attention and LSTM hide MACs."""
    with suppress(Exception):
        model.set_attn_implementation("eager")
    with suppress(Exception):
        model.set_experts_implementation("batched_mm")
    torch.manual_seed(0)
    with torch.backends.mkldnn.flags(enabled=False), sdpa_kernel(SDPBackend.MATH):
        return reference(model, inputs)


def compare_on_cpu(name: str) -> Outcome | None:
    """Beside a run of the model, with few layers if it is large: None if that gives no count."""
    ways = ((None, SMALL, ""), (FEW_LAYERS, SMALL_WITH_FEW, f", {FEW_LAYERS} layers"))
    for layers, limit, how in ways:
        try:
            with torch.device("meta"):
                model, config = build(name, layers)
            if sum(p.numel() for p in model.parameters()) > limit:
                continue
            torch.manual_seed(0)
            real, config = build(name, layers)
        except Exception:
            return None
        for inputs in calls(real, config):
            values = with_values(inputs)
            mine, place = count_ours(model, inputs)
            if mine.macs is None:
                torch.manual_seed(0)  # as for the reference: some draw how long a sound is
                mine, place = ours(real, values, run="auto"), "run"
                if mine.macs is None:
                    continue
            if mine.macs > HEAVY:
                break
            theirs = reference_on_cpu(real, values)
            if theirs.macs is not None:
                return outcome_of(
                    model,
                    mine,
                    theirs,
                    inputs=f"{described(inputs)}; {place}",
                    reference_how=f"on the CPU, eager attention{how}",
                    text_only=is_text_only(model, inputs),
                )
    return None


LIBRARY = Library("transformers", names, compare, lambda: transformers.__version__)


@pytest.mark.corpus
@pytest.mark.filterwarnings("ignore")
def test_counts_what_flop_counter_mode_counts(model_name):
    if LIBRARY.check(model_name).outcome in ("neither", "not_built"):
        pytest.skip(LIBRARY.outcomes[model_name].our_error)
