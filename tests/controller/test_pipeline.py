"""What each stage learns of a step, and how results find who waits for them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import pytest

from mohawk.contract.steps import NeighbourSilent, StepFailure, StepResult
from mohawk.controller.pipeline import Pipeline, StepListener, split_order
from mohawk.errors import ChainBrokenError, MessageError, MohawkError, WorkerLostError
from mohawk.generation.batcher import Batcher
from mohawk.generation.orders import StepOrder
from mohawk.generation.session import GenerationRequest, Sequence
from mohawk.nouns.model import SamplingParameters
from tests.support.tickets import plain_pipeline


def make_order() -> StepOrder:
    batcher = Batcher(64, 1024, 4)
    batcher.add(Sequence(1, GenerationRequest((11, 12, 13), 5, SamplingParameters(seed=99))))
    order = batcher.schedule()
    assert order is not None
    return order


def test_a_stage_in_the_middle_learns_neither_tokens_nor_sampling():
    first, middle, last = split_order(make_order(), 3)
    assert (first.token_ids, middle.token_ids, last.token_ids) == ((11, 12, 13), (), ())
    assert [part.openings[0].sampling for part in (first, middle)] == [None, None]
    assert last.openings[0].sampling is not None
    assert last.openings[0].sampling.seed == 99
    assert first.segments == middle.segments == last.segments


def test_a_single_stage_gets_both():
    (only,) = split_order(make_order(), 1)
    assert only.token_ids == (11, 12, 13)
    assert only.openings[0].sampling is not None


@dataclass
class Story(StepListener):
    """How the steps of a pipeline ended, and when it is now."""

    landed: list[tuple[int, float]] = field(default_factory=list)
    missed: list[int] = field(default_factory=list)
    broken: list[tuple[str | None, str]] = field(default_factory=list)
    now: float = 100.0
    gives_up: Callable[[], None] = lambda: None
    """Called when a step is missed."""

    def on_landed(self, order: StepOrder, _result: StepResult, seconds: float) -> None:
        self.landed.append((order.number, round(seconds, 3)))

    def on_missed(self, order: StepOrder, _error: MohawkError) -> None:
        self.missed.append(order.number)
        self.gives_up()

    def on_broken(self, worker: str | None, error: MohawkError) -> None:
        self.broken.append((worker, error.code))

    def ends(self) -> tuple[list[int], list[int], int]:
        return [number for number, _ in self.landed], self.missed, len(self.broken)


def begin(*numbers: int, workers: tuple[str, ...] = ("w1",)) -> tuple[Pipeline, Story]:
    """A pipeline with these steps under way, each 0.1 s after the one before; each has 5 s."""
    story = Story()
    pipeline = plain_pipeline(lambda _step: None, *workers, clock=lambda: story.now)
    pipeline.listener = story
    for number in numbers:
        pipeline.send(replace(make_order(), number=number), 5.0, 1.0)
        story.now += 0.1
    return pipeline, story


def result(number: int) -> StepResult:
    return StepResult(number, (), 0)


def test_a_step_ends_once() -> None:
    pipeline, story = begin(1)
    for _ in range(2):
        pipeline.on_result("w1", result(1))
        pipeline.on_failure("w1", StepFailure(1, "x", "x"))
    pipeline.on_result("w1", result(9))  # of a step that was never sent
    assert story.ends() == ([1], [], 0)


def test_a_step_occupies_the_chain_from_when_the_one_before_it_landed() -> None:
    pipeline, story = begin(1, 2)
    story.now = 101.0
    pipeline.on_result("w1", result(1))
    story.now = 101.25
    pipeline.on_result("w1", result(2))
    assert story.landed == [(1, 1.0), (2, 0.25)]


def test_results_come_in_order_so_an_earlier_step_is_lost() -> None:
    pipeline, story = begin(1, 2, 3)
    pipeline.on_result("w1", result(3))
    assert story.ends() == ([3], [1, 2], 0)


def test_a_result_is_void_when_the_loss_of_an_earlier_step_breaks_the_chain() -> None:
    pipeline, story = begin(1, 2, 3)
    story.gives_up = pipeline.forget
    pipeline.on_result("w1", result(3))
    assert story.ends() == ([], [1], 0)


def test_a_step_held_back_by_workers_who_answer_heartbeats_breaks_the_chain() -> None:
    pipeline, story = begin(1)
    story.now = 104.9
    pipeline.check_deadlines(in_haste=False)
    assert story.broken == []
    story.now = 105.1
    pipeline.check_deadlines(in_haste=False)
    assert story.broken == [(None, "step_overdue")]


def test_what_was_under_way_when_the_chain_broke_is_void() -> None:
    pipeline, story = begin(1, 2)
    pipeline.on_lost("w2", WorkerLostError("worker w2 is gone"))
    pipeline.forget()
    pipeline.on_result("w1", result(1))
    assert (story.ends(), story.broken) == (([], [], 1), [("w2", "worker_lost")])


def test_a_stage_that_lost_the_one_behind_it_says_that_the_chain_is_broken() -> None:
    pipeline, story = begin(1)
    pipeline.on_failure("w1", StepFailure(1, ChainBrokenError.code, "x"))
    assert story.broken == [(None, "chain_broken")]
    pipeline.forget()
    pipeline.on_failure("w1", StepFailure(1, ChainBrokenError.code, "x"))  # new routes are being set
    assert len(story.broken) == 1


def test_a_stage_that_leaves_the_one_behind_it_while_nothing_is_under_way_is_being_given_a_new_route() -> None:
    """Or no chain of three stages could be repaired: each new route ends a connection of the old one."""
    pipeline, story = begin()
    pipeline.on_failure("w1", StepFailure(1, ChainBrokenError.code, "x"))
    assert story.broken == []


def test_only_the_last_stage_answers_a_step() -> None:
    """A compromised worker on the way has no head and no sampler: its tokens would be invented."""
    pipeline, story = begin(1, workers=("w1", "w2"))
    with pytest.raises(MessageError):
        pipeline.on_result("w1", result(1))
    pipeline.on_result("w2", result(1))
    assert story.ends() == ([1], [], 0)


def test_a_step_is_given_up_sooner_where_somebody_stands_by():
    pipeline, story = begin(1, 2)
    story.now += 0.7
    pipeline.on_result("w1", result(1))
    story.now += 0.9
    pipeline.check_deadlines(in_haste=True)
    assert story.broken == [], "it counts from when the step before it came back"
    story.now += 0.2
    pipeline.check_deadlines(in_haste=False)
    assert story.broken == []
    pipeline.check_deadlines(in_haste=True)
    assert story.broken == [(None, "step_overdue")]


def test_a_silent_neighbour_breaks_the_chain_also_while_nothing_is_under_way():
    pipeline, story = begin(workers=("w1", "w2"))
    pipeline.on_silence("w1", NeighbourSilent(7, is_next=True))
    assert story.broken == [], "of another route"
    pipeline.on_silence("w1", NeighbourSilent(1, is_next=True))
    pipeline.on_silence("w2", NeighbourSilent(1, is_next=False))
    assert story.broken == [(None, "chain_broken")] * 2
    with pytest.raises(MessageError, match="twice"):
        pipeline.on_silence("w1", NeighbourSilent(1, is_next=True))
