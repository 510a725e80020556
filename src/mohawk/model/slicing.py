"""Layers [first, last] of a family's own class.

The original `__init__` builds the whole model (on the meta device, so it costs nothing): structure that depends on a
layer's number, such as which layers are sparse or slide, is then right. Only afterwards the slice is cut out of it.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from transformers import PretrainedConfig

from mohawk.errors import UnsupportedModelError
from mohawk.model.families import PER_LAYER, model_class
from mohawk.nouns.model import LayerRange

_EMBEDDINGS = ("embed_tokens", "wte", "embed_in", "word_embeddings")
_POSITIONS = ("wpe", "embed_positions")
_EMBEDDING_NORMS = ("word_embeddings_layernorm",)
_NORMS = ("norm", "ln_f", "final_layernorm", "final_layer_norm")
_HEADS = ("lm_head", "embed_out")
_MULTIPLIERS = ("embedding_multiplier",)
"""Granite scales its input inside `forward`, on every stage; it may do so on the first only."""


class _Through(nn.Module):
    """What this slice does not own: hands its input on."""

    def forward(self, hidden: torch.Tensor, *_args: object, **_kwargs: object) -> torch.Tensor:
        return hidden


class _Nothing(nn.Module):
    """Position embeddings of a later stage: the first stage has added them already."""

    def forward(self, *_args: object, **_kwargs: object) -> torch.Tensor:
        return torch.zeros(())


def slice_class(config: PretrainedConfig, layers: LayerRange) -> type[Any]:
    """The family's class whose instances hold `layers` only. Raises UnsupportedModelError."""
    whole = model_class(config)

    def build(self: Any, config: PretrainedConfig, *args: Any, **kwargs: Any) -> None:
        whole.__init__(self, config, *args, **kwargs)
        _prune(self, layers)

    return type(whole.__name__, (whole,), {"__module__": whole.__module__, "__init__": build})


def _layer_list(decoder: Any, count: int) -> tuple[str, nn.ModuleList]:
    """The decoder's list of layers and its name. Raises UnsupportedModelError."""
    for name, child in decoder.named_children():
        if isinstance(child, nn.ModuleList) and len(child) == count:
            return name, child
    raise UnsupportedModelError("this family does not keep its layers in one list")


def _prune(model: Any, layers: LayerRange) -> None:
    decoder = model.get_decoder()
    config = decoder.config
    total = config.num_hidden_layers
    name, every = _layer_list(decoder, total)
    kept = nn.ModuleList(list(every)[layers.first : layers.last + 1])
    setattr(decoder, name, kept)
    _renumber(kept)
    for per_layer in PER_LAYER:
        values = getattr(config, per_layer, None)
        if isinstance(values, list) and len(values) == total:
            setattr(config, per_layer, values[layers.first : layers.last + 1])
    config.num_hidden_layers = len(layers)
    if layers.first > 0:
        _replace(decoder, (*_EMBEDDINGS, *_EMBEDDING_NORMS), _Through)
        _replace(decoder, _POSITIONS, _Nothing)
        for multiplier in _MULTIPLIERS:
            if hasattr(decoder, multiplier):
                setattr(decoder, multiplier, 1.0)
    if layers.last < total - 1:
        _replace(decoder, _NORMS, _Through)
        _replace(model, _HEADS, _Through)


def _renumber(layers: nn.ModuleList) -> None:
    """Layer numbers within the slice, from 0: they index its KV pool."""
    for number, layer in enumerate(layers):
        for module in layer.modules():
            if isinstance(getattr(module, "layer_idx", None), int):
                module.layer_idx = number  # type: ignore[assignment]


def _replace(parent: nn.Module, names: tuple[str, ...], replacement: type[nn.Module]) -> None:
    for name in names:
        if isinstance(getattr(parent, name, None), nn.Module):
            setattr(parent, name, replacement())
