"""Scanning what is large: a chain of 100,000 modules, a Llama of 405 billion parameters."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from functools import partial

import torch
from clock import best_seconds, seconds
from memory import peak_bytes, reset_peak
from rows import Curve, Result, Row, show
from torch import nn

import bopscount

CHAIN_SIZES = tuple(10**power for power in range(2, 6))
QUICK_CHAIN_SIZES = CHAIN_SIZES[:3]
LINEAR_FROM = 10**3
WIDTH = 8
LLAMA_TOKENS = 8192
LLAMA = {
    "hidden_size": 16384,
    "intermediate_size": 53248,
    "num_hidden_layers": 126,
    "num_attention_heads": 128,
    "num_key_value_heads": 8,
    "vocab_size": 128256,
    "max_position_embeddings": 131072,
}


def measure_chain(sizes: tuple[int, ...], rounds: int) -> Iterator[Result]:
    """Scans of one nn.Sequential's first modules, ever more of them.

    Beside them a loop that reads what a scan must read of each module, in turns: what both
    lose with size is the caches' doing.
    """
    with torch.device("meta"):
        chain = nn.Sequential(*(nn.Linear(WIDTH, WIDTH) for _ in range(sizes[-1])))
    calls = {}
    for size in sizes:
        part = chain[:size]
        assert bopscount.scan(part, (WIDTH,)).macs == size * WIDTH * WIDTH
        calls["scan", size] = partial(bopscount.scan, part, (WIDTH,))
        calls["read", size] = partial(_read_all, part)
    best = best_seconds(calls, rounds)
    scans, loops = (
        [(size, best[kind, size] / size * 1e6) for size in sizes] for kind in ("scan", "read")
    )
    us = dict(scans)
    over_loop = {size: us[size] / bare for size, bare in loops}
    yield Row(f"a module of a chain of {sizes[-1]:,}", us[sizes[-1]], "us")
    yield Row(
        f"  against one of {LINEAR_FROM:,}, over what reading them loses",
        over_loop[sizes[-1]] / over_loop[LINEAR_FROM],
        "x",
        goal=1.5,
        more_is_better=False,
    )
    lines = {"bopscount.scan": scans, "a loop that reads the modules": loops}
    yield Curve("A chain of linear layers", "modules", "us a module", lines)


def _read_all(modules: nn.Sequential) -> None:
    """Parameters with their flags, hooks, buffers and attributes."""
    for module in modules:
        parameters, attributes = module._parameters, module.__dict__
        for parameter in parameters.values():
            parameter.shape, parameter.dtype, parameter.requires_grad  # noqa: B018
        for name in ("training", "_buffers", "_forward_hooks", "_forward_pre_hooks", "in_features"):
            attributes[name]


def llama_macs(tokens: int) -> int:
    """By hand: projections, feed-forward, attention (whole squares), the vocabulary."""
    hidden, inner = LLAMA["hidden_size"], LLAMA["intermediate_size"]
    head = hidden // LLAMA["num_attention_heads"]
    keys = LLAMA["num_key_value_heads"] * head
    projections = 2 * hidden * hidden + 2 * hidden * keys
    layer = tokens * (projections + 3 * hidden * inner) + 2 * tokens**2 * hidden
    return LLAMA["num_hidden_layers"] * layer + tokens * hidden * LLAMA["vocab_size"]


def measure_llama(rounds: int) -> Iterator[Result]:
    """A Llama 3 405B as transformers builds it from its config on meta, 8,192 tokens.

    Raises:
        ImportError: Without transformers.
    """
    import transformers

    transformers.logging.set_verbosity_error()
    # What is imported and cached on the first scan of any Llama is no cost of this one.
    small = {**LLAMA, "num_hidden_layers": 1, "hidden_size": 1024, "intermediate_size": 1024}
    with torch.device("meta"):
        small_model = transformers.LlamaForCausalLM(transformers.LlamaConfig(**small)).eval()
        model = transformers.LlamaForCausalLM(transformers.LlamaConfig(**LLAMA)).eval()
    kinds = {
        "ids on meta": torch.zeros(1, LLAMA_TOKENS, dtype=torch.int64, device="meta"),
        "real ids": torch.arange(LLAMA_TOKENS)[None],
    }
    for name, ids in kinds.items():
        bopscount.scan(small_model, inputs={"input_ids": ids[:, :64]})
        gc.collect()
        before = reset_peak()
        scan = partial(bopscount.scan, model, inputs={"input_ids": ids})
        first = seconds(scan)
        megabytes = (peak_bytes() - before) / 1e6
        assert scan().macs == llama_macs(LLAMA_TOKENS)
        best = best_seconds({"scan": scan}, rounds)["scan"]
        yield Row(f"Llama 3 405B, {name}", best, "s", 0.5, more_is_better=False)
        yield Row("  the first scan", first, "s")
        yield Row("  its memory at the peak", megabytes, "MB", 50, more_is_better=False)


def measure(quick: bool) -> Iterator[Result]:
    yield from measure_chain(QUICK_CHAIN_SIZES if quick else CHAIN_SIZES, 3 if quick else 10)
    if quick:
        return
    try:
        yield from measure_llama(rounds=5)
    except ModuleNotFoundError as error:
        if error.name != "transformers":
            raise
        yield "Llama not measured: transformers is not installed"


if __name__ == "__main__":
    show(measure(quick=False))
