"""Inputs for transformers models, guessed from the config and forward's signature."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from corpus.input_parts import (
    N_DECODER_TOKENS,
    N_FRAMES,
    N_SAMPLES,
    N_TOKENS,
    PLACEHOLDER,
    find,
    floats,
    image_size,
    mel_bins,
    ones,
)
from corpus.multimodal_inputs import beside_text
from corpus.special_inputs import SPECIAL

ALWAYS_REAL = (
    "grid_thw", "image_grid_thw", "video_grid_thw", "image_grid_hw", "spatial_shapes",
    "image_sizes", "target_sizes", "merge_sizes", "image_grids", "image_num_crops",
    "audio_feature_lengths", "num_local_patches", "chunk_sample_lengths",
)  # fmt: skip
"""Sizes: forward reads them as numbers whatever the device."""


class Builder:
    """Tensors for one model, floats on meta, integers real."""

    def __init__(self, model: nn.Module, config: Any) -> None:
        self.model = model
        self.config = config
        self.type = config.model_type
        self.vision = getattr(config, "vision_config", None) or config
        self.audio = getattr(config, "audio_config", None) or config
        self.text = getattr(config, "text_config", None) or config
        self.main = getattr(model, "main_input_name", None) or "input_ids"
        parameters = inspect.signature(model.forward).parameters.values()
        self.names = [p.name for p in parameters]
        plain = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
        self.required = [p.name for p in parameters if p.default is p.empty and p.kind in plain]

    def ids(self, length: int = N_TOKENS, lead: tuple[int, ...] = (1,)) -> Tensor:
        vocabulary = find(self.text, "vocab_size", default=1000)
        usable = max(1, min(vocabulary, 1000) - 10) if isinstance(vocabulary, int) else 900
        ids = 5 + torch.arange(length) % usable
        return ids.clamp(max=max(1, usable + 4)).expand(*lead, length).contiguous()

    def image(self, *lead: int) -> Tensor:
        channels = find(self.vision, "num_channels", "in_channels", "in_chans", default=3)
        channels = channels if isinstance(channels, int) else 3
        return floats(*(lead or (1,)), channels, *image_size(self.vision))

    def video(self) -> Tensor:
        frames = find(self.vision, "num_frames", "frames_per_clip", "tubelet_size", default=8)
        frames = frames[0] if isinstance(frames, (list, tuple)) else frames
        return self.image(1, int(frames))

    def patch_side(self) -> int:
        patch = find(self.vision, "patch_size", default=14)
        return int(patch[-1] if isinstance(patch, (list, tuple)) else patch)

    def token(self, *names: str) -> int | None:
        """The id of a placeholder; one is given to configs that leave it open."""
        token = find(self.config, *names)
        if token is None:
            for name in names:
                if hasattr(self.config, name):
                    setattr(self.config, name, PLACEHOLDER)
                    return PLACEHOLDER
        return token if isinstance(token, int) else None

    def sound_shapes(self, name: str) -> Iterator[Tensor]:
        """Sound of a second or two, or of the length that the model wants."""
        yield from self._shapes(name)
        mel = mel_bins(self.audio)
        for width in (mel, 128, 160):
            yield floats(1, N_FRAMES, width)
            yield floats(1, width, N_FRAMES)

    def patches(self) -> tuple[int, int]:
        """How wide a flattened patch is, how many merge into one token (per side)."""
        patch = self.patch_side()
        time = find(self.vision, "temporal_patch_size", "patch_temporal", default=1) or 1
        channels = find(self.vision, "in_channels", "in_chans", "num_channels", default=3)
        merge = find(self.vision, "spatial_merge_size", default=2)
        return int(channels * time * patch**2), int(merge)

    def value(self, name: str) -> Any:
        """What goes in for a parameter of forward; None if nobody knows."""
        config = self.config
        width, merge = self.patches()
        side = 8 * max(1, merge)
        makers: dict[str, Callable[[], Any]] = {
            "input_ids": self.ids,
            "decoder_input_ids": lambda: self.ids(N_DECODER_TOKENS),
            "attention_mask": lambda: ones(1, N_TOKENS),
            "pixel_values": self.image,
            "pixel_values_videos": self.video,
            "input_values": lambda: floats(1, N_SAMPLES),
            "input_features": lambda: floats(1, N_FRAMES, mel_bins(self.audio)),
            "input_features_mask": lambda: ones(1, N_FRAMES).bool(),
            "bbox": lambda: torch.arange(4).mul(8).expand(1, N_TOKENS, 4).contiguous(),
            "hidden_states": lambda: floats(side * side, width),
            "grid_thw": lambda: torch.tensor([[1, side, side]]),
            "merge_sizes": lambda: torch.tensor([1]),
            "past_values": self.past_values,
            "qformer_input_ids": self.ids,
            "query_embeds": lambda: floats(1, 32, config.hidden_size),
            "latents": lambda: floats(1, 64, config.hidden_size),
            "input": self.image,
            "inputs_embeds": lambda: floats(1, N_TOKENS, config.hidden_size),
            "audio_mel": lambda: floats(1, N_FRAMES, mel_bins(config)),
            "audio_mel_mask": lambda: torch.zeros(1, N_FRAMES, dtype=torch.bool),
            "noise_embeds": lambda: floats(1, N_TOKENS, config.hidden_size),
            "context_hidden_states": lambda: floats(1, N_TOKENS, config.hidden_size),
            "image_grid_thw": lambda: torch.tensor([[1, side, side]]),
            "token_type_ids": lambda: torch.zeros(1, N_TOKENS, dtype=torch.int64),
        }
        maker = makers.get(name)
        return None if maker is None else maker()

    def past_values(self) -> Tensor:
        length = find(self.config, "context_length", default=64)
        lags = getattr(self.config, "lags_sequence", None)
        if lags:
            return floats(1, length + max(lags))
        channels = find(self.config, "num_input_channels", default=1)
        return floats(1, length, channels)

    def default(self) -> dict[str, Any]:
        """Main and required inputs."""
        main = self.main if isinstance(self.main, (list, tuple)) else [self.main]
        wanted = dict.fromkeys([*main, *self.required])
        if getattr(self.config, "is_encoder_decoder", False) and "decoder_input_ids" in self.names:
            wanted["decoder_input_ids"] = None
        if "bbox" in self.names:
            wanted["bbox"] = None
        made = {}
        for name in wanted:
            if name in self.names:
                with suppress(Exception):  # a config without what its kin have
                    made[name] = self.value(name)
        return {name: value for name, value in made.items() if value is not None}

    def candidates(self) -> list[dict[str, Any]]:
        """Ways to call forward, the fullest first."""
        base = self.default()
        ways = (
            self._special,
            partial(self._flat, base),
            partial(self._multimodal, base),
            lambda: iter([base]),
            partial(self._other_shapes, base),
            partial(self._with_mask, base),
            partial(self._without_cache, base),
        )
        found: list[dict[str, Any]] = []
        for way in ways:
            with suppress(Exception):
                for call in way():
                    found.append(call)
        return [call for call in found if call]

    def _special(self) -> Iterator[dict[str, Any]]:
        if self.type in SPECIAL:
            yield SPECIAL[self.type](self)

    def _flat(self, base: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """Patches of an image as rows: vision towers of the Qwen kind."""
        grid = next((name for name in ("grid_thw", "image_grid_thw") if name in base), None)
        if grid is None or "pixel_values" not in base or "input_ids" in self.names:
            return
        width, merge = self.patches()
        side = 8 * max(1, merge)
        patch = self.patch_side()
        rows = side * side
        for shape in (
            (rows, width),
            (1, rows, width),
            (rows, 3, patch, patch),
            (rows, 3 * patch**2),
        ):
            yield {**base, "pixel_values": floats(*shape)}

    def _with_mask(self, base: dict[str, Any]) -> Iterator[dict[str, Any]]:
        if "attention_mask" in self.names and "input_ids" in base:
            yield {**base, "attention_mask": ones(*base["input_ids"].shape[:2])}

    def _without_cache(self, base: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """Default configs of some hybrids do not suit transformers' caches."""
        if "use_cache" in self.names:
            yield {**base, "use_cache": False}

    def _multimodal(self, base: dict[str, Any]) -> Iterator[dict[str, Any]]:
        has_text = "input_ids" in self.names
        if not has_text:
            return
        text = {**base, "input_ids": self.ids()}
        yield from beside_text(self, text)
        yield from self._with_placeholders(text)
        for name in ("pixel_values", "input_features", "input_values"):
            if name not in self.names or name in base:
                continue
            for value in self._shapes(name):
                yield {**text, name: value}
        if self.main != "input_ids" and "input_ids" not in base:
            yield text

    def _with_placeholders(self, text: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """Text with as many image tokens as the image becomes."""
        token = find(self.config, "image_token_id", "image_token_index", "boi_token_id")
        if "pixel_values" not in self.names or not isinstance(token, int):
            return
        if "image_grid_thw" in self.names:
            width, merge = self.patches()
            side = 8 * max(1, merge)
            tokens = (side // max(1, merge)) ** 2
            call = {
                **text,
                "input_ids": self.around(token, tokens),
                "pixel_values": floats(side * side, width),
                "image_grid_thw": torch.tensor([[1, side, side]]),
            }
            if "mm_token_type_ids" in self.names:
                call["mm_token_type_ids"] = (call["input_ids"] == token).long()
            yield call
            return
        counts = [find(self.config, "image_seq_length", "mm_tokens_per_image", "image_seq_len")]
        patch = find(self.vision, "patch_size")
        if isinstance(patch, int):
            height, width = image_size(self.vision)
            n_patches = (height // patch) * (width // patch)
            ratio = find(self.config, "downsample_ratio", default=0.5)
            ratio = ratio if isinstance(ratio, (int, float)) and 0 < ratio <= 1 else 0.5
            counts += [n_patches, int(n_patches * ratio**2)]
        for tokens in dict.fromkeys(n for n in counts if isinstance(n, int) and 0 < n < 5000):
            yield {**text, "input_ids": self.around(token, tokens), "pixel_values": self.image()}

    def around(self, token: int, number: int) -> Tensor:
        """Text with `number` placeholder tokens in its middle."""
        words = self.ids(8)[0]
        return torch.cat([words, torch.full((number,), token), words])[None]

    def _shapes(self, name: str) -> Iterator[Tensor]:
        mel = mel_bins(self.audio)
        if name == "pixel_values":
            yield self.image()
            yield self.video()
        elif name == "input_values":
            yield floats(1, N_SAMPLES)
            yield floats(1, 1, N_SAMPLES)
            length = find(self.audio, "max_length", default=1024)
            yield floats(1, int(length), mel)
        elif name == "input_features":
            positions = find(self.audio, "max_source_positions", default=1500)
            yield floats(1, N_FRAMES, mel)
            yield floats(1, mel, 2 * int(positions))
            yield floats(1, 1, int(find(self.audio, "spec_size", default=1001)), mel)

    def _other_shapes(self, base: dict[str, Any]) -> Iterator[dict[str, Any]]:
        if "past_values" in base:
            yield {**base, "past_values": floats(*base["past_values"].shape[:2])}
        if "hidden_states" in base:
            yield {**base, "hidden_states": floats(1, 1, N_SAMPLES)}
            hidden = find(self.config, "hidden_size", default=64)
            yield {**base, "hidden_states": floats(1, int(hidden), 64)}
        if "pixel_values" in base:
            yield {**base, "pixel_values": self.video()}
            yield {**base, "pixel_values": self.image(1, 2)}
            for size in (384, 512, 1024, 1536):
                yield {**base, "pixel_values": floats(1, 3, size, size)}
        for name in ("input_values", "input_features"):
            for value in self._shapes(name) if name in base else ():
                yield {**base, name: value}
        features = base.get("input_features")
        if features is not None:
            mask = ones(1, N_FRAMES).bool()
            mel = mel_bins(self.audio)
            name = next((n for n in self.names if n.endswith("features_mask")), "attention_mask")
            if name != "attention_mask":
                for value in self._shapes("input_features"):
                    for length in sorted(value.shape[1:], reverse=True):
                        yield {**base, "input_features": value, name: ones(1, length).bool()}
            widths = (160, 320, 128, 100)
            others = [floats(1, N_FRAMES, width) for width in widths]
            for value in (features, floats(1, mel, N_FRAMES), *others):
                yield {**base, "input_features": value, name: mask}
            for value in others:
                yield {**base, "input_features": value}
