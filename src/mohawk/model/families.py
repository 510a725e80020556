"""A model's config: which class it names, and what we refuse before anything is built from it.

Rules, and the attack each stops:
- Only classes that ship with transformers are built; nothing in a config can name code (C03).
- Layer counts are bounded before the config class sees them, for it builds lists of that length (C04).
- Settings that choose kernels, quantisers or remote files are refused or dropped: some of them fetch code by name.
- Position embeddings must not depend on what else is in the pass: dynamic and long rope stretch every row when one
  sequence grows long, so one user's prompt would change another's answer.
"""

from __future__ import annotations

from typing import Any

from transformers import PretrainedConfig
from transformers.models.auto.configuration_auto import CONFIG_MAPPING
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING
from transformers.utils import logging

from mohawk.artifact.strict_json import parse_object
from mohawk.errors import ArtifactError, UnsupportedModelError
from mohawk.nouns.model import MAXIMUM_LAYERS

PER_LAYER = ("layer_types", "no_rope_layers", "mlp_layer_types")
"""Config lists with one entry per layer."""

_LAYER_COUNTS = ("num_hidden_layers", "n_layer", "n_layers", "num_layers")
_REFUSED = {
    "auto_map": "code of its own",
    "quantization_config": "quantised weights",
    "compression_config": "compressed weights",
    "fusion_config": "fused kernels",
    "kernel_config": "kernels of its own",
    "distributed_config": "a distribution of its own",
}
_DROPPED = (
    "_attn_implementation",
    "attn_implementation",
    "_experts_implementation",
    "experts_implementation",
)
_EXPERTS = ("num_experts", "num_local_experts", "n_routed_experts", "moe_num_experts")
_INHERITED = ("tie_word_embeddings",)
"""What a wrapper may say for its text model, where the text model is silent."""

_LIMIT = 8 << 20
_TOKENS = 1 << 20
_STEADY_ROPE = frozenset({"default", "linear", "llama3", "yarn", "proportional"})


def read_config(data: bytes) -> PretrainedConfig:
    """`config.json` -> transformers' own config object. Raises ArtifactError, UnsupportedModelError."""
    _silence()
    raw = _text_part(data)
    for name in _LAYER_COUNTS:
        count = raw.get(name)
        if count is not None and not (type(count) is int and 1 <= count <= MAXIMUM_LAYERS):
            raise ArtifactError("a config with an impossible number of layers", field=name)
    family = raw.get("model_type")
    if not isinstance(family, str) or family not in CONFIG_MAPPING:
        raise UnsupportedModelError("a model family that transformers does not know", field="model_type")
    for name in _DROPPED:
        raw.pop(name, None)
    config = _build(CONFIG_MAPPING[family], raw)
    _check_structure(config)
    return config


def model_class(config: PretrainedConfig) -> type[Any]:
    """transformers' class for text generation with this config. Raises UnsupportedModelError."""
    if type(config) not in MODEL_FOR_CAUSAL_LM_MAPPING:
        raise UnsupportedModelError("this model family does not generate text", field="model_type")
    found = MODEL_FOR_CAUSAL_LM_MAPPING[type(config)]
    if not isinstance(found, type):
        raise UnsupportedModelError("this model family has several classes", field="model_type")
    return found


def is_sparse(config: PretrainedConfig) -> bool:
    """The model routes rows to experts."""
    return any((getattr(config, name, None) or 0) > 1 for name in _EXPERTS)


def _text_part(data: bytes) -> dict[str, Any]:
    """The text model's settings; a model that also sees wraps them (Gemma 3)."""
    whole: dict[str, Any] = dict(parse_object(data, limit=_LIMIT, tokens=_TOKENS))
    _refuse(whole)
    text = whole.get("text_config")
    if not isinstance(text, dict):
        return whole
    _refuse(text)
    outer = {name: whole[name] for name in _INHERITED if name in whole}
    return {**outer, **text}


def _refuse(settings: dict[str, Any]) -> None:
    for name, what in _REFUSED.items():
        if settings.get(name):
            raise UnsupportedModelError(f"a model that brings {what}", field=name)


def _build(config_class: type[Any], raw: dict[str, Any]) -> PretrainedConfig:
    try:
        return config_class.from_dict(raw)
    except Exception as error:  # another project's parser over a file of any content raises anything
        raise ArtifactError("config.json does not fit its own model family") from error


def _check_structure(config: PretrainedConfig) -> None:
    layers = getattr(config, "num_hidden_layers", None)
    if type(layers) is not int or not 1 <= layers <= MAXIMUM_LAYERS:
        raise ArtifactError("a config with an impossible number of layers", field="num_hidden_layers")
    if config.is_encoder_decoder or config.get_text_config() is not config:
        raise UnsupportedModelError("only models of text alone are served", field="model_type")
    if getattr(config, "use_bidirectional_attention", None) or getattr(config, "add_cross_attention", False):
        raise UnsupportedModelError("only models whose tokens look back are served", field="model_type")
    rope = getattr(config, "rope_parameters", None)
    by_kind = rope if isinstance(rope, dict) and all(isinstance(value, dict) for value in rope.values()) else {"": rope}
    for parameters in by_kind.values():
        if isinstance(parameters, dict) and parameters.get("rope_type", "default") not in _STEADY_ROPE:
            raise UnsupportedModelError("position embeddings that depend on other sequences", field="rope_parameters")


def _silence() -> None:
    """A worker's output is ours: no progress bars, no advice from the library."""
    logging.disable_progress_bar()
    logging.set_verbosity_error()
