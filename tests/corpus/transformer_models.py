"""transformers models from default configs, completed where those build nothing that runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import transformers
from torch import nn

from corpus.input_parts import PLACEHOLDER

DEPTHS = (
    "num_hidden_layers", "num_layers", "n_layer", "n_layers", "depth", "encoder_layers",
    "decoder_layers", "num_encoder_layers", "num_decoder_layers", "encoder_num_hidden_layers",
    "decoder_num_hidden_layers", "num_dense_layers", "first_k_dense_replace",
)  # fmt: skip

FEW_EXPERTS, WORDS = 16, 2000


def names() -> list[str]:
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING
    from transformers.models.auto.modeling_auto import MODEL_MAPPING_NAMES

    return sorted(name for name in MODEL_MAPPING_NAMES if name in CONFIG_MAPPING)


def build(name: str, layers: int | None = None) -> tuple[nn.Module, Any]:
    """The model and its config.

    Args:
        name: A model type.
        layers: At most so many layers of each kind, where the default has more.
    """
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
    config = COMPLETED[name](config) if name in COMPLETED else config
    if layers is not None:
        shorten(config, layers)
    try:
        model = model_class(config)
    except Exception:
        fill_gaps(config)
        model = model_class(config)
    return model.eval().requires_grad_(False), config


def parts(config: Any) -> Iterator[Any]:
    """A config and those inside it."""
    yield config
    for part in list(vars(config).values()):
        if hasattr(part, "to_dict"):
            yield from parts(part)


def shorten(config: Any, layers: int) -> None:
    """At most so many layers everywhere; what is listed by layer keeps its first and last.

    Of experts 16 stay, and of the words of a model of text alone 2,000, also of hashed ones:
    neither changes what a token costs.
    """
    alone = len(list(parts(config))) == 1
    for part in parts(config):
        if isinstance(getattr(part, "encoder_hash_byte_group_vocab", None), int):
            part.encoder_hash_byte_group_vocab = WORDS
        for name in ("num_experts", "num_local_experts", "n_routed_experts", "moe_num_experts"):
            number = getattr(part, name, None)
            if isinstance(number, int) and number > FEW_EXPERTS:
                with suppress(Exception):
                    setattr(part, name, FEW_EXPERTS)
        if alone and isinstance(getattr(part, "vocab_size", None), int) and part.vocab_size > WORDS:
            part.vocab_size = WORDS
            if isinstance(getattr(part, "pad_token_id", None), int):
                part.pad_token_id = min(part.pad_token_id, WORDS - 1)
        for name in DEPTHS:
            depth = getattr(part, name, None)
            if not isinstance(depth, int) or isinstance(depth, bool) or depth <= layers:
                continue
            kept = 1 if name in ("num_dense_layers", "first_k_dense_replace") else layers
            with suppress(Exception):  # a part that allows none
                setattr(part, name, kept)
            for key, value in list(vars(part).items()):
                if not isinstance(value, (list, tuple)) or not value:
                    continue
                if len(value) == depth:
                    setattr(part, key, [*value[: layers - 1], value[-1]])
                elif key.endswith(("indexes", "indices")) and max(value) >= layers:
                    setattr(part, key, [layers - 1])


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
        known = isinstance(heads, int) and isinstance(width, int) and heads > 0
        usual = {
            "prediction_length": 24,
            "context_length": 48,
            "vocab_size": 1000,
            "pad_token_id": 1,
            "num_key_value_heads": heads,
            "head_dim": width // heads if known else None,
        }
        for name, value in usual.items():
            with suppress(Exception):  # a part that allows no such size
                if value is not None and getattr(part, name, value) is None:
                    setattr(part, name, value)


# --- what the defaults of single types lack -----------------------------------


def _with(*path: str, **values: Any) -> Callable[[Any], Any]:
    """Sets values on a config, or on the part of it at `path`."""

    def complete(config: Any) -> Any:
        part = config
        for name in path:
            part = getattr(part, name)
        for name, value in values.items():
            setattr(part, name, value)
        return config

    return complete


def _rope(*path: str, **values: Any) -> Callable[[Any], Any]:
    """Sets parameters of the rotary embedding."""

    def complete(config: Any) -> Any:
        part = config
        for name in path:
            part = getattr(part, name)
        part.rope_parameters = {**(part.rope_parameters or {}), **values}
        return config

    return complete


def _both(*steps: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def complete(config: Any) -> Any:
        for step in steps:
            config = step(config)
        return config

    return complete


def _rope_of_each_kind(config: Any) -> Any:
    usual = {"rope_type": "default", "rope_theta": 10_000.0}
    for part in parts(config):
        if getattr(part, "layer_types", None):
            part.rope_parameters = {kind: dict(usual) for kind in set(part.layer_types)}
    return config


def _dense_then_sparse(config: Any) -> Any:
    for part in parts(config):
        if hasattr(part, "mlp_layer_types"):
            part.mlp_layer_types = ["dense", *["sparse"] * (part.num_hidden_layers - 1)]
    return config


def _convolutions_and_attention(config: Any) -> Any:
    kinds = ["conv", "conv", "full_attention", "conv"]
    config.layer_types = [kinds[i % 4] for i in range(config.num_hidden_layers)]
    return config


def _one_scale(config: Any) -> Any:
    config.projector_scale_factors = [1.0]
    config.projector_in_channels = [config.d_model]
    config.num_feature_levels = 1
    return config


def _all_stages(config: Any) -> Any:
    backbone = config.backbone_config
    backbone.out_features = backbone.stage_names[1:]
    return config


_partial = {"partial_rotary_factor": 0.5}
_indexer = _with(
    indexer_n_heads=4, indexer_kv_heads=1, indexer_head_dim=256, indexer_budget=64,
    indexer_compress_ratio=16,
)  # fmt: skip

COMPLETED: dict[str, Callable[[Any], Any]] = {
    "aya_vision": _with("vision_config", num_attention_heads=16),
    "chameleon": _with(vocabulary_map={"<image>": PLACEHOLDER}),
    "emu3": _with(vocabulary_map={"<image>": PLACEHOLDER, "<|extra_200|>": 4}),
    "cohere_compass": _rope_of_each_kind,
    "cohere_compass_text": _rope_of_each_kind,
    "dbrx": _with("attn_config", rope_theta=10_000.0),
    "deepseek_ocr2": _dense_then_sparse,
    "deepseek_v2": _with(num_experts_per_tok=6, moe_intermediate_size=1408),
    "diffusion_gemma": _with(
        "text_config", num_experts=16, top_k_experts=4, moe_intermediate_size=704
    ),
    "dots1": _with(n_routed_experts=128, num_experts_per_tok=6, n_shared_experts=2),
    "edgetam": _with("vision_config", "backbone_config", architecture="repvit_m1"),
    "edgetam_vision_model": _with("backbone_config", architecture="repvit_m1"),
    "glm4v": _rope("text_config", **_partial),
    "glm46v": _rope("text_config", **_partial),
    "glmga": _rope("text_config", **_partial),
    "glm4v_text": _rope(**_partial),
    "glm_image_text": _rope(**_partial),
    "glm4v_moe": _both(_with("text_config", head_dim=128), _rope("text_config", **_partial)),
    "glm4v_moe_text": _both(_with(head_dim=128), _rope(**_partial)),
    "granite4_vision": _with(deepstack_layer_map=[[-1, 0]], downsample_rate="1/2"),
    "hunyuan_vl": _rope("text_config", mrope_section=[16, 16, 16, 16]),
    "hunyuan_vl_text": _rope(mrope_section=[16, 16, 16, 16]),
    "instructblip": _with(image_token_index=PLACEHOLDER),
    "instructblipvideo": _with(video_token_index=PLACEHOLDER),
    "lw_detr": _one_scale,
    "lfm2_moe": _convolutions_and_attention,
    "moonshine_streaming": _with(num_key_value_heads=8),
    "musicgen": lambda config: config.decoder,
    "musicgen_melody": lambda config: config.decoder,
    "perception_lm": _with(
        "vision_config",
        architecture="vit_pe_core_large_patch14_336",
        model_args={"embed_dim": 1024, "img_size": [448, 448], "global_pool": ""},
    ),
    "qwen3_omni_moe_thinker": _with("text_config", head_dim=128),
    "qwen4_exp": lambda config: (_indexer(config.text_config), config)[1],
    "qwen4_exp_text": _indexer,
    "step3p7": _with("text_config", sliding_window=512),
    "t5gemma2_encoder": _with("text_config", dropout_rate=0.0),
    "timm_backbone": _with(backbone="resnet18"),
    "uvdoc": _all_stages,
    "xmod": _with(default_language="en_XX"),
}
"""Model type -> its config with what the default lacks, or has wrong."""
