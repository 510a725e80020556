"""The serving loop when its steps fail: every request ends with a reason, and the event loop stays alive."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from mohawk.checkpoint.reader import read_side_files
from mohawk.checkpoint.settings import read_settings
from mohawk.contract.codec import decode_part
from mohawk.contract.steps import SampledToken, Step, StepFailure, StepResult
from mohawk.controller.engine import Engine
from mohawk.controller.pipeline import Pipeline
from mohawk.controller.prompting import Prompting
from mohawk.errors import MohawkError, UnavailableError, UsageError, WorkerLostError
from mohawk.generation.batcher import Batcher
from mohawk.generation.session import GenerationRequest
from mohawk.nouns.model import SamplingParameters
from mohawk.nouns.sampling import TokenLogprobs
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
    try:
        return len([delta async for delta in engine.generate(REQUEST)])
    except MohawkError as error:
        return error


def refuse(_pipeline: Pipeline, _step: Step) -> None:
    raise UnavailableError("the connection is closed")


def lose(pipeline: Pipeline, _step: Step) -> None:
    asyncio.get_running_loop().call_soon(pipeline.on_lost, WorkerLostError("worker w1 is gone"))


def fail(pipeline: Pipeline, step: Step) -> None:
    asyncio.get_running_loop().call_soon(pipeline.on_failure, "w1", StepFailure(step.number, "x", "x"))


@pytest.mark.parametrize("send", [refuse, lose, fail])
def test_a_chain_that_is_broken_for_good_ends_every_request(tmp_path: Path, send: Callable[[Pipeline, Step], None]):
    """Also where each step fails at once: a loop that only tried again would never let anything else run."""

    async def main() -> None:
        engine, _ = serve(tmp_path / "tiny", send)
        ends = await asyncio.gather(*(outcome(engine) for _ in range(3)))
        assert all(isinstance(end, UnavailableError) for end in ends)
        for _ in range(10):
            await asyncio.sleep(0)
        with pytest.raises(UnavailableError):
            engine.health()
        assert isinstance(await outcome(engine), UnavailableError)
        await engine.stop()

    run(main)


def test_a_worker_lost_while_nobody_asks_is_bad_health(tmp_path: Path):
    async def main() -> None:
        engine, pipeline = serve(tmp_path / "tiny", refuse)
        engine.health()
        pipeline.on_lost(WorkerLostError("worker w1 is gone"))
        with pytest.raises(WorkerLostError):
            engine.health()
        await engine.stop()

    run(main)


def test_one_failed_step_ends_its_sequences_only(tmp_path: Path):
    """The next request is served: a failure of one step is not the end of the chain."""
    failed: list[int] = []

    def send(pipeline: Pipeline, step: Step) -> None:
        part = decode_part(step.parts[0])
        loop = asyncio.get_running_loop()
        if not failed:
            failed.append(step.number)
            loop.call_soon(pipeline.on_failure, "w1", StepFailure(step.number, "x", "x"))
            return
        tokens = tuple(SampledToken(segment.sequence, 9) for segment in part.segments if segment.sample)
        loop.call_soon(pipeline.on_result, "w1", StepResult(step.number, tokens, 1))

    async def main() -> None:
        engine, _ = serve(tmp_path / "tiny", send)
        assert isinstance(await outcome(engine), UnavailableError)
        assert await outcome(engine) == REQUEST.maximum_new_tokens
        engine.health()
        assert engine.load().kv_tokens_used == 0
        await engine.stop()

    run(main)


def test_what_a_stage_tells_of_its_tokens_comes_with_them(tmp_path: Path):
    told = TokenLogprobs(-0.5, (9, 8), (-0.5, -2.0))

    def send(pipeline: Pipeline, step: Step) -> None:
        part = decode_part(step.parts[0])
        tokens = tuple(SampledToken(segment.sequence, 9, told) for segment in part.segments if segment.sample)
        asyncio.get_running_loop().call_soon(pipeline.on_result, "w1", StepResult(step.number, tokens, 1))

    async def main() -> None:
        engine, _ = serve(tmp_path / "tiny", send)
        assert {delta.logprobs async for delta in engine.generate(REQUEST)} == {told}
        await engine.stop()

    run(main)


def test_a_grammar_that_fails_ends_its_own_sequence_only(tmp_path: Path):
    """With an error that its client understands, and its room is given back."""
    broken: set[int] = set()

    def send(pipeline: Pipeline, step: Step) -> None:
        part = decode_part(step.parts[0])
        broken.update(opening.sequence for opening in part.openings if not broken)
        tokens = tuple(
            SampledToken(segment.sequence, 9, failed=segment.sequence in broken and segment.start > 5)
            for segment in part.segments
            if segment.sample
        )
        asyncio.get_running_loop().call_soon(pipeline.on_result, "w1", StepResult(step.number, tokens, 1))

    async def main() -> None:
        engine, _ = serve(tmp_path / "tiny", send)
        first, second = await asyncio.gather(outcome(engine), outcome(engine))
        assert isinstance(first, UsageError)
        assert first.field == "response_format"
        assert second == REQUEST.maximum_new_tokens
        await asyncio.sleep(0.05)
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
