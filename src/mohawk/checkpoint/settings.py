"""What config.json and generation_config.json say, bounded and stripped of everything that would run code."""

from __future__ import annotations

import re
from dataclasses import dataclass

from mohawk.artifact.strict_json import JsonObject, JsonValue, parse_object
from mohawk.errors import ArtifactError, UnsupportedModelError
from mohawk.nouns.families import family_table
from mohawk.nouns.model import MAXIMUM_LAYERS

_LIMIT = 8 << 20
_TOKENS = 1 << 20
_MODEL_TYPE = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}", re.ASCII)

_CODE_KEYS = ("auto_map", "custom_pipelines", "custom_generate", "trust_remote_code")
_QUANTISED_KEYS = ("quantization_config", "compression_config")

_LAYERS = ("num_hidden_layers", "n_layer", "n_layers", "num_layers")
_HIDDEN = ("hidden_size", "n_embd", "d_model")
_HEADS = ("num_attention_heads", "n_head", "n_heads")
_CONTEXT = ("max_position_embeddings", "n_positions", "n_ctx")


@dataclass(frozen=True, slots=True)
class TextSettings:
    """The text model's shape. `tied` is None where config.json is silent, and the family's default holds."""

    family: str
    layers: int
    hidden_size: int
    kv_heads: int
    head_dim: int
    vocabulary_size: int
    context_length: int
    tied: bool | None
    end_of_sequence: tuple[int, ...]


def parse_side_object(data: bytes) -> JsonObject:
    """A side file's JSON object. Raises ArtifactError."""
    return parse_object(data, limit=_LIMIT, tokens=_TOKENS)


def read_settings(sides: dict[str, bytes]) -> TextSettings:
    """Settings from the side files, by name. Raises ArtifactError (malformed) or UnsupportedModelError (refused)."""
    config = parse_side_object(sides["config.json"])
    generation = parse_side_object(sides.get("generation_config.json", b"{}"))
    for document in (config, generation, parse_side_object(sides.get("tokenizer_config.json", b"{}"))):
        refuse_code(document)
    nested = config.get("text_config")
    text = nested if isinstance(nested, dict) else config
    _refuse_other_models(config, text)
    family = text.get("model_type")
    if not isinstance(family, str) or _MODEL_TYPE.fullmatch(family) is None:
        raise ArtifactError("config.json names no model_type")
    defaults = dict(family_table(family).defaults)
    hidden = _read_number(text, _HIDDEN, 1 << 20)
    heads = _read_number(text, _HEADS, 1 << 16, defaults.get("num_attention_heads"))
    vocabulary = _read_number(text, ("vocab_size",), 1 << 24, defaults.get("vocab_size"))
    return TextSettings(
        family=family,
        layers=_read_number(text, _LAYERS, MAXIMUM_LAYERS),
        hidden_size=hidden,
        kv_heads=_read_number(text, ("num_key_value_heads",), 1 << 16, defaults.get("num_key_value_heads", heads)),
        head_dim=_read_number(text, ("head_dim",), 1 << 16, defaults.get("head_dim", max(1, hidden // heads))),
        vocabulary_size=vocabulary,
        context_length=_read_number(text, _CONTEXT, 1 << 27, defaults.get("max_position_embeddings")),
        tied=_read_tied(text, config),
        end_of_sequence=_read_ends((generation, text, config), vocabulary),
    )


def refuse_code(value: JsonValue) -> None:
    """Raise UnsupportedModelError when a key that asks for the model's own code stands anywhere in `value` (C03)."""
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, dict):
            if any(item.get(key) for key in _CODE_KEYS):
                raise UnsupportedModelError(
                    "the model asks to run code of its own (auto_map)",
                    hint="Mohawk never runs a model's code; use a model whose architecture is part of transformers",
                )
            waiting.extend(item.values())
        elif isinstance(item, list):
            waiting.extend(item)


def _refuse_other_models(config: JsonObject, text: JsonObject) -> None:
    for document in (config, text):
        if any(document.get(key) for key in _QUANTISED_KEYS):
            raise UnsupportedModelError("the model is quantised", hint="use its original weights")
        if document.get("is_encoder_decoder"):
            raise UnsupportedModelError("the model is an encoder-decoder; only decoders are served")


def _read_number(document: JsonObject, names: tuple[str, ...], most: int, default: int | None = None) -> int:
    """The first of `names` that the document holds. Raises ArtifactError when absent, no integer, or not in 1..most."""
    value = next((document[name] for name in names if document.get(name) is not None), default)
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= most:
        raise ArtifactError(f"config.json: {names[0]} is missing or not between 1 and {most}")
    return value


def _read_tied(text: JsonObject, config: JsonObject) -> bool | None:
    for document in (text, config):
        value = document.get("tie_word_embeddings")
        if isinstance(value, bool):
            return value
    return None


def _read_ends(documents: tuple[JsonObject, ...], vocabulary: int) -> tuple[int, ...]:
    """The end-of-sequence ids of the first document that has some; with none, only lengths and stops end a text."""
    value = next((found for document in documents if (found := document.get("eos_token_id")) is not None), [])
    ends = tuple(value if isinstance(value, list) else [value])
    numbers = tuple(end for end in ends if isinstance(end, int) and not isinstance(end, bool) and 0 <= end < vocabulary)
    if len(numbers) != len(ends) or len(ends) > 64:
        raise ArtifactError("an end-of-sequence id that is not in the vocabulary")
    return numbers
