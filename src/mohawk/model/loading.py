"""Opened bytes -> a stage that computes. The parameters are the opened bytes: nothing is copied when the types agree.

Every tensor of the slice must find its place and every parameter its tensor, else the slice is not what its config
says.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from transformers import PretrainedConfig

from mohawk.errors import ArtifactError, MohawkError
from mohawk.model.attention import POOL_ATTENTION
from mohawk.model.families import read_config
from mohawk.model.kv_pool import KVPool
from mohawk.model.slicing import slice_class
from mohawk.model.stage import Stage
from mohawk.model.tensors import TORCH_TYPES, TensorView, to_tensor
from mohawk.model.turns import BUILDING
from mohawk.nouns.model import DataType, LayerRange


def build_stage(
    config: bytes, layers: LayerRange, opened: Mapping[str, TensorView], compute: DataType, kv_tokens: int
) -> Stage:
    """The stage that computes `layers` of the model that `config` (config.json) describes.

    `opened` maps the slice's checkpoint names to views of one buffer; `kv_tokens` is the capacity of the KV pool, over
    all sequences. Raises ArtifactError where slice and config disagree, UnsupportedModelError where the family does not
    fit.
    """
    tensors = {name: to_tensor(view) for name, view in opened.items()}
    return assemble_stage(read_config(config), layers, tensors, compute, kv_tokens)


def assemble_stage(
    config: PretrainedConfig,
    layers: LayerRange,
    tensors: Mapping[str, torch.Tensor],
    compute: DataType,
    kv_tokens: int,
) -> Stage:
    """As `build_stage`, from tensors by checkpoint name. `config` is changed: pass one that nobody else uses."""
    if layers.last >= config.num_hidden_layers:
        raise ArtifactError("a slice of layers that the model does not have")
    family = slice_class(config, layers)
    return fill_stage(family, config, layers, _local_names(family, layers, tensors), compute, kv_tokens)


def fill_stage(
    family: type[Any],
    config: PretrainedConfig,
    layers: LayerRange,
    state: Mapping[str, torch.Tensor],
    compute: DataType,
    kv_tokens: int,
) -> Stage:
    """`family`: of `slice_class`; `state`: its parameters by their name within the slice. Raises ArtifactError."""
    total = config.num_hidden_layers
    model = _fill(family, config, layers, state, TORCH_TYPES[compute])
    pool = KVPool(
        layers=len(layers),
        heads=getattr(config, "num_key_value_heads", None) or config.num_attention_heads,
        head_dim=getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads,
        tokens=kv_tokens,
        dtype=TORCH_TYPES[compute],
    )
    return Stage(model, layers, total, pool)


def _fill(
    family: type[Any],
    config: PretrainedConfig,
    layers: LayerRange,
    state: Mapping[str, torch.Tensor],
    compute: torch.dtype,
) -> Any:
    if layers != LayerRange(0, config.num_hidden_layers - 1):
        config.tie_word_embeddings = False  # the slice owns one of the two at most; the head has its own name by now
    config._attn_implementation = POOL_ATTENTION
    try:
        with BUILDING:
            model, report = family.from_pretrained(
                None, config=config, state_dict=dict(state), dtype=compute, output_loading_info=True
            )
    except MohawkError:
        raise
    except Exception as error:  # another project's loader over tensors of any shape raises anything
        raise ArtifactError("the slice's tensors do not fit its config") from error
    if any(report[kind] for kind in ("missing_keys", "unexpected_keys", "mismatched_keys", "error_msgs")):
        raise ArtifactError("the slice lacks a tensor that its config asks for, or holds one too many")
    return model.requires_grad_(requires_grad=False)


def _local_names(family: type[Any], layers: LayerRange, tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Checkpoint names -> names within the slice: layers count from 0, and a tied head gets its own name."""
    tied: dict[str, str] = getattr(family, "_tied_weights_keys", None) or {}
    heads = {} if layers.first == 0 else {head: embedding for head, embedding in tied.items() if head not in tensors}
    renamed: dict[str, torch.Tensor] = {}
    for name, tensor in tensors.items():
        local = _local_layer(_text_name(name), layers)
        for head, embedding in heads.items():
            if local in (embedding, embedding.split(".", 1)[-1]):  # checkpoints may leave the base model's prefix out
                local = head
        if local in renamed:
            raise ArtifactError("two tensors of a slice claim one place")
        renamed[local] = tensor
    return renamed


def _text_name(name: str) -> str:
    """A model that also sees wraps its text model (Gemma 3): `language_model.model.norm` -> `model.norm`."""
    return ".".join(part for part in name.split(".") if part != "language_model")


def _local_layer(name: str, layers: LayerRange) -> str:
    """`model.layers.9.mlp.up_proj.weight` -> `model.layers.1.mlp.up_proj.weight` in a slice that begins with layer
    8.
    """
    parts = name.split(".")
    for index, part in enumerate(parts):
        if part.isdecimal():
            layer = int(part)
            if layer not in layers:
                raise ArtifactError("a slice holds a tensor of a layer that is not its own")
            parts[index] = str(layer - layers.first)
            break
    return ".".join(parts)
