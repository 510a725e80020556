"""D17: a worker says that its neighbours are silent, to have them replaced: by itself, by its friends, or by nobody.

Expected: whoever complains alone is replaced itself. One that is silent to its neighbours too, so that they complain of
it as it does of them, evicts one of them and goes with the next. A complaint about a neighbour that it does not have, or
a second one about the same, costs it its place; one about another route says nothing.

Defence: planning/links.py:choose_end and controller/pipeline.py:Pipeline.on_silence; removed, one worker empties the chain of all others,
or holds it up for as long as it likes.
"""

from __future__ import annotations

import asyncio

import pytest

from mohawk.contract.messages import Message
from mohawk.contract.steps import NeighbourSilent
from mohawk.worker.neighbours import Watch
from tests.simulation.cluster import Shape, SimulatedController, perform
from tests.simulation.worker import Worker

SHAPE = Shape(workers=8, stages=4, sequences=8, kv_tokens=2048, depth=2)
LIAR = "worker-1"
"""The second stage: it has a neighbour on either side."""


def names(controller: SimulatedController) -> list[str]:
    return [member.name for member in controller.cluster.members]


def say(controller: SimulatedController, message: Message) -> None:
    liar = controller.worker(LIAR)
    assert liar.chain.report is not None
    liar.chain.report(message)


async def settle(controller: SimulatedController) -> None:
    await asyncio.sleep(2.0)
    assert controller.is_whole


@pytest.mark.parametrize("is_next", [True, False])
def test_who_complains_alone_goes(is_next: bool) -> None:
    async def story(controller: SimulatedController) -> None:
        say(controller, NeighbourSilent(controller.cluster.epoch, is_next))
        await settle(controller)
        assert names(controller) == ["worker-0", names(controller)[1], "worker-2", "worker-3"]
        assert LIAR not in names(controller)

    perform(SHAPE, story)


def test_who_is_also_silent_evicts_one_and_then_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = Watch._send

    def send(watch: Watch) -> None:
        if isinstance(watch._link.owner, Worker) and watch._link.owner.name != LIAR:
            honest(watch)

    monkeypatch.setattr(Watch, "_send", send)

    async def story(controller: SimulatedController) -> None:
        for _ in range(4):  # as often as it finds somebody beside it
            if LIAR in names(controller):
                say(controller, NeighbourSilent(controller.cluster.epoch, True))
            await settle(controller)
        assert LIAR not in names(controller)
        assert len({"worker-0", "worker-2", "worker-3"} - set(names(controller))) <= 1

    perform(SHAPE, story)


def test_a_neighbour_that_is_not_there_cannot_be_accused() -> None:
    async def story(controller: SimulatedController) -> None:
        last = controller.worker("worker-3")
        assert last.chain.report is not None
        last.chain.report(NeighbourSilent(controller.cluster.epoch, True))
        await settle(controller)
        assert names(controller)[:3] == ["worker-0", "worker-1", "worker-2"]
        assert names(controller)[3] != "worker-3"

    perform(SHAPE, story)


def test_a_second_complaint_about_one_neighbour_ends_the_connection() -> None:
    async def story(controller: SimulatedController) -> None:
        member = controller.cluster.members[1]
        for _ in range(2):
            say(controller, NeighbourSilent(controller.cluster.epoch, True))
        await asyncio.sleep(0.01)
        assert member.is_gone
        await settle(controller)
        assert {"worker-0", "worker-2", "worker-3"} < set(names(controller))

    perform(SHAPE, story)


def test_complaints_about_other_routes_say_nothing() -> None:
    async def story(controller: SimulatedController) -> None:
        before = controller.cluster.epoch
        for epoch in (before - 1, before + 1):
            for _ in range(100):
                say(controller, NeighbourSilent(epoch, True))
        await settle(controller)
        assert (controller.cluster.epoch, names(controller)[1]) == (before, LIAR), "nothing was repaired"

    perform(SHAPE, story)
