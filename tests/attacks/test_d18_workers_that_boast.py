"""D18: workers lie about themselves when they are measured: absurd numbers, others than were asked for, and plausible ones
that are not true. (Ours: not from the numbered list of attacks.)

Expected: numbers that cannot be have no type, and end the liar's connection; a spare that answers something else is left
out. A plausible lie attracts layers, to a worker that the operator already trusts with layers; when it then cannot hold
them, the operator reads why, the old plan serves on, and no token changes.
Defence: contract/probing.py:StageProbed, controller/probing.py:_check_rows and, beside the stage that serves,
controller/replanning.py:Replanner._load_one; removed, one liar decides every plan for ever, or loses its stage, and with
it every running answer, by a boast.
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from mohawk.contract import mohawk_pb2
from mohawk.contract.codec import decode
from mohawk.contract.probing import ProbePoint, StageProbed
from mohawk.controller.service import Controller
from mohawk.errors import HostError, MessageError, RemoteError
from mohawk.identity.names import Role
from mohawk.nouns.model import LayerRange
from mohawk.nouns.plan import Plan, PlannedStage
from mohawk.transport.dial import Target
from mohawk.worker.service import Worker
from tests.e2e.inside import Site, generate
from tests.support.models import build_model
from tests.support.nodes import run

ROWS = 8
NEW_TOKENS = 24
PROMPT = [5, 6, 7]
BOAST = StageProbed(1 << 49, (ProbePoint(ROWS, 1),), (ProbePoint(ROWS, 0),), (ProbePoint(ROWS, 0),))
OTHER_ROWS = replace(BOAST, layer=(ProbePoint(1, 1),))
HALVES = Plan((PlannedStage("w1", LayerRange(0, 2)), PlannedStage("w2", LayerRange(3, 5))))


@pytest.mark.parametrize(
    "lie",
    [
        {"memory_bytes": 1 << 63},
        {"layer": [{"rows": ROWS, "nanoseconds": 0}]},
        {"layer": [{"rows": ROWS, "nanoseconds": 1 << 62}]},
        {"head": [{"rows": 0, "nanoseconds": 1}]},
        {"layer": [{"rows": 8, "nanoseconds": 1}, {"rows": 4, "nanoseconds": 1}]},
        {"embedding": [{"rows": row, "nanoseconds": 1} for row in range(1, 100)]},
    ],
)
def test_numbers_that_cannot_be_have_no_type(lie: dict[str, object]) -> None:
    envelope = mohawk_pb2.Envelope(stage_probed=mohawk_pb2.StageProbed(**lie))  # type: ignore[arg-type]
    with pytest.raises(MessageError):
        decode(envelope.SerializeToString())


def boast(worker: Worker, answer: StageProbed) -> None:
    worker._station._measure = lambda _order: answer  # type: ignore[method-assign]


def test_a_boast_buys_layers_and_breaks_nothing(tmp_path: Path) -> None:
    site = Site(tmp_path / "home")
    folder = site.seal(build_model(tmp_path / "model", "llama"), 6)

    async def main() -> None:
        async with AsyncExitStack() as stack:
            workers, targets = [], []
            for name in ("w1", "w2", "w3"):
                worker, store = site.worker(name)
                stack.callback(store.close)
                stack.push_async_callback(worker.close)
                targets.append(Target("127.0.0.1", await worker.open(), Role.WORKER, name))
                workers.append(worker)
            chain, spares = tuple(targets[:2]), tuple(targets[2:])
            controller = Controller(replace(site.options(folder, chain, plan=HALVES), spares=spares))
            stack.push_async_callback(controller.stop)
            await controller.start(lambda _name, _done, _size: None)
            expected = await generate(controller, PROMPT, NEW_TOKENS)
            while not controller.cluster.spares:
                await generate(controller, PROMPT, 1)

            boast(workers[1], BOAST)
            boast(workers[2], OTHER_ROWS)
            shown = await controller._replanner.replan(only_show=True)
            assert [(stage.name, stage.run_id) for stage in shown.new] == [("w2", "slice_0_5")]
            assert shown.unmeasured == ("w3",)

            def hold_nothing(*_order: object) -> None:
                raise HostError("no memory")

            workers[1]._station._open = hold_nothing  # type: ignore[assignment, method-assign]
            answer = asyncio.create_task(generate(controller, PROMPT, NEW_TOKENS))
            with pytest.raises(RemoteError, match="no memory"):
                await controller._replanner.replan(only_show=False)
            assert controller.cluster.plan == HALVES
            assert await answer == expected
            assert await generate(controller, PROMPT, NEW_TOKENS) == expected

    run(main, seconds=120)
