"""The serving loop when its steps fail: every request ends with a reason, and the event loop stays alive."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from mohawk.api.answer import merge
from mohawk.checkpoint.reader import read_side_files
from mohawk.checkpoint.settings import read_settings
from mohawk.contract.codec import decode_part
from mohawk.contract.steps import SampledToken, StagePart, Step, StepFailure, StepResult
from mohawk.controller.engine import Engine
from mohawk.controller.pipeline import Pipeline
from mohawk.controller.prompting import Prompting
from mohawk.errors import ChainBrokenError, MohawkError, UnavailableError, UsageError, WorkerLostError
from mohawk.generation.batcher import Batcher
from mohawk.generation.session import GenerationRequest, TextDelta
from mohawk.nouns.model import SamplingParameters
from mohawk.nouns.sampling import TokenLogprobs
from mohawk.nouns.segment import Segment
from tests.support.folders import write_folder
from tests.support.nodes import run
from tests.support.tickets import plain_pipeline

REQUEST = GenerationRequest((5, 6, 7), 40, SamplingParameters(temperature=0.0))


def serve(folder: Path, send: Callable[[Pipeline, Step], None]) -> tuple[Engine, Pipeline]:
    """An engine over one stage that `send` plays."""
    sides = read_side_files(write_folder(folder))
    pipeline = plain_pipeline(lambda step: send(pipeline, step), "w1")
    engine = Engine(Prompting("tiny", read_settings(sides), sides), Batcher(64, 1024, 8), pipeline, 8)
    engine.start()
    return engine, pipeline


async def outcome(engine: Engine) -> MohawkError | int:
    """The error that an answer ends with, or how many tokens it has."""
    return await outcome_of(engine.generate(REQUEST))


async def outcome_of(stream: AsyncGenerator[TextDelta, None]) -> MohawkError | int:
    try:
        return len([delta async for delta in stream])
    except MohawkError as error:
        return error


def refuse(_pipeline: Pipeline, _step: Step) -> None:
    raise UnavailableError("the connection is closed")


def lose(pipeline: Pipeline, _step: Step) -> None:
    asyncio.get_running_loop().call_soon(pipeline.on_lost, "w1", WorkerLostError("worker w1 is gone"))


def fail(pipeline: Pipeline, step: Step) -> None:
    asyncio.get_running_loop().call_soon(pipeline.on_failure, "w1", StepFailure(step.number, "x", "x"))


@pytest.mark.parametrize("send", [refuse, lose])
def test_a_chain_that_is_broken_for_good_ends_every_request(tmp_path: Path, send: Callable[[Pipeline, Step], None]):
    """Nobody repairs it here."""

    async def main() -> None:
        engine, _ = serve(tmp_path / "tiny", send)
        ends = await asyncio.gather(*(outcome(engine) for _ in range(3)))
        assert all(isinstance(end, UnavailableError) for end in ends)
        with pytest.raises(UnavailableError):
            engine.health()
        assert isinstance(await outcome(engine), UnavailableError)
        await engine.stop()

    run(main)


def test_a_chain_that_fails_every_step_is_broken(tmp_path: Path):
    """Even one that only closes: a loop that only tried again would never let anything else run."""

    async def main() -> None:
        engine, _ = serve(tmp_path / "tiny", fail)
        ends = await asyncio.gather(*(outcome(engine) for _ in range(3)))
        assert all(isinstance(end, UnavailableError) for end in ends)
        for _ in range(10):
            await asyncio.sleep(0)
        with pytest.raises(UnavailableError):
            engine.health()
        await engine.stop()

    run(main)


def test_a_worker_lost_while_nobody_asks_is_bad_health(tmp_path: Path):
    async def main() -> None:
        engine, pipeline = serve(tmp_path / "tiny", refuse)
        engine.health()
        pipeline.on_lost("w1", WorkerLostError("worker w1 is gone"))
        with pytest.raises(WorkerLostError):
            engine.health()
        await engine.stop()

    run(main)


class Stage:
    """One stage that answers every step, except those that `fails` names; `says` makes its tokens."""

    def __init__(
        self,
        fails: Callable[[StagePart], bool] = lambda _part: False,
        says: Callable[[Segment], SampledToken] = lambda segment: SampledToken(segment.sequence, 9),
    ) -> None:
        self.fails = fails
        self.says = says
        self.parts: list[StagePart] = []

    def __call__(self, pipeline: Pipeline, step: Step) -> None:
        part = decode_part(step.parts[0])
        self.parts.append(part)
        loop = asyncio.get_running_loop()
        if self.fails(part):
            loop.call_soon(pipeline.on_failure, "w1", StepFailure(step.number, "x", "x"))
            return
        tokens = tuple(self.says(segment) for segment in part.segments if segment.sample)
        loop.call_soon(pipeline.on_result, "w1", StepResult(step.number, tokens, 1))


def test_the_choices_of_one_request_compute_their_prompt_once(tmp_path: Path):
    """But for what is no whole block of it."""
    request = replace(REQUEST, prompt=tuple(range(5, 45)))

    async def main() -> None:
        stage = Stage(lambda _part: False)
        engine, _ = serve(tmp_path / "tiny", stage)
        told = [index async for index, _ in merge([engine.generate(request) for _ in range(4)])]
        assert [told.count(index) for index in range(4)] == [request.maximum_new_tokens] * 4
        segments = [one for part in stage.parts for one in part.segments if one.start < len(request.prompt)]
        assert sum(one.count for one in segments) == 40 + 3 * (40 - 32)
        await engine.stop()

    run(main)


def test_what_an_answer_leaves_for_the_next_turn_is_seen_and_is_not_in_use(tmp_path: Path):
    async def main() -> None:
        engine, _ = serve(tmp_path / "tiny", Stage(lambda _part: False))
        assert engine.load().kv_tokens_retained == 0
        await outcome(engine)
        load = engine.load()
        assert load.kv_tokens_used == 0
        assert load.kv_tokens_retained >= REQUEST.maximum_new_tokens
        await engine.stop()

    run(main)


def test_a_step_that_fails_once_costs_nobody_a_token(tmp_path: Path):
    async def main() -> None:
        engine, _ = serve(tmp_path / "tiny", Stage(lambda part: part.number == 3))
        assert await asyncio.gather(outcome(engine), outcome(engine)) == [REQUEST.maximum_new_tokens] * 2
        engine.health()
        assert engine.load().kv_tokens_used == 0
        await engine.stop()

    run(main)


def test_a_sequence_that_makes_steps_fail_fails_alone(tmp_path: Path):
    """Its neighbours in the step are computed again, each in a step of its own."""

    async def main() -> None:
        stage = Stage(lambda part: any(segment.sequence == 2 for segment in part.segments))
        engine, _ = serve(tmp_path / "tiny", stage)
        ends = await asyncio.gather(*(outcome(engine) for _ in range(3)))
        assert isinstance(ends[1], UnavailableError)
        assert ends[::2] == [REQUEST.maximum_new_tokens] * 2
        engine.health()
        await engine.stop()

    run(main)


def test_streams_go_on_over_a_repaired_chain(tmp_path: Path):
    """No token is lost, repeated or changed; what was under way when it broke is void."""

    async def main() -> None:
        engine, pipeline = serve(tmp_path / "tiny", stage := Stage())
        broken: list[str | None] = []
        engine.repair = lambda worker, _error: broken.append(worker)
        streams = [engine.generate(REQUEST) for _ in range(2)]
        taken = [[(await anext(stream)).tokens for _ in range(5)] for stream in streams]
        pipeline.on_lost("w1", WorkerLostError("worker w1 is gone"))
        steps = len(stage.parts)
        engine.health()  # a repair is under way: requests wait
        for _ in range(10):
            await asyncio.sleep(0)
        assert (broken, len(stage.parts)) == (["w1"], steps)
        engine.resume()
        for tokens, stream in zip(taken, streams, strict=True):
            tokens += [delta.tokens async for delta in stream]
            assert tokens == list(range(1, REQUEST.maximum_new_tokens + 1))
        again = stage.parts[steps]
        assert [len(opening.generated) >= 5 for opening in again.openings] == [True, True]
        assert {segment.start for segment in again.segments} == {0}
        await engine.stop()

    run(main)


def test_nothing_is_done_between_steps_while_there_is_no_chain(tmp_path: Path):
    """Whoever repairs it may wait for the one who asks."""

    async def nothing() -> None:
        pass

    async def main() -> None:
        engine, _ = serve(tmp_path / "tiny", refuse)
        engine.hold()
        with pytest.raises(ChainBrokenError):
            await engine.between_steps(nothing)
        engine.resume()
        await engine.between_steps(nothing)
        await engine.stop()

    run(main)


def test_no_repair_is_a_typed_error_until_there_is_one(tmp_path: Path):
    async def main() -> None:
        engine, pipeline = serve(tmp_path / "tiny", Stage())
        engine.repair = lambda _worker, error: engine.give_up(error)
        stream = engine.generate(REQUEST)
        await anext(stream)
        pipeline.on_lost("w1", WorkerLostError("worker w1 is gone"))
        assert isinstance(await outcome_of(stream), WorkerLostError)
        assert isinstance(await outcome(engine), WorkerLostError)
        engine.resume()
        assert await outcome(engine) == REQUEST.maximum_new_tokens
        await engine.stop()

    run(main)


def test_what_a_stage_tells_of_its_tokens_comes_with_them(tmp_path: Path):
    told = TokenLogprobs(-0.5, (9, 8), (-0.5, -2.0))

    async def main() -> None:
        stage = Stage(says=lambda segment: SampledToken(segment.sequence, 9, told))
        engine, _ = serve(tmp_path / "tiny", stage)
        assert {delta.logprobs async for delta in engine.generate(REQUEST)} == {told}
        await engine.stop()

    run(main)


def test_a_grammar_that_fails_ends_its_own_sequence_only(tmp_path: Path):
    """With an error that its client understands, and its room is given back."""

    def says(segment: Segment) -> SampledToken:
        return SampledToken(segment.sequence, 9, failed=segment.sequence == 1 and segment.start > 5)

    async def main() -> None:
        engine, _ = serve(tmp_path / "tiny", Stage(says=says))
        first, second = await asyncio.gather(outcome(engine), outcome(engine))
        assert isinstance(first, UsageError)
        assert first.field == "response_format"
        assert second == REQUEST.maximum_new_tokens
        assert engine.load().kv_tokens_used == 0
        await engine.stop()

    run(main)


def test_more_requests_at_once_than_configured_are_answered_at_once(tmp_path: Path):
    """MIE_MAX_CONCURRENT_SESSIONS: running and waiting together; whoever leaves makes room."""

    async def main() -> None:
        engine, _ = serve(tmp_path / "tiny", lambda pipeline, step: None)
        held = [engine.generate(REQUEST) for _ in range(8)]
        waiting = [asyncio.ensure_future(anext(one)) for one in held]
        await asyncio.sleep(0)
        with pytest.raises(UnavailableError, match="too many requests at once"):
            await anext(engine.generate(REQUEST))
        waiting[0].cancel()
        await asyncio.gather(waiting[0], return_exceptions=True)
        waiting.append(asyncio.ensure_future(anext(engine.generate(REQUEST))))
        await asyncio.sleep(0)
        assert not waiting[-1].done()
        await engine.stop()
        await asyncio.gather(*waiting, return_exceptions=True)

    run(main)


def test_an_answer_beside_one_that_was_let_in_is_not_turned_away(tmp_path: Path) -> None:
    """Half of what was asked for would be of no use, and was waited for."""

    async def main() -> None:
        engine, _ = serve(tmp_path / "tiny", lose)
        engine._queue.estimate = lambda _waiting, _now: 99.0  # type: ignore[method-assign]
        turned_away = await outcome(engine)
        assert isinstance(turned_away, UnavailableError)
        assert not isinstance(turned_away, WorkerLostError)
        assert isinstance(await outcome_of(engine.generate(replace(REQUEST, is_sibling=True))), WorkerLostError)
        await engine.stop()

    run(main)
