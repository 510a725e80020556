"""R14: the first stage of a chain of three is taken over. It computes, and beside each honest step it replays, reorders,
forges and redirects others. (Ours: not from the numbered list of attacks.)

Expected: each of them is refused by the next stage that it reaches, counted in that worker's heartbeats, shown in status
and recorded as tickets-refused; answers that run meanwhile, before and after are what the unsplit model says. What the
thief withholds costs time, until the step's deadline: the chain is routed anew, and the answer goes on.
Defence: worker/tickets.py:TicketReader.open, asked by worker/chain.py:Chain._admit; removed, whoever holds one stage has
all stages behind it compute what it likes, when it likes, for whom it likes.
Defence: controller/pipeline.py:Pipeline.on_refused_tickets; removed, nobody hears of it.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import pytest

from mohawk.audit.events import EventKind
from mohawk.contract.messages import Purpose
from mohawk.contract.steps import Step
from mohawk.controller.service import Controller
from mohawk.crypto.primitives import random_bytes
from mohawk.errors import RemoteError
from mohawk.generation import pace
from mohawk.identity.names import Role
from mohawk.transport.dial import Target, dial
from mohawk.worker.chain import AdmittedStep, Chain
from mohawk.worker.runner import Outcome
from mohawk.worker.service import Worker
from tests.e2e.inside import Site, generate
from tests.model.opening import decode_alone
from tests.support.audit import Heard
from tests.support.models import build_model
from tests.support.nodes import run
from tests.support.tickets import with_sequence

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("up")]

SECOND, THIRD = "spiffe://mesh.example/worker/w1", "spiffe://mesh.example/worker/w2"
PROMPT = [5, 6, 7, 8]
TOKENS = 24
STEP_SECONDS = 2.0
"""For a step that never comes back; all others have longer (`generation.pace`)."""

Sent = tuple[Step, bytes]
Lie = Callable[[Step, bytes], list[Sent]]


def nothing(_step: Step, _body: bytes) -> list[Sent]:
    return []


@dataclass
class Thief:
    """What sits at the first stage. `before` and `after` say what it sends around each honest step; `substitute`, what
    it sends in its place.
    """

    chain: Chain
    before: Lie = nothing
    after: Lie = nothing
    substitute: Lie = lambda step, body: [(step, body)]
    own: list[bytes] = field(default_factory=list)
    """The tickets that were for this stage."""
    seen: list[Sent] = field(default_factory=list)
    lies: int = 0

    def take_over(self) -> None:
        open_ticket = self.chain._tickets.open

        def remember(ticket: bytes, tensor: tuple[int, int, int], length: int) -> bytes:
            self.own.append(ticket)
            return open_ticket(ticket, tensor, length)

        self.chain._tickets.open = remember
        self.chain._hand_on = self.hand_on

    def hand_on(self, step: AdmittedStep, outcome: Outcome) -> None:
        honest = Step(step.part.number, self.chain._route.epoch, step.rest)
        body = bytes(outcome.activations)
        lies = [self.before(honest, body), self.after(honest, body)]
        for message, tensor in (*lies[0], *self.substitute(honest, body), *lies[1]):
            self.send(message, tensor)
        self.lies += sum(map(len, lies))
        self.seen.append((honest, body))

    def send(self, step: Step, body: bytes) -> None:
        self.chain._next.send(step, body)


@dataclass
class Scene:
    """The chain, what the controller recorded, and the two stages behind the thief."""

    site: Site
    controller: Controller
    thief: Thief
    heard: Heard
    third: Target

    async def answer(self) -> list[int]:
        return await generate(self.controller, PROMPT, TOKENS)

    async def lose(self, substitute: Lie, patch: pytest.MonkeyPatch) -> list[int]:
        """An answer whose first step does not come back: the thief sends something else in its place, once. The chain
        is routed anew, and the answer goes on.
        """

        def once(step: Step, body: bytes) -> list[Sent]:
            if not body:  # a step that only closes the sequence of the answer before
                return [(step, body)]
            self.thief.substitute = honest
            return substitute(step, body)

        honest, self.thief.substitute = self.thief.substitute, once
        with patch.context() as patched:
            patched.setattr(pace, "FIRST_PATIENCE_SECONDS", STEP_SECONDS)
            patched.setattr(pace, "LEAST_PATIENCE_SECONDS", STEP_SECONDS)
            answer = await self.answer()
        self.thief.take_over()  # of the new route
        return answer

    async def refused(self, second: int, third: int = 0) -> None:
        """Until heartbeats told of so many, and no more: by status and by the record."""
        expected = [0, second, third]
        async with asyncio.timeout(10):
            while (found := [w.refused_tickets for w in self.controller.status().workers]) != expected:
                assert all(one <= most for one, most in zip(found, expected, strict=True)), found
                await asyncio.sleep(0.02)
        recorded = Counter(event.subject for event in self.heard.of(EventKind.TICKETS_REFUSED))
        assert recorded == +Counter({SECOND: second, THIRD: third})


@asynccontextmanager
async def scene(home: Path, source: Path) -> AsyncIterator[Scene]:
    """Two stages in processes of their own; the thief in ours, where the test can hold its hand."""
    site, heard = Site(home), Heard()
    with site.worker_processes(2, quiet=False) as (second, third):
        worker, store = site.worker("thief")
        first = Target("127.0.0.1", await worker.open(), Role.WORKER, "thief")
        try:
            targets = (first, second, third)
            async with site.serving(source, targets, record=heard.record, note=heard.note) as controller:
                yield Scene(site, controller, take_over(worker), heard, third)
        finally:
            await worker.close()
            store.close()


def take_over(worker: Worker) -> Thief:
    thief = Thief(worker._chain)
    thief.take_over()
    return thief


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_model(tmp_path_factory.mktemp("models") / "llama", "llama")


@pytest.fixture(scope="module")
def expected(source: Path) -> list[int]:
    return decode_alone(source, [PROMPT], TOKENS)[0]


def flip(ticket: bytes, place: int) -> bytes:
    return ticket[:place] + bytes([ticket[place] ^ 1]) + ticket[place + 1 :]


def forge_and_move(step: Step, body: bytes) -> list[Sent]:
    """Before the honest ticket was used: forged from it, and itself beside another tensor."""
    ticket, rest = step.parts[0], step.parts[1:]
    forgeries = (random_bytes(len(ticket)), flip(ticket, -1), flip(ticket, 40), with_sequence(ticket, 1 << 40), b"")
    bodies = (b"", body + body, bytes(2 * len(body)))
    return [
        *((replace(step, parts=(forged, *rest)), body) for forged in forgeries),
        *((step, other) for other in bodies),
    ]


def replay_and_redirect(thief: Thief, step: Step, body: bytes) -> list[Sent]:
    """After it was used: again, older ones, the thief's own, and the one of the stage after next."""
    others = ((thief.own[-1],), step.parts[1:])
    return [(step, body), thief.seen[0], thief.seen[-1], *((replace(step, parts=parts), body) for parts in others)]


async def lie_beside_honest_steps(chain: Scene, expected: list[int]) -> None:
    """Thirteen lies with each step of two answers that run at once."""
    thief = chain.thief
    thief.before, thief.after = forge_and_move, partial(replay_and_redirect, thief)
    assert await asyncio.gather(chain.answer(), chain.answer()) == [expected] * 2
    thief.before = thief.after = nothing
    assert thief.lies >= 13 * TOKENS
    await chain.refused(thief.lies)


async def lie_in_place_of_honest_steps(chain: Scene, expected: list[int], patch: pytest.MonkeyPatch) -> None:
    """One step is held back until a later one was sent: reordered. Of another, the ticket for the stage after next is
    an old one.
    """
    thief, held = chain.thief, list[Sent]()

    def hold(step: Step, body: bytes) -> list[Sent]:
        held.append((step, body))
        return []

    def poison(step: Step, body: bytes) -> list[Sent]:
        return [(replace(step, parts=(step.parts[0], thief.seen[0][0].parts[1])), body)]

    def release(_step: Step, _body: bytes) -> list[Sent]:
        thief.after = nothing
        return held

    assert await chain.lose(hold, patch) == expected
    thief.after = release
    assert await chain.answer() == expected
    await chain.refused(thief.lies)
    assert await chain.lose(poison, patch) == expected


async def lie_on_another_route(chain: Scene) -> None:
    """Steps of a route that is over, and a connection around the next stage."""
    old = chain.thief.seen[-1]
    await chain.controller.reconnect()
    chain.thief.take_over()
    for _ in range(2):
        chain.thief.send(*old)
    chain.thief.lies += 2
    with pytest.raises(RemoteError, match="predecessor"):
        await dial(chain.site.context(Role.WORKER, "thief"), chain.third, Purpose.STEP)


def test_a_compromised_stage_is_refused_and_counted_and_answers_stay_what_they_are(
    source: Path, expected: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        async with scene(tmp_path / "home", source) as chain:
            assert await chain.answer() == expected
            await chain.refused(0)
            await lie_beside_honest_steps(chain, expected)
            assert await chain.answer() == expected
            await lie_in_place_of_honest_steps(chain, expected, monkeypatch)
            assert await chain.answer() == expected
            await chain.refused(chain.thief.lies, third=1)
            await lie_on_another_route(chain)
            assert await chain.answer() == expected
            await chain.refused(chain.thief.lies, third=1)

    run(main, seconds=240)
