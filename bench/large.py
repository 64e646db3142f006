"""Scans of what is large: a chain of 100,000 modules, a Llama of 405 billion parameters."""

from __future__ import annotations

import gc
import time
from pathlib import Path

import torch
from torch import nn

import bopscount

CHAIN_SIZES = (10**3, 10**4, 10**5)
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


def measure_chain(rounds: int) -> list[dict[str, float]]:
    """Scans of one nn.Sequential's first 10^3, 10^4 and all 10^5 modules.

    Beside them a loop that reads what a scan must read of each module, in turns: what both
    lose with size is the caches' doing.
    """
    with torch.device("meta"):
        chain = nn.Sequential(*(nn.Linear(WIDTH, WIDTH) for _ in range(CHAIN_SIZES[-1])))
    rows = []
    for size in CHAIN_SIZES:
        part = chain[:size]
        times, bare_times = [], []
        for _ in range(rounds):
            start = time.perf_counter()
            totals = bopscount.scan(part, (WIDTH,))
            scanned = time.perf_counter()
            for module in part:
                read(module)
            times.append(scanned - start)
            bare_times.append(time.perf_counter() - scanned)
        assert totals.macs == size * WIDTH * WIDTH
        rows.append(
            {
                "modules": size,
                "ms": min(times) * 1e3,
                "us_per_module": min(times) / size * 1e6,
                "bare_us_per_module": min(bare_times) / size * 1e6,
            }
        )
    return rows


def read(module: nn.Module) -> None:
    """Parameters with their flags, hooks, buffers and attributes."""
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


def measure_llama(rounds: int) -> dict[str, object]:
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
    results: dict[str, object] = {"expected_macs": llama_macs(LLAMA_TOKENS)}
    for name, ids in kinds.items():
        bopscount.scan(small_model, inputs={"input_ids": ids[:, :64]})
        gc.collect()
        before = _reset_peak()
        times = []
        first_peak = None
        for _ in range(rounds):
            start = time.perf_counter()
            totals = bopscount.scan(model, inputs={"input_ids": ids})
            times.append(time.perf_counter() - start)
            first_peak = _peak() if first_peak is None else first_peak
        results[name] = {
            "seconds": min(times),
            "first_seconds": times[0],
            "megabytes": (first_peak - before) / 1e6,
            "macs": totals.macs,
            "params": totals.params,
            "macs_agree": totals.macs == results["expected_macs"],
        }
    table = bopscount.trace(model, inputs={"input_ids": kinds["ids on meta"]})
    results["records"] = len(table)
    return results


def _status(field: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field):
            return int(line.split()[1]) * 1024
    raise KeyError(field)


def _reset_peak() -> int:
    """Resident bytes now; the peak starts again from here (Linux)."""
    Path("/proc/self/clear_refs").write_text("5")
    return _status("VmRSS:")


def _peak() -> int:
    return _status("VmHWM:")
