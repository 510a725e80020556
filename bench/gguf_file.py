"""A Llama folder as GGUF, for llama.cpp. The only home of the `gguf` package."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import gguf

from bench.models import MERGE, SPECIAL, read_shape, words

if TYPE_CHECKING:
    import torch

NAMES = {
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
    "model.embed_tokens": "token_embd",
    "model.norm": "output_norm",
    "lm_head": "output",
}


def write_gguf(folder: Path, path: Path) -> None:
    """Matrices in bfloat16 as they are, norms in float32, as llama.cpp's own converter writes them."""
    from safetensors.torch import load_file

    shape = read_shape(folder)
    writer = gguf.GGUFWriter(str(path.with_suffix(".part")), "llama")
    _write_shape(writer, shape)
    _write_vocabulary(writer)
    heads = {"attn_q": _number(shape, "num_attention_heads"), "attn_k": _number(shape, "num_key_value_heads")}
    for file in sorted(folder.glob("*.safetensors")):
        for name, tensor in load_file(file).items():
            target = _rename(name)
            _add(writer, target, _interleave(tensor, heads.get(target.split(".")[-2])))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    path.with_suffix(".part").rename(path)


def _write_shape(writer: gguf.GGUFWriter, shape: dict[str, object]) -> None:
    heads = _number(shape, "num_attention_heads")
    rope = shape["rope_parameters"]
    assert isinstance(rope, dict)
    assert rope["rope_type"] == "default"
    writer.add_block_count(_number(shape, "num_hidden_layers"))
    writer.add_context_length(_number(shape, "max_position_embeddings"))
    writer.add_embedding_length(_number(shape, "hidden_size"))
    writer.add_feed_forward_length(_number(shape, "intermediate_size"))
    writer.add_head_count(heads)
    writer.add_head_count_kv(_number(shape, "num_key_value_heads"))
    writer.add_layer_norm_rms_eps(float(str(shape["rms_norm_eps"])))
    writer.add_rope_dimension_count(_number(shape, "hidden_size") // heads)
    writer.add_rope_freq_base(float(rope["rope_theta"]))
    writer.add_vocab_size(_number(shape, "vocab_size"))
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_BF16)


def _write_vocabulary(writer: gguf.GGUFWriter) -> None:
    tokens = words()
    kinds = [gguf.TokenType.CONTROL] * len(SPECIAL) + [gguf.TokenType.NORMAL] * (len(tokens) - len(SPECIAL))
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(tokens)
    writer.add_token_types(kinds)
    writer.add_token_merges([" ".join(MERGE)])
    writer.add_pad_token_id(0)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_add_bos_token(False)


def _rename(name: str) -> str:
    """`model.layers.3.mlp.up_proj.weight` -> `blk.3.ffn_up.weight`."""
    stem = name.removesuffix(".weight")
    if not stem.startswith("model.layers."):
        return f"{NAMES[stem]}.weight"
    _, _, layer, rest = stem.split(".", 3)
    return f"blk.{layer}.{NAMES[rest]}.weight"


def _interleave(tensor: torch.Tensor, heads: int | None) -> torch.Tensor:
    """llama.cpp turns neighbouring pairs, transformers the two halves of a head: rows of q and k change places."""
    if heads is None:
        return tensor
    rows, columns = tensor.shape
    return tensor.reshape(heads, 2, rows // heads // 2, columns).swapaxes(1, 2).reshape(rows, columns)


def _add(writer: gguf.GGUFWriter, name: str, tensor: torch.Tensor) -> None:
    import torch

    if tensor.dim() == 1:
        writer.add_tensor(name, tensor.float().numpy())
        return
    raw = tensor.contiguous().view(torch.uint8).numpy()
    writer.add_tensor(name, raw, raw_dtype=gguf.GGMLQuantizationType.BF16)


def _number(shape: dict[str, object], name: str) -> int:
    value = shape[name]
    assert isinstance(value, int)
    return value
