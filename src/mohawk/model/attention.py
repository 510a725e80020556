"""The attention that transformers' own layers call, over keys and values that are ours.

All new tokens of all sequences form one row of tokens; attention alone knows where one sequence ends and the next
begins.

Rules, and what each stops:
- A sequence attends to its own positions only. Transformers' masks know nothing of our sequences, so any mask or
  argument that we do not know is refused: an ignored one would leak rows into each other or compute another model.
- Every layer reports its call. A family that ignores a registered attention function (some do, with only a log line) is
  caught by the pass that it would have corrupted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface

from mohawk.errors import UnsupportedModelError
from mohawk.model.kv_pool import KVPool, Placement

POOL_ATTENTION = "mohawk_pool"
_QUERY_ROWS = 512
"""Longer segments attend in pieces of this many rows, so that a mask stays small however long the prompt."""

_NEUTRAL = {"is_causal": (None, True), "dropout": (None, 0.0)}
"""Values that change nothing, by argument; of any other argument: None and False."""
_HARMLESS = frozenset({"position_ids", "cache_position"})
"""What layers pass on for others: positions are applied to queries and keys before attention is called."""


@dataclass(slots=True)
class Pass:
    """One run of the stage's layers over a row of tokens; `layers` collects which ones attended."""

    pool: KVPool
    placements: tuple[Placement, ...]
    layers: list[int] = field(default_factory=list)
    _masks: dict[tuple[int, int, int | None], torch.Tensor] = field(default_factory=dict)
    _written: torch.Tensor | None = None

    @property
    def written(self) -> torch.Tensor:
        """[rows], the pool's token that each row writes: one copy a layer, however many sequences (0.02 ms for 16 of
        them, 0.13-0.2 ms one by one). Built once for all layers.
        """
        if self._written is None:
            ranges = [torch.arange(place.base + place.start, place.base + place.end) for place in self.placements]
            self._written = torch.cat(ranges)
        return self._written

    def mask(self, first: int, last: int, low: int, window: int | None, dtype: torch.dtype) -> torch.Tensor:
        """[last - first, last - low], added to scores: 0 where a query may look, else -inf. Built once for all
        layers.
        """
        key = (first, last, window)
        if key not in self._masks:
            distance = torch.arange(first, last)[:, None] - torch.arange(low, last)
            hidden = (distance < 0) if window is None else (distance < 0) | (distance >= window)
            self._masks[key] = torch.zeros(hidden.shape, dtype=dtype).masked_fill_(hidden, float("-inf"))
        return self._masks[key]


@dataclass(frozen=True, slots=True)
class _Shape:
    """How one layer attends."""

    scaling: float | None
    window: int | None
    softcap: float | None
    sinks: torch.Tensor | None

    @property
    def is_plain(self) -> bool:
        return self.softcap is None and self.sinks is None


def pool_attention(  # noqa: PLR0913 - transformers' signature
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    *,
    mohawk_pass: Pass | None = None,
    scaling: float | None = None,
    sliding_window: int | None = None,
    softcap: float | None = None,
    s_aux: torch.Tensor | None = None,
    **others: object,
) -> tuple[torch.Tensor, None]:
    """query [1, heads, rows, head size], key and value [1, KV heads, rows, head size] -> [1, rows, heads, head size].

    Raises UnsupportedModelError on any argument that it would have to ignore.
    """
    if mohawk_pass is None:
        raise UnsupportedModelError("this family does not hand the KV pool to its attention")
    _check_arguments(module, attention_mask, others)
    layer = module.layer_idx
    assert isinstance(layer, int)
    mohawk_pass.layers.append(layer)
    keys, values = mohawk_pass.pool.keys[layer], mohawk_pass.pool.values[layer]
    _check_shapes(keys, key, value)
    shape = _Shape(scaling, sliding_window, softcap, s_aux)
    keys.index_copy_(1, mohawk_pass.written, key[0])
    values.index_copy_(1, mohawk_pass.written, value[0])
    outputs = []
    for place in mohawk_pass.placements:
        rows = slice(place.row, place.row + place.count)
        outputs += _attend_segment(mohawk_pass, place, query[:, :, rows], (keys, values), shape)
    return (outputs[0] if len(outputs) == 1 else torch.cat(outputs, 1)), None


def _attend_segment(
    current: Pass, place: Placement, query: torch.Tensor, pool: tuple[torch.Tensor, torch.Tensor], shape: _Shape
) -> list[torch.Tensor]:
    """Pieces of [1, rows, heads, head size]."""
    outputs = []
    for offset in range(0, place.count, _QUERY_ROWS):
        first = place.start + offset
        last = min(first + _QUERY_ROWS, place.end)
        low = 0 if shape.window is None else max(0, first + 1 - shape.window)
        keys, values = (tensor[None, :, place.base + low : place.base + last] for tensor in pool)
        rows = query[:, :, offset : offset + last - first]
        if not shape.is_plain:
            mask = current.mask(first, last, low, shape.window, query.dtype)
            outputs.append(_attend_by_hand(rows, keys, values, mask, shape))
        elif last - first == 1:
            outputs.append(_attend_one(rows, keys, values, shape.scaling))
        elif last == last - first and (shape.window is None or shape.window >= last):
            outputs.append(_attend_many(rows, keys, values, None, shape.scaling))
        else:
            mask = current.mask(first, last, low, shape.window, query.dtype)
            outputs.append(_attend_many(rows, keys, values, mask, shape.scaling))
    return outputs


def _attend_one(query: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, scaling: float | None) -> torch.Tensor:
    """The query heads that share a KV head become rows of one query: 43 instead of 239 us a layer, for torch would
    otherwise copy the keys once for each of them.
    """
    heads, size = query.shape[1], query.shape[3]
    folded = query.reshape(1, keys.shape[1], heads // keys.shape[1], size)
    return scaled_dot_product_attention(folded, keys, values, scale=scaling).reshape(1, 1, heads, size)


def _attend_many(
    query: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, mask: torch.Tensor | None, scaling: float | None
) -> torch.Tensor:
    shared = query.shape[1] != keys.shape[1]
    output = scaled_dot_product_attention(
        query, keys, values, attn_mask=mask, is_causal=mask is None, scale=scaling, enable_gqa=shared
    )
    return output.transpose(1, 2)


def _attend_by_hand(
    query: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, mask: torch.Tensor, shape: _Shape
) -> torch.Tensor:
    """Soft cap (Gemma 2) and sinks (gpt-oss), which torch's kernel does not know; written as those families write
    it.
    """
    _, heads, rows, size = query.shape
    kv_heads = keys.shape[1]
    folded = query.reshape(1, kv_heads, heads // kv_heads, rows, size)
    scores = torch.matmul(folded, keys[:, :, None].transpose(-1, -2))
    scores = scores * (size**-0.5 if shape.scaling is None else shape.scaling)
    if shape.softcap is not None:
        scores = torch.tanh(scores / shape.softcap) * shape.softcap
    scores = scores + mask
    if shape.sinks is not None:
        sinks = shape.sinks.reshape(1, kv_heads, heads // kv_heads, 1, 1).expand(1, -1, -1, rows, 1)
        scores = torch.cat([scores, sinks.to(scores.dtype)], -1)
    weights = torch.softmax(scores, -1, dtype=torch.float32).to(query.dtype)[..., : keys.shape[2]]
    output = torch.matmul(weights, values[:, :, None]).reshape(1, heads, rows, size)
    return output.transpose(1, 2)


def _check_arguments(
    module: torch.nn.Module, attention_mask: torch.Tensor | None, others: Mapping[str, object]
) -> None:
    """Everything that we do not honour must be neutral."""
    if attention_mask is not None or not getattr(module, "is_causal", True):
        raise UnsupportedModelError("this family attends with a mask of its own")
    for name, value in others.items():
        if name in _HARMLESS:
            continue
        if isinstance(value, torch.Tensor) or value not in _NEUTRAL.get(name, (None, False)):
            raise UnsupportedModelError("this family's attention takes an argument that we do not honour", field=name)


def _check_shapes(keys: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> None:
    """Without this check a single KV head would silently broadcast into all of the pool's."""
    expected = (keys.shape[0], keys.shape[2])
    if (key.shape[1], key.shape[3]) != expected or (value.shape[1], value.shape[3]) != expected:
        raise UnsupportedModelError("this family's keys and values do not have the shape that its config states")


def check_layers(attended: Sequence[int], layers: int) -> None:
    """Every layer attended exactly once, in order. Raises UnsupportedModelError."""
    if list(attended) != list(range(layers)):
        raise UnsupportedModelError(
            "this family's layers do not call the attention they were given",
            hint="its rows would leak into each other; it cannot be served",
        )


AttentionInterface.register(POOL_ATTENTION, pool_attention)
