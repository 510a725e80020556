"""Cut a model into contiguous slices, and lay them out over workers, so that the largest part is as small as can be."""

from __future__ import annotations

from collections.abc import Sequence

from mohawk.errors import UsageError
from mohawk.nouns.families import Kind, classify
from mohawk.nouns.model import LayerRange, ModelCard
from mohawk.nouns.plan import Plan, PlannedStage, SliceSize

FINEST_CUT = 128
"""Slices of a model that is sealed without saying how many, at most: the signed list of them has to fit one control
frame beside a config (docs/spec/sealed-slice.md 5).
"""


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
    ends = _cut_evenly(layer_bytes(card), parts)
    return tuple(LayerRange(first, last - 1) for first, last in zip([0, *ends], ends, strict=False))


def cut_finely(card: ModelCard) -> tuple[LayerRange, ...]:
    """One slice for each layer, up to `FINEST_CUT`: whoever serves the model may then put the borders between stages
    wherever its workers want them, without sealing it again.
    """
    return cut_evenly(card, min(card.layers, FINEST_CUT))


def place_evenly(slices: Sequence[SliceSize], workers: Sequence[str]) -> Plan:
    """Each worker one run of slices, in the order given, as even by bytes as the slices allow.

    `slices` are a whole model's, in layer order. Raises UsageError when there are fewer slices than workers.
    """
    if not 1 <= len(workers) <= len(slices):
        raise UsageError(
            f"this model is sealed in {len(slices)} slices, for as many workers or fewer, not {len(workers)}",
            hint=f"give 1 to {len(slices)} workers, or seal it again in more slices",
            field="workers",
        )
    ends = _cut_evenly([part.size for part in slices], len(workers))
    runs = [
        LayerRange(slices[first].layers.first, slices[end - 1].layers.last)
        for first, end in zip([0, *ends], ends, strict=False)
    ]
    return Plan(tuple(PlannedStage(worker, layers) for worker, layers in zip(workers, runs, strict=True)))


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


def _cut_evenly(costs: list[int], parts: int) -> list[int]:
    """Ends (exclusive) of `parts` contiguous parts; no other cut has a smaller largest part, nor, of those that tie,
    evener ones.
    """
    return [len(costs)] if parts == 1 else _cut(costs, parts, _smallest_limit(costs, parts))


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
