"""What inputs of transformers models are made of: sizes that configs tell, plain tensors."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

N_TOKENS, N_DECODER_TOKENS, N_FRAMES, N_SAMPLES = 32, 16, 256, 16_000
PLACEHOLDER = 3
"""A token id that no text of ours has."""
SUB_CONFIGS = (
    "text_config", "vision_config", "audio_config", "encoder", "decoder", "thinker_config",
    "encoder_config", "decoder_config", "backbone_config", "speech_encoder_config",
    "qformer_config", "llm_config", "language_config", "acoustic_tokenizer_config",
)  # fmt: skip


def find(config: Any, *names: str, default: Any = None) -> Any:
    """The first of the names that the config, else one of its sub-configs, has."""
    configs = [config, *(getattr(config, name, None) for name in SUB_CONFIGS)]
    for candidate in configs:
        for name in names:
            value = candidate.get(name) if isinstance(candidate, dict) else None
            value = getattr(candidate, name, value) if candidate is not None else None
            if value is not None:
                return value
    return default


def image_size(config: Any) -> tuple[int, int]:
    size = find(config, "image_size", "img_size", "input_size", default=224)
    if isinstance(size, dict):
        size = (size["height"], size["width"])
    if isinstance(size, (list, tuple)):
        return (int(size[-2]), int(size[-1])) if len(size) > 1 else (int(size[0]),) * 2
    return int(size), int(size)


def mel_bins(config: Any) -> int:
    per_channel = find(config, "input_feat_per_channel")
    if per_channel and not find(config, "num_mel_bins"):
        return int(per_channel * (find(config, "input_channels") or 1))
    names = (
        "num_mel_bins", "n_mels", "feature_size", "feature_projection_input_dim", "mel_bins",
        "n_mel_channels", "input_feat_size", "input_dim",
    )  # fmt: skip
    return int(find(config, *names, default=80))


def floats(*shape: int) -> Tensor:
    return torch.empty(*shape, device="meta")


def ones(*shape: int) -> Tensor:
    return torch.ones(*shape, dtype=torch.int64)
