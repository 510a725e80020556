"""The models that benches run: a random Llama of about half a billion parameters, made here once (bfloat16, sharded),
the same one as GGUF for the peer, and a small one for what is not about computing.

Each of their 32,000 tokens is a word of its own, so that a server which shows text as it comes shows every token; and
they never end an answer by themselves, so that an answer has the length that was asked for.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / ".models" / "random-0.5b-words"
SMALL_FOLDER = FOLDER.with_name("random-small-words")
GGUF = FOLDER.with_name(f"{FOLDER.name}.gguf")
VOCABULARY = 32000
SHAPE: dict[str, Any] = {
    "hidden_size": 1024,
    "intermediate_size": 4096,
    "num_hidden_layers": 28,
    "num_attention_heads": 16,
    "num_key_value_heads": 8,
    "vocab_size": VOCABULARY,
    "max_position_embeddings": 2048,
    "tie_word_embeddings": False,
}
SMALL_SHAPE = SHAPE | {
    "hidden_size": 128,
    "intermediate_size": 512,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 4,
}
SPECIAL = ("<pad>", "<s>", "</s>")
END = 2
MERGE = ("a", "b")
"""Byte-level BPE wants at least one."""
FIRST_WORD = len(SPECIAL) + 256 + 1
"""The first token that is a word. Those before it may be a piece of a character, which shows later or never."""


def half_billion() -> Path:
    """The model folder, made on first use (about 15 s, 1 GB)."""
    if not (FOLDER / "tokenizer.json").exists():
        _make(FOLDER, SHAPE)
    return FOLDER


def small() -> Path:
    """Eight million parameters and the same words, made on first use."""
    if not (SMALL_FOLDER / "tokenizer.json").exists():
        _make(SMALL_FOLDER, SMALL_SHAPE)
    return SMALL_FOLDER


def half_billion_gguf() -> Path:
    """The same weights for llama.cpp, written on first use (1 GB)."""
    if not GGUF.exists():
        from bench.gguf_file import write_gguf

        write_gguf(half_billion(), GGUF)
    return GGUF


def words() -> list[str]:
    """Every token as byte-level BPE spells it: special ones, bytes, one merge, then words with a space before them."""
    from tokenizers.pre_tokenizers import ByteLevel

    tokens = [*SPECIAL, *sorted(ByteLevel.alphabet()), "".join(MERGE)]
    return [*tokens, *(f"Ġw{number}" for number in range(len(tokens), VOCABULARY))]


def _make(folder: Path, shape: dict[str, Any]) -> None:
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    config = LlamaConfig(**shape, dtype=torch.bfloat16, bos_token_id=1, eos_token_id=END, pad_token_id=0)
    model = LlamaForCausalLM(config).to(torch.bfloat16)
    with torch.no_grad():
        model.lm_head.weight[END] = 0  # a logit of zero is never the greatest of 32,000
    model.save_pretrained(folder, max_shard_size="200MB")
    _write_tokenizer(folder)


def _write_tokenizer(folder: Path) -> None:
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE({token: number for number, token in enumerate(words())}, [MERGE]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(token, special=True) for token in SPECIAL])
    whole = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token=SPECIAL[0], bos_token=SPECIAL[1], eos_token=SPECIAL[2]
    )
    whole.chat_template = "{% for message in messages %}{{ message.content }}{% endfor %}"
    whole.save_pretrained(folder)


def read_shape(folder: Path) -> dict[str, object]:
    shape: dict[str, object] = json.loads((folder / "config.json").read_text("utf-8"))
    return shape
