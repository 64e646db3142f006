"""Images and sound beside text, with as many places in the text as the model makes features."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

import bopscount
from bopscount.tracing.inputs import tensors_of
from corpus.input_parts import floats

if TYPE_CHECKING:
    from corpus.transformer_inputs import Builder


UNUSED = 2
"""A token that is no placeholder, and in no text of ours."""


@dataclass(frozen=True)
class Modality:
    """What a kind of input is called in configs and models."""

    name: str
    getter: str
    tokens: tuple[str, ...]


IMAGE = Modality(
    "image", "get_image_features", ("image_token_id", "image_token_index", "im_patch_id")
)
AUDIO = Modality("audio", "get_audio_features", ("audio_token_id", "audio_token_index"))


class Notes:
    """Keeps what a trace would put back on a module."""

    shapes: tuple[tuple[int, ...], ...] = ()


class Features(nn.Module):
    """A model's method as a forward; notes the sizes of what it gives."""

    def __init__(self, model: nn.Module, getter: str) -> None:
        super().__init__()
        self.model, self.getter = model, getter
        self.notes = Notes()

    def forward(self, **inputs: Any) -> Any:
        given = getattr(self.model, self.getter)(**inputs)
        features = getattr(given, "pooler_output", None)
        if features is None:
            features = getattr(given, "last_hidden_state", given)
        self.notes.shapes = tuple(tuple(tensor.shape) for tensor in tensors_of(features))
        return features


def places(model: nn.Module, modality: Modality, inputs: dict[str, Any]) -> int:
    """How many tokens such inputs become; 0 if they do not fit the model."""
    probe = Features(model, modality.getter)
    notes = probe.notes
    with suppress(Exception):
        bopscount.trace(probe, inputs=inputs, run="never")
    return sum(torch.Size(shape[:-1]).numel() for shape in notes.shapes)


def images(builder: Builder) -> Iterator[dict[str, Any]]:
    """An image in the layouts that models know: as patches, whole, of a list, in tiles."""
    names = builder.names
    if "pixel_values" not in names:
        return
    if "image_grid_thw" in names or "image_grid_hw" in names:
        width, merge = builder.patches()
        side = 8 * max(1, merge)
        patch = builder.patch_side()
        grid: dict[str, Tensor] = {}
        if "image_grid_thw" in names:
            grid["image_grid_thw"] = torch.tensor([[1, side, side]])
        else:
            grid["image_grid_hw"] = torch.tensor([[side, side]])
        for shape in ((width,), (3, patch, patch), (3 * patch**2,)):
            yield {"pixel_values": floats(side * side, *shape), **grid}
        return
    if "image_position_ids" in names:
        patch = builder.patch_side()
        at = torch.cartesian_prod(torch.arange(12), torch.arange(12))[None]
        yield {"pixel_values": floats(1, 144, 3 * patch**2), "image_position_ids": at}
    whole = builder.image()
    height, width = whole.shape[-2:]
    for lead in ((1,), (1, 1), (1, 2), (1, 3), (1, 5)):
        made: dict[str, Any] = {"pixel_values": builder.image(*lead)}
        if "image_sizes" in names:
            made["image_sizes"] = torch.tensor([[height, width]])
        if "batch_num_images" in names:
            made["batch_num_images"] = torch.tensor([1])
        yield made
        if "pixel_attention_mask" in names:
            yield {**made, "pixel_attention_mask": torch.ones(*lead, height, width).bool()}


def sounds(builder: Builder) -> Iterator[dict[str, Any]]:
    """Sound as features, time first or last, with its mask where one is asked for."""
    for name in ("input_features", "input_values"):
        if name not in builder.names:
            continue
        masks = [n for n in builder.names if "mask" in n and ("feature" in n or "padding" in n)]
        for value in builder.sound_shapes(name):
            for length in sorted(value.shape[1:], reverse=True):  # time is the longer
                mask = {masks[0]: torch.ones(1, length, dtype=torch.bool)} if masks else {}
                yield {name: value, **mask}
                if not masks:
                    break


def beside_text(builder: Builder, text: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Calls with text and all that the model takes beside it; then with one kind each."""
    found = []
    for modality, ways in ((IMAGE, images), (AUDIO, sounds)):
        if not hasattr(builder.model, modality.getter):
            continue
        token = builder.token(*modality.tokens)
        if token is None:
            continue
        for inputs in ways(builder):
            number = places(builder.model, modality, _known(builder.model, modality, inputs))
            if 0 < number < 20_000:
                found.append((modality, inputs, token, number))
                break
    for chosen in [found, *([part] for part in found if len(found) > 1)]:
        if not chosen:
            continue
        placeholders = torch.tensor([token for _, _, token, _ in chosen])
        words = text["input_ids"]
        words = words.masked_fill(torch.isin(words, placeholders), UNUSED)
        call = dict(text)
        pieces, kinds = [words], [torch.zeros_like(words)]
        for modality, inputs, token, number in chosen:
            call.update(inputs)
            pieces += [torch.full((1, number), token), words]
            kind = 1 if modality is IMAGE else 3
            kinds += [torch.full((1, number), kind), torch.zeros_like(words)]
        call["input_ids"] = torch.cat(pieces, 1)
        if "mm_token_type_ids" in builder.names:
            call["mm_token_type_ids"] = torch.cat(kinds, 1)
        yield call
        if "attention_mask" in builder.names:
            yield {**call, "attention_mask": torch.ones_like(call["input_ids"])}


def _known(model: nn.Module, modality: Modality, inputs: dict[str, Any]) -> dict[str, Any]:
    """Those that the getter takes."""
    function = inspect.unwrap(getattr(type(model), modality.getter))
    parameters = inspect.signature(function).parameters
    return {name: value for name, value in inputs.items() if name in parameters}
