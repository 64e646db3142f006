"""Inputs for the transformers models whose config and signature do not tell them."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch

from corpus.input_parts import (
    N_DECODER_TOKENS,
    N_FRAMES,
    N_SAMPLES,
    N_TOKENS,
    floats,
    mel_bins,
    ones,
)

if TYPE_CHECKING:
    from corpus.transformer_inputs import Builder


def _time_series(builder: Builder) -> dict[str, Any]:
    config = builder.config
    length = config.context_length + max(config.lags_sequence)
    features = config.num_time_features
    return {
        "past_values": floats(1, length),
        "past_time_features": floats(1, length, features),
        "past_observed_mask": floats(1, length),
        "future_values": floats(1, config.prediction_length),
        "future_time_features": floats(1, config.prediction_length, features),
    }


def _flat_patches(builder: Builder, **more: Any) -> dict[str, Any]:
    vision = builder.vision
    n_patches = getattr(vision, "num_patches", 256)
    side = math.isqrt(n_patches)
    return {
        **more,
        "pixel_values": floats(1, side * side, 3 * vision.patch_size**2),
        "pixel_attention_mask": ones(1, side * side),
        "spatial_shapes": torch.tensor([[side, side]]),
    }


def _decision(builder: Builder) -> dict[str, Any]:
    config = builder.config
    return {
        "states": floats(1, N_TOKENS, config.state_dim),
        "actions": floats(1, N_TOKENS, config.act_dim),
        "rewards": floats(1, N_TOKENS, 1),
        "returns_to_go": floats(1, N_TOKENS, 1),
        "timesteps": torch.arange(N_TOKENS)[None],
        "attention_mask": ones(1, N_TOKENS),
    }


def _target_sizes(builder: Builder) -> dict[str, Any]:
    patch = builder.config.patch_size
    return {
        "pixel_values": floats(1, 3, patch, 256 * patch),
        "target_sizes": torch.tensor([[16, 16]]),
    }


SPECIAL: dict[str, Callable[[Builder], dict[str, Any]]] = {
    "autoformer": _time_series,
    "informer": _time_series,
    "time_series_transformer": _time_series,
    "decision_transformer": _decision,
    "siglip2": lambda b: _flat_patches(b, input_ids=b.ids(64)),
    "siglip2_vision_model": _flat_patches,
    "dia": lambda b: {
        "input_ids": b.ids(),
        "decoder_input_ids": b.ids(N_DECODER_TOKENS)[..., None].expand(1, -1, 9).contiguous(),
    },
    "perceiver": lambda b: {"inputs": floats(1, N_TOKENS, b.config.d_model)},
    "lxmert": lambda b: {
        "input_ids": b.ids(),
        "visual_feats": floats(1, 36, b.config.visual_feat_dim),
        "visual_pos": floats(1, 36, 4),
    },
    "visual_bert": lambda b: {
        "input_ids": b.ids(),
        "visual_embeds": floats(1, 36, b.config.visual_embedding_dim),
    },
    "layoutlmv2": lambda b: {
        "input_ids": b.ids(),
        "bbox": b.value("bbox"),
        "image": floats(1, 3, 224, 224),
    },
    "seggpt": lambda b: {
        "pixel_values": floats(1, 3, 448, 448),
        "prompt_pixel_values": floats(1, 3, 448, 448),
        "prompt_masks": floats(1, 3, 448, 448),
    },
    "speecht5": lambda b: {
        "input_values": floats(1, N_FRAMES, b.config.hidden_size),
        "decoder_input_values": floats(1, N_DECODER_TOKENS, b.config.hidden_size),
    },
    "timesfm": lambda b: {
        "past_values": floats(1, b.config.context_length),
        "past_values_padding": torch.zeros(1, b.config.context_length, dtype=torch.int64),
        "freq": torch.zeros(1, 1, dtype=torch.int64),
    },
    "blip_2_qformer": lambda b: {
        "query_embeds": floats(1, 32, b.config.hidden_size),
        "encoder_hidden_states": floats(1, 257, b.config.encoder_hidden_size),
    },
    "mllama": lambda b: {"input_ids": b.ids()},
    "univnet": lambda b: {"input_features": floats(1, 128, b.config.num_mel_bins)},
    "fastspeech2_conformer_hifigan": lambda b: {
        "spectrogram": floats(1, 128, b.config.model_in_dim)
    },
    "markuplm": lambda b: {"input_ids": b.ids()},
    "reformer": lambda b: {"input_ids": b.ids(64)},
    "pix2struct": lambda b: {"input_ids": b.ids()},
    "phi4_multimodal": lambda b: {"input_ids": b.ids()},
    "oneformer": lambda b: {"pixel_values": floats(1, 3, 512, 512), "task_inputs": b.ids(77)},
    "clap": lambda b: {"input_ids": b.ids(), "input_features": floats(1, 1, 1001, 64)},
    "clvp": lambda b: {"input_ids": b.ids(), "input_features": floats(1, 80, 500)},
    "omdet-turbo": lambda b: {
        "pixel_values": floats(1, 3, 640, 640),
        "classes_input_ids": b.ids(77, (2,)),
        "classes_attention_mask": ones(2, 77),
        "tasks_input_ids": b.ids(77),
        "tasks_attention_mask": ones(1, 77),
        "classes_structure": torch.tensor([2]),
    },
    "efficientnet": lambda b: {"pixel_values": b.image()},
    "instructblipvideo": lambda b: {
        "pixel_values": b.image(1, 4),
        "input_ids": b.around(b.config.video_token_index, 4 * b.config.num_query_tokens),
        "qformer_input_ids": b.ids(),
    },
    "instructblip": lambda b: {
        "pixel_values": b.image(),
        "input_ids": b.around(b.config.image_token_index, b.config.num_query_tokens),
        "qformer_input_ids": b.ids(),
    },
    "blip-2": lambda b: {
        "pixel_values": b.image(),
        "input_ids": b.around(b.config.image_token_index, b.config.num_query_tokens),
    },
    "florence2": lambda b: {
        "pixel_values": floats(1, 3, 768, 768),
        "input_ids": b.around(b.config.image_token_id, 577),
        "decoder_input_ids": b.ids(N_DECODER_TOKENS),
    },
    "idefics": lambda b: {
        "input_ids": b.ids(),
        "pixel_values": b.image(1, 1),
        "image_attention_mask": ones(1, N_TOKENS, 1),
    },
    "kosmos-2": lambda b: {
        "pixel_values": b.image(),
        "input_ids": b.ids(96),
        "image_embeds_position_mask": (torch.arange(96) < b.config.latent_query_num).long()[None],
    },
    "kyutai_speech_to_text": lambda b: {
        "input_ids": b.ids()[..., None].expand(1, -1, b.config.num_codebooks + 1).contiguous()
    },
    "tvp": lambda b: {"input_ids": b.ids(), "pixel_values": floats(1, 48, 3, 448, 448)},
    "owlvit": lambda b: {"input_ids": b.ids(16), "pixel_values": b.image()},
    "owlv2": lambda b: {"input_ids": b.ids(16), "pixel_values": b.image()},
    "qwen3_asr_encoder": lambda b: {
        "input_features": floats(1, b.config.num_mel_bins, 400),
        "input_features_mask": ones(1, 400),
    },
    "fun_asr_nano_encoder": lambda b: {
        "input_features": floats(1, N_FRAMES, 560),
        "input_features_mask": ones(1, N_FRAMES),
    },
    "inkling2_vision": lambda b: {
        "pixel_values": floats(64, *(b.config.patch_size * b.config.spatial_merge_size,) * 2, 3),
        "image_grid_thw": torch.tensor([[1, 8, 8]]),
    },
    "muse_glimmer_assistant": lambda b: {
        "noise_embeds": floats(1, N_TOKENS, b.config.hidden_size),
        "context_hidden_states": floats(1, N_TOKENS, b.model.encoder.fc.in_features),
    },
    "musicgen_decoder": lambda b: {"input_ids": b.ids(lead=(b.config.num_codebooks,))},
    "musicgen_melody_decoder": lambda b: {"input_ids": b.ids(lead=(b.config.num_codebooks,))},
    "muse_spark_audio": lambda b: {"input_values": floats(1, 19_200)},
    "pe_audio": lambda b: {"input_ids": b.ids(), "input_values": floats(1, 1, 19_200)},
    "pe_audio_video": lambda b: {"input_ids": b.ids(), "input_values": floats(1, 1, 19_200)},
    "pe_audio_video_encoder": lambda b: {
        "input_values": floats(1, 1, 19_200),
        "pixel_values_videos": floats(1, 8, 3, 336, 336),
    },
    "pe_video": lambda b: {
        "input_ids": b.ids(),
        "pixel_values_videos": floats(1, 8, 3, 336, 336),
    },
    "pe_video_encoder": lambda b: {"pixel_values_videos": floats(1, 8, 3, 336, 336)},
    "pi0": lambda b: {
        "input_ids": b.ids(),
        "pixel_values": b.image(1, 1),
        "pixel_attention_mask": ones(1, 1),
        "action_embeds": floats(1, 51, 1024),
    },
    "xcodec": lambda b: {"input_values": floats(1, 1, N_SAMPLES)},
    "encodec": lambda b: {"input_values": floats(1, 1, N_SAMPLES)},
    "mimi": lambda b: {"input_values": floats(1, 1, N_SAMPLES)},
    "mimi_encoder": lambda b: {"input_values": floats(1, 1, N_SAMPLES)},
    "pocket_tts_audio_tokenizer": lambda b: {"input_values": floats(1, 1, N_SAMPLES)},
    "pocket_tts_audio_tokenizer_encoder": lambda b: {"input_values": floats(1, 1, N_SAMPLES)},
    "xcodec2": lambda b: {
        "input_values": floats(1, 1, N_SAMPLES),
        "input_features": floats(1, 50, 160),
    },
    "neucodec": lambda b: {
        "input_values": floats(1, 1, N_SAMPLES),
        "input_features": floats(1, 50, 160),
    },
    "voxtral_realtime": lambda b: {
        "input_ids": b.ids(),
        "input_features": floats(1, mel_bins(b.audio), 8 * N_TOKENS),
    },
    "glm_image_vision": lambda b: {
        "pixel_values": floats(256, 3, 16, 16),
        "grid_thw": torch.tensor([[1, 16, 16]]),
    },
    "minicpm_ocr_vision": _target_sizes,
    "minicpmv4_7_vision": _target_sizes,
    "gemma4_vision": lambda b: {
        "pixel_values": floats(1, 144, 3 * b.config.patch_size**2),
        "pixel_position_ids": torch.cartesian_prod(torch.arange(12), torch.arange(12))[None],
    },
    "gemma4_audio": lambda b: {
        "input_features": floats(1, N_FRAMES, 128),
        "attention_mask": ones(1, N_FRAMES).bool(),
    },
}
