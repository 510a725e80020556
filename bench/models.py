"""The model that benches run: a random Llama of about half a billion parameters, made here once (bfloat16, sharded)."""

from __future__ import annotations

from pathlib import Path

FOLDER = Path(__file__).parent / ".models" / "random-0.5b"
SHAPE = {
    "hidden_size": 1024,
    "intermediate_size": 4096,
    "num_hidden_layers": 28,
    "num_attention_heads": 16,
    "num_key_value_heads": 8,
    "vocab_size": 32000,
    "max_position_embeddings": 2048,
    "tie_word_embeddings": False,
}


def half_billion() -> Path:
    """The model folder, made on first use (about 15 s, 1 GB)."""
    if not (FOLDER / "tokenizer.json").exists():
        _make(FOLDER)
    return FOLDER


def _make(folder: Path) -> None:
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    from tests.support.models import write_tokenizer

    torch.manual_seed(0)
    config = LlamaConfig(**SHAPE, dtype=torch.bfloat16, bos_token_id=1, eos_token_id=2, pad_token_id=0)
    LlamaForCausalLM(config).to(torch.bfloat16).save_pretrained(folder, max_shard_size="200MB")
    write_tokenizer(folder)
