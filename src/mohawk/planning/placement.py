"""Cut a model into contiguous stages so that the largest is as small as can be."""

from __future__ import annotations

from mohawk.errors import UsageError
from mohawk.nouns.families import Kind, classify
from mohawk.nouns.model import LayerRange, ModelCard


def cut_evenly(card: ModelCard, parts: int) -> tuple[LayerRange, ...]:
    """`parts` contiguous ranges over all layers; no other cut has a smaller largest stage, nor, of those that tie,
    evener ones.

    Bytes decide: embeddings count with the first stage, norm and head with the last, a tied head as one more embedding.
    Raises UsageError when there are fewer layers than parts.
    """
    if not 1 <= parts <= card.layers:
        raise UsageError(
            f"a model of {card.layers} layers cannot be cut into {parts} slices", hint=f"use 1 to {card.layers} workers"
        )
    if parts == 1:
        return (LayerRange(0, card.layers - 1),)
    costs = layer_bytes(card)
    ends = _cut(costs, parts, _smallest_limit(costs, parts))
    return tuple(LayerRange(first, last - 1) for first, last in zip([0, *ends], ends, strict=False))


def layer_bytes(card: ModelCard) -> list[int]:
    """Bytes each layer brings to its stage; the first with the embeddings, the last with norm and head."""
    costs = [0] * card.layers
    for tensor in card.tensors:
        part = classify(tensor.name, card.family)
        if part.layer is not None:
            costs[part.layer] += tensor.size
        if part.kind in (Kind.EMBEDDING, Kind.POSITION):
            costs[0] += tensor.size
        if part.kind in (Kind.NORM, Kind.HEAD) or (part.kind is Kind.EMBEDDING and card.tied):
            costs[-1] += tensor.size
    return costs


def _smallest_limit(costs: list[int], parts: int) -> int:
    """The least size such that `parts` stages of at most that size hold all layers: bisection over greedy filling."""
    low, high = max(costs), sum(costs)
    while low < high:
        middle = (low + high) // 2
        if _count_stages(costs, middle) <= parts:  # fewer stages may always be split further
            high = middle
        else:
            low = middle + 1
    return low


def _count_stages(costs: list[int], limit: int) -> int:
    stages, filled = 1, 0
    for cost in costs:
        if filled + cost > limit:
            stages, filled = stages + 1, 0
        filled += cost
    return stages


def _cut(costs: list[int], parts: int, limit: int) -> list[int]:
    """Ends (exclusive) of the stages: least sum of squares among the cuts whose stages all stay within `limit`.

    `best[end]` is that sum for the layers before `end` in so many stages, `cuts[stage][end]` where its last stage
    begins.
    """
    unreachable = parts * (limit * limit + 1)
    best = [0] + [unreachable] * len(costs)
    cuts: list[list[int]] = []
    for _ in range(parts):
        reached = [unreachable] * (len(costs) + 1)
        begins = [0] * (len(costs) + 1)
        for end in range(1, len(costs) + 1):
            size = 0
            for begin in range(end - 1, -1, -1):
                size += costs[begin]
                if size > limit:
                    break
                if best[begin] + size * size < reached[end]:
                    reached[end], begins[end] = best[begin] + size * size, begin
        best = reached
        cuts.append(begins)
    ends = [len(costs)]
    for begins in reversed(cuts[1:]):
        ends.append(begins[ends[-1]])
    return ends[::-1]
