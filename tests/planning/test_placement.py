"""A cut is a partition, no other has a smaller largest stage, and each stage has work."""

from __future__ import annotations

from itertools import combinations, pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mohawk.errors import UsageError
from mohawk.nouns.model import DataType, LayerRange, ModelCard, TensorEntry, check_partition
from mohawk.nouns.plan import SliceSize
from mohawk.planning.placement import FINEST_CUT, cut_evenly, cut_finely, layer_bytes, place_evenly


def card(sizes: list[int], *, embedding: int = 4, head: int = 4, tied: bool = False) -> ModelCard:
    """A Llama-shaped card whose layer i has `sizes[i]` bytes."""
    named = [("model.embed_tokens.weight", embedding), ("model.norm.weight", 4)]
    named += [(f"model.layers.{layer}.mlp.weight", size) for layer, size in enumerate(sizes)]
    named += [] if tied else [("lm_head.weight", head)]
    return ModelCard(
        model_id="m",
        revision="0" * 64,
        family="llama",
        layers=len(sizes),
        hidden_size=1,
        kv_heads=1,
        head_dim=1,
        vocabulary_size=1,
        context_length=1,
        dtype=DataType.FLOAT32,
        tied=tied,
        end_of_sequence=(),
        tensors=tuple(TensorEntry(name, DataType.FLOAT32, (size // 4,), "f", 0, size) for name, size in named),
    )


def stage_sizes(model: ModelCard, ranges: tuple[LayerRange, ...]) -> list[int]:
    costs = layer_bytes(model)
    return [sum(costs[part.first : part.last + 1]) for part in ranges]


def best_by_trying_all(costs: list[int], parts: int) -> int:
    best = sum(costs)
    for cuts in combinations(range(1, len(costs)), parts - 1):
        bounds = [0, *cuts, len(costs)]
        best = min(best, max(sum(costs[a:b]) for a, b in pairwise(bounds)))
    return best


@settings(max_examples=150, deadline=None)
@given(st.lists(st.integers(1, 50).map(lambda n: n * 4), min_size=1, max_size=9), st.data())
def test_no_cut_has_a_smaller_largest_stage(sizes: list[int], data: st.DataObject):
    parts = data.draw(st.integers(1, len(sizes)))
    model = card(sizes, embedding=data.draw(st.integers(1, 40)) * 4, head=data.draw(st.integers(1, 40)) * 4)

    ranges = cut_evenly(model, parts)

    check_partition(ranges, model.layers)
    assert len(ranges) == parts
    assert max(stage_sizes(model, ranges)) == best_by_trying_all(layer_bytes(model), parts)


def test_among_equals_the_evener_cut_wins():
    ranges = cut_evenly(card([400] * 10, embedding=4, head=4), 4)

    assert sorted(len(part) for part in ranges) == [2, 2, 3, 3]


def test_a_large_embedding_gives_the_first_stage_fewer_layers():
    ranges = cut_evenly(card([100] * 6, embedding=300, head=300), 2)
    heavy_front = cut_evenly(card([100] * 6, embedding=300, head=4), 2)

    assert [len(part) for part in ranges] == [3, 3]
    assert [len(part) for part in heavy_front] == [2, 4]


def test_a_tied_head_counts_again_on_the_last_stage():
    assert layer_bytes(card([100] * 3, embedding=40, tied=True)) == [140, 100, 144]


def test_one_stage_is_the_whole_model():
    assert cut_evenly(card([4, 8]), 1) == (LayerRange(0, 1),)


@pytest.mark.parametrize("parts", [0, -1, 4])
def test_more_stages_than_layers_is_the_callers_fault(parts: int):
    with pytest.raises(UsageError):
        cut_evenly(card([4, 4, 4]), parts)


def test_deep_models_are_cut_in_bounded_time():
    assert len(cut_evenly(card([4] * 512), 64)) == 64


@pytest.mark.parametrize("layers", [1, 2, FINEST_CUT, FINEST_CUT + 1, 3 * FINEST_CUT])
def test_a_fine_cut_has_one_slice_per_layer_as_far_as_a_manifest_can_list_them(layers: int):
    ranges = cut_finely(card([8] * layers))
    check_partition(ranges, layers)
    assert len(ranges) == min(layers, FINEST_CUT)


@given(st.lists(st.integers(1, 50), min_size=1, max_size=8), st.data())
@settings(max_examples=200, deadline=None)
def test_no_other_layout_of_the_slices_has_a_smaller_largest_stage(sizes: list[int], data: st.DataObject):
    workers = [f"w{number}" for number in range(data.draw(st.integers(1, len(sizes))))]
    slices = [SliceSize(LayerRange(3 * number, 3 * number + 2), size) for number, size in enumerate(sizes)]
    plan = place_evenly(slices, workers)

    assert plan.workers == tuple(workers)
    check_partition(tuple(stage.layers for stage in plan.stages), 3 * len(sizes))
    runs = [sizes[stage.layers.first // 3 : stage.layers.last // 3 + 1] for stage in plan.stages]
    every = [[0, *cut, len(sizes)] for cut in combinations(range(1, len(sizes)), len(workers) - 1)]
    best = min(max(sum(sizes[a:b]) for a, b in pairwise(borders)) for borders in every)
    assert max(map(sum, runs)) == best


@pytest.mark.parametrize("workers", [0, 3])
def test_fewer_slices_than_workers_is_refused(workers: int):
    slices = [SliceSize(LayerRange(0, 3), 1), SliceSize(LayerRange(4, 7), 1)]
    with pytest.raises(UsageError):
        place_evenly(slices, [f"w{number}" for number in range(workers)])
