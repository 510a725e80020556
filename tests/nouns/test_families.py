"""Every tensor of a family has its place, and a tensor without a place stops the model instead of vanishing from it."""

from __future__ import annotations

import pytest

from mohawk.errors import UnsupportedModelError
from mohawk.nouns.families import FAMILIES, Kind, Part, classify, is_known, place_tensors

LLAMA = ["model.embed_tokens.weight", "model.layers.0.mlp.w.weight", "model.layers.1.mlp.w.weight", "model.norm.weight"]


@pytest.mark.parametrize(
    ("family", "name", "part"),
    [
        ("llama", "model.embed_tokens.weight", Part(Kind.EMBEDDING)),
        ("llama", "model.layers.12.self_attn.q_proj.weight", Part(Kind.LAYER, 12, "model.layers")),
        ("llama", "model.norm.weight", Part(Kind.NORM)),
        ("llama", "lm_head.weight", Part(Kind.HEAD)),
        ("llama", "model.layers.3.self_attn.rotary_emb.inv_freq", Part(Kind.DROPPED)),
        (
            "gemma3_text",
            "language_model.model.layers.3.mlp.up_proj.weight",
            Part(Kind.LAYER, 3, "language_model.model.layers"),
        ),
        ("gemma3_text", "model.language_model.embed_tokens.weight", Part(Kind.EMBEDDING)),
        ("gemma3_text", "vision_tower.vision_model.encoder.layers.0.mlp.fc1.weight", Part(Kind.DROPPED)),
        ("gpt2", "wte.weight", Part(Kind.EMBEDDING)),
        ("gpt2", "transformer.wpe.weight", Part(Kind.POSITION)),
        ("gpt2", "h.0.attn.bias", Part(Kind.DROPPED)),
        ("gpt2", "h.0.attn.c_attn.bias", Part(Kind.LAYER, 0, "h")),
        ("gpt2", "transformer.ln_f.bias", Part(Kind.NORM)),
        ("some_family", "decoder.layers.7.fc1.weight", Part(Kind.LAYER, 7, "decoder.layers")),
        ("some_family", "transformer.h.0.mlp.weight", Part(Kind.LAYER, 0, "transformer.h")),
        ("some_family", "embed_out.weight", Part(Kind.HEAD)),
        ("some_family", "gpt_neox.final_layer_norm.bias", Part(Kind.NORM)),
        ("some_family", "model.decoder.embed_positions.weight", Part(Kind.POSITION)),
    ],
)
def test_names_have_their_part(family: str, name: str, part: Part):
    assert classify(name, family) == part


@pytest.mark.parametrize(
    "name",
    [
        "model.layers.01.mlp.weight",
        "model.layers.10000.mlp.weight",
        "model.layers.-1.mlp.weight",
        "model.layers.0",
        "model.layers.٣.mlp.weight",
        "model.embed_tokens.weight\n",
        "model.norm.bias",
        "encoder.layers.0.mlp.weight",
        "score.weight",
    ],
)
def test_a_known_family_places_nothing_else(name: str):
    with pytest.raises(UnsupportedModelError):
        classify(name, "llama")


def test_unplaced_tensors_are_counted_not_named():
    with pytest.raises(UnsupportedModelError, match="2 of 6") as caught:
        place_tensors([*LLAMA, "adapter.a", "adapter.b"], "llama", 2)
    assert "adapter" not in caught.value.message


@pytest.mark.parametrize("layers", [1, 3])
def test_the_stack_has_exactly_the_layers_of_the_config(layers: int):
    with pytest.raises(UnsupportedModelError):
        place_tensors(LLAMA, "llama", layers)


def test_a_second_stack_of_layers_is_not_mixed_in():
    names = ["model.embed_tokens.weight", "model.layers.0.w.weight", "vision.layers.1.w.weight", "model.norm.weight"]

    with pytest.raises(UnsupportedModelError, match="one stack"):
        place_tensors(names, "some_family", 2)


def test_two_embeddings_or_no_norm_are_refused():
    with pytest.raises(UnsupportedModelError):
        place_tensors(LLAMA[:-1], "llama", 2)
    with pytest.raises(UnsupportedModelError):
        place_tensors([*LLAMA, "language_model.model.embed_tokens.weight"], "gemma3_text", 2)


def test_known_families_are_those_with_a_table():
    assert is_known("llama")
    assert not is_known("mistral")
    assert set(FAMILIES) == {"llama", "qwen3", "gemma3_text", "gpt2"}
