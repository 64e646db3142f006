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
from torch import nn

from corpus.comparing import Count, Library, Outcome, message, ours, outcome_of, reference, to_meta
from corpus.transformer_inputs import ALWAYS_REAL, Builder

transformers = pytest.importorskip("transformers")

CHECKS = "TRANSFORMERS_DISABLE_TORCH_CHECK"
SMALL = 250_000_000
"""Parameters up to which a model is also built and run for real, if nothing else counts it."""


def names() -> list[str]:
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING
    from transformers.models.auto.modeling_auto import MODEL_MAPPING_NAMES

    return sorted(name for name in MODEL_MAPPING_NAMES if name in CONFIG_MAPPING)


def build(name: str) -> tuple[nn.Module, Any]:
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING
    from transformers.models.auto.modeling_auto import MODEL_MAPPING

    transformers.logging.set_verbosity_error()
    config_class = CONFIG_MAPPING[name]
    model_class = MODEL_MAPPING[config_class]
    if isinstance(model_class, (list, tuple)):
        model_class = model_class[0]
    config = config_class()
    fit_towers(config)
    fit_towers(getattr(config, "thinker_config", None))
    try:
        model = model_class(config)
    except Exception:
        fill_gaps(config)
        model = model_class(config)
    return model.eval().requires_grad_(False), config


def fit_towers(config: Any) -> None:
    """Gives what a tower puts out the width of the text, where default configs differ."""
    width = getattr(getattr(config, "text_config", None), "hidden_size", None)
    if not isinstance(width, int):
        return
    for tower in (getattr(config, "vision_config", None), getattr(config, "audio_config", None)):
        # In the first of the Qwen kind, hidden_size is what comes out.
        merges = hasattr(tower, "embed_dim") and hasattr(tower, "spatial_merge_size")
        for name in ("out_hidden_size", "output_dim", *(["hidden_size"] if merges else [])):
            if isinstance(getattr(tower, name, None), int):
                setattr(tower, name, width)


def fill_gaps(config: Any) -> None:
    """Gives sizes to a config, and its parts, whose defaults leave them open."""
    for part in [config, *vars(config).values()]:
        if not hasattr(part, "to_dict"):
            continue
        heads, width = (getattr(part, n, None) for n in ("num_attention_heads", "hidden_size"))
        usual = {
            "prediction_length": 24,
            "context_length": 48,
            "vocab_size": 1000,
            "pad_token_id": 1,
            "num_key_value_heads": heads,
            "head_dim": width // heads if heads and width else None,
        }
        for name, value in usual.items():
            with suppress(Exception):  # a part that allows no such size
                if value is not None and getattr(part, name, value) is None:
                    setattr(part, name, value)


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
    gc.collect()
    try:
        with torch.device("meta"):
            model, config = build(name)
    except Exception as error:
        return Outcome("not_built", our_error=message(error))
    first = alone = None
    for inputs in calls(model, config):
        mine, how = count_ours(model, inputs)
        if mine.macs is None:
            theirs = reference(model, on_meta(inputs))
            if theirs.macs is None:
                first = first or (inputs, mine, theirs)
                continue
        theirs, mine, variant = count_theirs(model, inputs, mine)
        if theirs.macs is None:
            theirs, variant = count_on_cpu(name, model, inputs) or (theirs, variant)
        described_inputs = f"{described(inputs)}; {how}" if how else described(inputs)
        outcome = variant_of(
            model,
            mine,
            theirs,
            inputs=described_inputs,
            reference_how=variant,
            text_only=is_text_only(model, inputs),
        )
        if outcome.outcome != "only_ours" or not is_multimodal(inputs):
            return outcome if alone is None or outcome.outcome != "only_ours" else alone
        alone = alone or outcome  # FlopCounterMode may count the text without the rest
    return alone or by_running(name, model, first)


def variant_of(model: nn.Module, mine: Count, theirs: Count, **more: Any) -> Outcome:
    """The outcome, told apart where we too needed the variant."""
    outcome = outcome_of(model, mine, theirs, **more)
    if outcome.outcome == "exact" and mine.error:
        outcome.outcome = "exact_variant"
    return outcome


def with_values(inputs: dict[str, Any]) -> dict[str, Any]:
    generator = torch.Generator().manual_seed(0)
    return {
        name: torch.rand(value.shape, generator=generator) if value.is_meta else value
        for name, value in inputs.items()
    }


def reference_on_cpu(model: nn.Module, inputs: dict[str, Any]) -> Count:
    """FlopCounterMode beside a real run; the CPU's kernels for attention and LSTM hide MACs."""
    with suppress(Exception):
        model.set_attn_implementation("eager")
    torch.manual_seed(0)
    with torch.backends.mkldnn.flags(enabled=False):
        return reference(model, inputs)


def count_on_cpu(name: str, model: nn.Module, inputs: dict[str, Any]) -> tuple[Count, str] | None:
    """For small models that FlopCounterMode cannot count on meta."""
    if sum(p.numel() for p in model.parameters()) > SMALL:
        return None
    try:
        torch.manual_seed(0)
        real, _ = build(name)
    except Exception:
        return None
    theirs = reference_on_cpu(real, with_values(inputs))
    return None if theirs.macs is None else (theirs, "on the CPU, eager attention")


def by_running(name: str, model: nn.Module, first: Any) -> Outcome:
    """Models that look at values: both run them, if they are small."""
    if first is None:
        return Outcome("neither", our_error="no inputs known", reference_error="no inputs known")
    inputs, mine, theirs = first
    theirs, mine, variant = count_theirs(model, inputs, mine)
    if theirs.macs is not None:
        return variant_of(model, mine, theirs, inputs=described(inputs), reference_how=variant)
    if sum(p.numel() for p in model.parameters()) <= SMALL:
        try:
            torch.manual_seed(0)
            real, config = build(name)
        except Exception as error:
            return Outcome("neither", our_error=message(error))
        for candidate in calls(real, config):
            values = with_values(candidate)
            torch.manual_seed(0)
            run = ours(real, values, run="auto")
            if run.macs is None:
                continue
            on_cpu = reference_on_cpu(real, values)
            return variant_of(
                real,
                run,
                on_cpu if on_cpu.macs is not None else theirs,
                inputs=f"{described(values)}; run",
                reference_how="on the CPU, eager attention" if on_cpu.macs is not None else "",
            )
    return outcome_of(model, mine, theirs, inputs=described(inputs))


LIBRARY = Library("transformers", names, compare, lambda: transformers.__version__)


@pytest.mark.corpus
@pytest.mark.filterwarnings("ignore")
def test_counts_what_flop_counter_mode_counts(model_name):
    if LIBRARY.check(model_name).outcome in ("neither", "not_built"):
        pytest.skip(LIBRARY.outcomes[model_name].our_error)
