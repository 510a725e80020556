"""The self-test refuses what would serve wrong answers, and accepts what computes the same as the plain model."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

from mohawk.errors import UnsupportedModelError
from mohawk.model import attention
from mohawk.model.kv_pool import Placement
from mohawk.model.self_test import check_family, check_stage
from mohawk.nouns.model import DataType, LayerRange
from tests.model.opening import open_stage
from tests.support.models import FAMILIES

_SHAPE: dict[str, Any] = {
    "vocab_size": 512,
    "hidden_size": 128,
    "intermediate_size": 256,
    "num_hidden_layers": 6,
    "num_attention_heads": 8,
    "num_key_value_heads": 4,
}
_BIG: dict[str, Any] = {
    "vocab_size": 128_000,
    "hidden_size": 4096,
    "intermediate_size": 14336,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "max_position_embeddings": 32768,
}


def _bytes(config: transformers.PretrainedConfig) -> bytes:
    return json.dumps(config.to_dict(), default=str).encode()


def _accepted() -> dict[str, transformers.PretrainedConfig]:
    return {
        "mistral, full size": transformers.MistralConfig(**_BIG, sliding_window=4096),
        "qwen2": transformers.Qwen2Config(**_SHAPE),
        "qwen2, two kinds of layers": transformers.Qwen2Config(
            **_SHAPE, use_sliding_window=True, sliding_window=16, max_window_layers=3
        ),
        "olmo2": transformers.Olmo2Config(**_SHAPE),
        "phi": transformers.PhiConfig(**_SHAPE),
        "phi3": transformers.Phi3Config(**_SHAPE, pad_token_id=0),
        "gemma2, soft cap": transformers.Gemma2Config(**_SHAPE, head_dim=16, sliding_window=16),
        "granite, multipliers": transformers.GraniteConfig(
            **_SHAPE, embedding_multiplier=12.0, residual_multiplier=0.22, attention_multiplier=0.1, logits_scaling=2.0
        ),
        "mixtral, experts": transformers.MixtralConfig(**_SHAPE, num_local_experts=4),
        "gpt-oss, sinks": transformers.GptOssConfig(**_SHAPE, head_dim=16, num_local_experts=4, sliding_window=16),
        "opt, learnt positions": transformers.OPTConfig(
            vocab_size=512,
            hidden_size=128,
            ffn_dim=256,
            num_hidden_layers=6,
            num_attention_heads=8,
            word_embed_proj_dim=128,
        ),
    }


def _refused() -> dict[str, transformers.PretrainedConfig]:
    return {
        "falcon": transformers.FalconConfig(**_SHAPE),
        "gptj": transformers.GPTJConfig(vocab_size=512, n_embd=128, n_layer=6, n_head=8, rotary_dim=8),
        "gpt_neo": transformers.GPTNeoConfig(
            vocab_size=512, hidden_size=128, num_layers=6, num_heads=8, attention_types=[[["global", "local"], 3]]
        ),
        "bloom": transformers.BloomConfig(vocab_size=512, hidden_size=128, n_layer=6, n_head=8),
        "gpt_neox_japanese, which ignores the registered attention": transformers.GPTNeoXJapaneseConfig(
            vocab_size=512, hidden_size=128, num_hidden_layers=4, num_attention_heads=8
        ),
        "mamba, which does not attend": transformers.MambaConfig(vocab_size=512, hidden_size=128, num_hidden_layers=4),
    }


@pytest.mark.parametrize("name", _accepted())
def test_families_that_compute_the_same_are_accepted(name: str) -> None:
    check_family(_bytes(_accepted()[name]))


@pytest.mark.parametrize("name", _refused())
def test_families_that_would_leak_or_differ_are_refused_with_the_reason(name: str) -> None:
    with pytest.raises(UnsupportedModelError) as refusal:
        check_family(_bytes(_refused()[name]))
    assert len(refusal.value.message) > 40


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("layers", [LayerRange(0, 5), LayerRange(0, 1), LayerRange(2, 3), LayerRange(4, 5)])
@pytest.mark.parametrize("compute", [DataType.FLOAT32, DataType.BFLOAT16])
def test_stages_of_known_families_pass(
    model_folder: Callable[[str], Path], family: str, layers: LayerRange, compute: DataType
) -> None:
    stage = open_stage(model_folder(family), layers, compute=compute, kv_tokens=64)
    check_stage(stage)
    stage.reserve(1, 64)  # the pool is empty again


def _leak(
    current: attention.Pass,
    place: object,
    query: torch.Tensor,
    pool: tuple[torch.Tensor, torch.Tensor],
    shape: attention._Shape,
) -> list[torch.Tensor]:
    """An attention that looks at the whole pool, whoever wrote it."""
    keys, values = pool
    mask = torch.zeros(query.shape[2], keys.shape[1])
    return [attention._attend_many(query, keys[None], values[None], mask, shape.scaling)]


def test_a_leak_between_sequences_is_found(llama: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attention, "_attend_segment", _leak)
    with pytest.raises(UnsupportedModelError, match="change another"):
        check_stage(open_stage(llama, LayerRange(0, 1)))
    with pytest.raises(UnsupportedModelError, match="other logits"):
        check_family(_bytes(transformers.Qwen2Config(**_SHAPE)))


def test_a_leak_far_below_the_tolerance_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Equal logits within 1e-4 are not enough: a millionth of another's value is another's value."""
    attend = attention._attend_segment

    def whisper(
        current: attention.Pass, place: Placement, query: torch.Tensor, pool: Any, shape: attention._Shape
    ) -> list[torch.Tensor]:
        return [output + 1e-7 * pool[1].mean() for output in attend(current, place, query, pool, shape)]

    monkeypatch.setattr(attention, "_attend_segment", whisper)
    with pytest.raises(UnsupportedModelError, match="change another"):
        check_family(_bytes(transformers.Qwen2Config(**_SHAPE)))


def test_a_window_that_is_ignored_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    shape = attention._Shape
    monkeypatch.setattr(
        attention, "_Shape", lambda scaling, window, softcap, sinks: shape(scaling, None, softcap, sinks)
    )
    with pytest.raises(UnsupportedModelError, match="other logits"):
        check_family(_bytes(transformers.MistralConfig(**_SHAPE, sliding_window=16)))


def test_a_stage_that_computes_no_numbers_is_refused(llama: Path) -> None:
    stage = open_stage(llama, LayerRange(2, 3))
    with torch.inference_mode():
        stage.parameters()["model.layers.0.mlp.up_proj.weight"].fill_(float("nan"))
    with pytest.raises(UnsupportedModelError, match="not finite"):
        check_stage(stage)
