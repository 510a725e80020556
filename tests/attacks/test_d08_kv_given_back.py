"""D08: a client leaves in the middle of a long answer (below the API: whoever reads the engine's answer stops reading).

Expected: the sequence is out of the batch with the step under way, its keys and values are given back on the controller
and on every stage, and the next request finds the whole pool free.
Defence: controller/engine.py:Engine.generate (the `finally` that cancels); removed, an answer nobody reads is computed to
its end, and clients that come and go fill every KV pool.
"""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from pathlib import Path

from mohawk.checkpoint.reader import read_side_files
from mohawk.checkpoint.settings import read_settings
from mohawk.contract.codec import decode_part
from mohawk.contract.steps import SampledToken, StagePart, Step, StepResult
from mohawk.controller.engine import Engine
from mohawk.controller.prompting import Prompting
from mohawk.generation.batcher import Batcher
from mohawk.generation.session import GenerationRequest
from tests.e2e.inside import GREEDY, Site, generate
from tests.support.folders import write_folder
from tests.support.models import build_model
from tests.support.nodes import run
from tests.support.tickets import plain_pipeline

SECONDS = 60


def test_who_leaves_holds_nothing(tmp_path: Path):
    site = Site(tmp_path / "home")
    source = build_model(tmp_path / "tiny", "llama")

    async def main() -> None:
        async with site.workers(1) as targets, site.serving(source, targets) as controller:
            long = GenerationRequest((5, 6, 7), controller.engine.context_length - 3, GREEDY)
            for _ in range(8):  # eight of them would not fit side by side
                async with aclosing(controller.engine.generate(long)) as answer:
                    await anext(answer)
                    assert controller.status().kv_tokens_used > 0
                status = controller.status()
                assert (status.running_sequences, status.kv_tokens_used) == (0, 0)
            whole = controller.engine.context_length - 1
            assert len(await generate(controller, [5], whole)) == whole, "the stage's pool is as free as ours"

    run(main, seconds=SECONDS)


def test_the_step_after_the_one_under_way_closes_the_sequence(tmp_path: Path):
    """The engine alone, over a stage that this test plays."""
    parts: list[StagePart] = []

    def send(step: Step) -> None:
        part = decode_part(step.parts[0])
        parts.append(part)
        tokens = tuple(SampledToken(segment.sequence, 9) for segment in part.segments if segment.sample)
        asyncio.get_running_loop().call_soon(pipeline.on_result, "w1", StepResult(step.number, tokens, 1))

    sides = read_side_files(write_folder(tmp_path / "tiny"))
    pipeline = plain_pipeline(send, "w1")

    async def main() -> None:
        engine = Engine(Prompting("tiny", read_settings(sides), sides), Batcher(64, 1024, 8), pipeline, 8)
        engine.start()
        async with aclosing(engine.generate(GenerationRequest((5, 6, 7), 900, GREEDY))) as answer:
            await anext(answer)
            assert engine.load().kv_tokens_used > 0
        steps, (sequence,) = len(parts), {segment.sequence for part in parts for segment in part.segments}
        assert (engine.load().running, engine.load().kv_tokens_used) == (0, 0)
        while not parts[-1].closed:
            assert len(parts) <= steps + 1, "one was under way when its reader left"
            await asyncio.sleep(0)
        assert (parts[-1].closed, parts[-1].segments) == ((sequence,), ())
        await engine.stop()

    run(main)
