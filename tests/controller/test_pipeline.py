"""What each stage learns of a step, and how results find who waits for them."""

from __future__ import annotations

import pytest

from mohawk.contract.steps import Step, StepFailure, StepResult
from mohawk.controller.pipeline import split_order
from mohawk.errors import MessageError, UnavailableError, WorkerLostError
from mohawk.generation.batcher import Batcher, StepOrder
from mohawk.generation.session import GenerationRequest, Sequence
from mohawk.nouns.model import SamplingParameters
from tests.support.nodes import run
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


def test_a_step_ends_once():
    sent: list[Step] = []

    async def main() -> None:
        pipeline = plain_pipeline(sent.append, "w1", epoch=4)
        order = make_order()
        pipeline.on_result("w1", StepResult(order.number, (), 0))  # nobody waits yet: dropped
        with pytest.raises(UnavailableError, match="in time"):
            await pipeline.run(order, 0.01)
        assert sent[0].epoch == 4
        pipeline.on_result("w1", StepResult(order.number, (), 0))  # too late: dropped
        pipeline.on_failure("w1", StepFailure(order.number, "x", "x"))

    run(main)


def test_a_lost_worker_is_lost_for_good():
    async def main() -> None:
        pipeline = plain_pipeline(lambda step: pipeline.on_lost(WorkerLostError("worker w2 is gone")), "w1")
        for _ in range(2):
            with pytest.raises(WorkerLostError):
                await pipeline.run(make_order(), 5)

    run(main)


def test_only_the_last_stage_answers_a_step() -> None:
    """A compromised worker on the way has no head and no sampler: its tokens would be invented."""
    pipeline = plain_pipeline(lambda _step: None, "w1", "w2")
    with pytest.raises(MessageError):
        pipeline.on_result("w1", StepResult(1, (), 0))
    pipeline.on_result("w2", StepResult(1, (), 0))  # nobody waits: dropped
