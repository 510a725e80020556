"""The programme against trying everything: no plan has a smaller bottleneck, none of equal bottleneck is quicker, none
that is good enough moves less.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import combinations, pairwise, permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mohawk.errors import UsageError
from mohawk.nouns.model import LayerRange
from mohawk.nouns.plan import Plan, PlannedStage, SliceSize
from mohawk.planning.cost import WORKSPACE_BYTES, CostModel, Curve, WorkerProfile, Workload
from mohawk.planning.measured import check_memory, choose_plan, is_possible, place_measured, predict
from mohawk.planning.placement import place_evenly
from mohawk.planning.programme import Programme, find_slices
from mohawk.planning.replanning import replan

PLENTY = WORKSPACE_BYTES + (1 << 30)


def worker(name: str, layer: float = 1.0, memory: int = PLENTY, head: float = 0.0) -> WorkerProfile:
    """`layer`, `head`: seconds, whatever the rows."""
    return WorkerProfile(name, memory, Curve(((1, layer),)), Curve(((1, 0.0),)), Curve(((1, head),)), 0.0, 1e12)


def model(layers: int, size: int = 10, rows: int = 1) -> CostModel:
    slices = tuple(SliceSize(LayerRange(layer, layer), size) for layer in range(layers))
    return CostModel(Workload(slices, rows, row_bytes=4, kv_bytes=1))


seconds = st.integers(1, 40).map(lambda tenths: tenths / 8)  # exact in binary: sums do not depend on their order


@st.composite
def situations(draw: st.DrawFn) -> tuple[CostModel, list[WorkerProfile]]:
    lengths = draw(st.lists(st.integers(1, 2), min_size=1, max_size=5))
    ends = [sum(lengths[: place + 1]) for place in range(len(lengths))]
    slices = tuple(
        SliceSize(LayerRange(end - length, end - 1), draw(st.integers(1, 20)))
        for length, end in zip(lengths, ends, strict=True)
    )
    workers = [
        WorkerProfile(
            f"w{number}",
            WORKSPACE_BYTES + draw(st.integers(0, 80)),
            Curve(((1, draw(seconds)),)),
            draw(st.one_of(st.none(), seconds.map(lambda time: Curve(((1, time),))))),
            draw(st.one_of(st.none(), seconds.map(lambda time: Curve(((1, time),))))),
            draw(seconds),
            draw(st.sampled_from([0.25, 1.0, 4.0, 1024.0])),
            draw(st.booleans()) or draw(st.booleans()),
        )
        for number in range(draw(st.integers(1, 4)))
    ]
    return CostModel(Workload(slices, 1, row_bytes=1, kv_bytes=1)), workers


def all_plans(cost: CostModel, workers: list[WorkerProfile], *, ordered: bool) -> Iterator[Plan]:
    slices = cost.load.slices
    for count in range(1, min(len(workers), len(slices)) + 1):
        for cuts in combinations(range(1, len(slices)), count - 1):
            for chosen in combinations(workers, count) if ordered else permutations(workers, count):
                runs = list(zip(chosen, pairwise([0, *cuts, len(slices)]), strict=True))
                if all(cost.is_possible(one, begin, end) for one, (begin, end) in runs):
                    yield Plan(
                        tuple(
                            PlannedStage(one.name, LayerRange(slices[b].layers.first, slices[e - 1].layers.last))
                            for one, (b, e) in runs
                        )
                    )


def quality(cost: CostModel, workers: list[WorkerProfile], plan: Plan) -> tuple[float, float]:
    found = predict(cost, workers, plan)
    return max(stage.busy for stage in found.stages), found.latency


def moved(cost: CostModel, old: Plan, plan: Plan) -> int:
    return sum(cost.weights(*find_slices(cost, stage.layers)) for stage in plan.stages if stage not in old.stages)


@settings(max_examples=300, deadline=None)
@given(situations())
def test_no_plan_is_better(situation: tuple[CostModel, list[WorkerProfile]]):
    cost, workers = situation
    every = [quality(cost, workers, plan) for plan in all_plans(cost, workers, ordered=False)]
    if not every:
        with pytest.raises(UsageError):
            place_measured(cost, workers)
        return
    plan = place_measured(cost, workers)
    assert is_possible(cost, workers, plan)
    assert quality(cost, workers, plan) == min(every)


@settings(max_examples=100, deadline=None)
@given(situations())
def test_many_workers_keep_their_order(situation: tuple[CostModel, list[WorkerProfile]]):
    cost, workers = situation
    every = [quality(cost, workers, plan) for plan in all_plans(cost, workers, ordered=True)]
    programme = Programme(cost, workers)
    programme.in_any_order = False
    if every:
        assert programme.least_bottleneck() == min(every)[0]


@settings(max_examples=200, deadline=None)
@given(situations(), st.data())
def test_replanning_moves_as_little_as_needed(situation: tuple[CostModel, list[WorkerProfile]], data: st.DataObject):
    cost, workers = situation
    before = list(all_plans(cost, workers, ordered=False))
    if not before:
        return
    old = data.draw(st.sampled_from(before))
    alive = [one for one in workers if data.draw(st.booleans())] or workers
    every = list(all_plans(cost, alive, ordered=False))
    if not every:
        with pytest.raises(UsageError):
            replan(cost, alive, old)
        return
    limit = min(quality(cost, alive, plan)[0] for plan in every) * 1.25
    good = [plan for plan in every if quality(cost, alive, plan)[0] <= limit]
    new = replan(cost, alive, old)
    assert new in good
    assert moved(cost, old, new) == min(moved(cost, old, plan) for plan in good)
    if old in good:
        assert new == old


def test_a_slow_worker_gets_fewer_layers_and_a_useless_one_none():
    workers = [worker("fast"), worker("slow", 3.0), worker("useless", 100.0)]
    plan = place_measured(model(8), workers)
    assert {stage.worker: len(stage.layers) for stage in plan.stages} == {"fast": 6, "slow": 2}
    assert predict(model(8), workers, plan).tokens_per_second == pytest.approx(1 / 6)


def test_a_heavy_head_takes_layers_from_the_last_stage():
    plan = place_measured(model(9), [worker("a", head=3.0), worker("b", head=3.0)])
    assert [len(stage.layers) for stage in plan.stages] == [6, 3]


def test_ends_stay_where_the_policy_wants_them():
    workers = [replace(worker("fast", 0.1), may_hold_ends=False), worker("first"), worker("last")]
    plan = place_measured(model(12), workers)
    assert plan.stages[1].worker == "fast"
    assert len(plan.stages[1].layers) == 10
    with pytest.raises(UsageError):
        place_measured(model(12), [replace(worker("fast"), may_hold_ends=False)])


def test_memory_and_keys_and_values_are_room():
    cost = model(10, size=10)  # each layer 10 bytes and 1 of KV
    small = worker("small", 0.1, WORKSPACE_BYTES + 33)
    plan = place_measured(cost, [small, worker("large")])
    assert {stage.worker: len(stage.layers) for stage in plan.stages} == {"small": 3, "large": 7}


def test_what_is_missing_is_named():
    cost = model(10, size=10 << 20)
    plan = place_evenly(cost.load.slices, ["small", "large"])
    memory = {"small": WORKSPACE_BYTES + (20 << 20), "large": PLENTY}
    with pytest.raises(UsageError, match=r"small needs 200 MiB for slice_0_4 with its KV, and has 170 MiB: 30 MiB"):
        check_memory(cost, memory, plan)
    check_memory(cost, {**memory, "small": PLENTY}, plan)


def test_equal_workers_stay_with_the_even_plan():
    cost = model(8)
    even = place_evenly(cost.load.slices, ["a", "b"])
    assert choose_plan(cost, [worker("a"), worker("b", 1.05)], even) == even
    assert choose_plan(cost, [worker("a"), worker("b", 2.0)], even) != even
    assert choose_plan(cost, [worker("a"), worker("b", memory=WORKSPACE_BYTES + 20)], even) != even


def test_a_lost_worker_is_replaced_and_nobody_else_moves():
    cost = model(9)
    old = place_evenly(cost.load.slices, ["a", "b", "c"])
    new = replan(cost, [worker("a"), worker("c"), worker("d")], old)
    assert [stage.worker for stage in new.stages] == ["a", "d", "c"]
    assert [stage.layers for stage in new.stages] == [stage.layers for stage in old.stages]


def test_who_has_no_room_for_two_stages_keeps_its_own_or_gives_it_up():
    """While the old plan goes on, a new stage has to fit beside the old one."""
    cost = model(9)
    old = Plan((PlannedStage("full", LayerRange(0, 7)), PlannedStage("b", LayerRange(8, 8))))
    full, other, free = worker("full", memory=0), worker("b"), worker("free")
    assert replan(cost, [full, other], old) == old, "any other plan needs room that it has not"
    new = replan(cost, [full, other, free], old)
    assert "full" not in new.workers
    assert set(new.workers) == {"b", "free"}


def test_a_spare_that_holds_the_stage_ready_loads_nothing():
    cost = model(6)
    old = place_evenly(cost.load.slices, ["a", "b"])
    lost = old.stages[1].layers
    alive = [worker("a"), worker("fresh"), worker("ready", memory=0)]
    new = replan(cost, alive, old, {"ready": lost})
    assert new.stages == (old.stages[0], PlannedStage("ready", lost))


def test_large_clusters_are_planned():
    workers = [worker(f"w{number}", 1.0 + number % 3) for number in range(40)]
    plan = place_measured(model(128), workers)
    assert predict(model(128), workers, plan).tokens_per_second >= 1 / 6


def test_curves_take_several_batch_sizes():
    curve = Curve(((1, 37.0), (8, 99.0), (16, 128.0), (32, 187.0)))
    assert [curve.at(rows) for rows in (1, 8, 12, 32, 64)] == [37.0, 99.0, 113.5, 187.0, 374.0]
    with pytest.raises(UsageError):
        Curve(((8, 1.0), (1, 2.0)))
