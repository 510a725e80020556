"""Model folders and safetensors files written by hand, byte by byte: for tests that break them. No torch, no transformers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.support.models import CHAT_TEMPLATE, VOCABULARY_SIZE, tokenizer_json

HIDDEN = 16
CONFIG: dict[str, Any] = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "num_hidden_layers": 2,
    "hidden_size": HIDDEN,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "vocab_size": VOCABULARY_SIZE,
    "max_position_embeddings": 64,
    "tie_word_embeddings": False,
    "eos_token_id": 2,
}
SHAPES: dict[str, list[int]] = {
    "model.embed_tokens.weight": [VOCABULARY_SIZE, HIDDEN],
    "model.layers.0.mlp.up_proj.weight": [HIDDEN, HIDDEN],
    "model.layers.1.mlp.up_proj.weight": [HIDDEN, HIDDEN],
    "model.norm.weight": [HIDDEN],
    "lm_head.weight": [VOCABULARY_SIZE, HIDDEN],
}


def safetensors_bytes(header: object, data: bytes) -> bytes:
    """A safetensors file with exactly this header (an object, or the bytes of one) and this data."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data


def tensors_bytes(shapes: dict[str, list[int]]) -> bytes:
    """A valid float32 file; each tensor is filled with one byte, its number."""
    header: dict[str, Any] = {}
    data = b""
    for number, (name, shape) in enumerate(shapes.items()):
        size = 4
        for dimension in shape:
            size *= dimension
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [len(data), len(data) + size]}
        data += bytes([number]) * size
    return safetensors_bytes(header, data)


def write_folder(folder: Path, *, shards: int = 0, **config: Any) -> Path:
    """A valid two-layer Llama-shaped folder; `shards` files and an index, or (0) one file. `config` changes config.json."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(CONFIG | config))
    (folder / "tokenizer.json").write_text(tokenizer_json())
    (folder / "tokenizer_config.json").write_text(json.dumps({"bos_token": "<s>", "eos_token": {"content": "</s>"}}))
    (folder / "chat_template.jinja").write_text(CHAT_TEMPLATE)
    if not shards:
        (folder / "model.safetensors").write_bytes(tensors_bytes(SHAPES))
        return folder
    weight_map = {
        name: f"model-{number % shards + 1:05}-of-{shards:05}.safetensors" for number, name in enumerate(SHAPES)
    }
    for file in set(weight_map.values()):
        inside = {name: shape for name, shape in SHAPES.items() if weight_map[name] == file}
        (folder / file).write_bytes(tensors_bytes(inside))
    write_index(folder, weight_map)
    return folder


def write_index(folder: Path, weight_map: object, **metadata: Any) -> None:
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": metadata, "weight_map": weight_map}))


def change_config(folder: Path, **changes: Any) -> None:
    """Rewrite config.json with `changes`; a value of None removes its key."""
    config = json.loads((folder / "config.json").read_text()) | changes
    config = {key: value for key, value in config.items() if value is not None}
    (folder / "config.json").write_text(json.dumps(config))
