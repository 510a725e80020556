"""R14: the first stage of a chain of three is taken over. It computes, and beside each honest step it replays, reorders,
forges and redirects others. (Ours: not from the numbered list of attacks.)

Expected: each of them is refused by the next stage that it reaches, counted in that worker's heartbeats, shown in status
and recorded as tickets-refused; answers that run meanwhile, before and after are what the unsplit model says. What the
thief withholds costs that step alone, by its deadline.
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
from pathlib import Path

import pytest

from mohawk.audit.events import AuditEvent, EventKind
from mohawk.contract.messages import Purpose
from mohawk.contract.steps import Step
from mohawk.controller import engine
from mohawk.controller.service import Controller
from mohawk.crypto.primitives import random_bytes
from mohawk.errors import RemoteError, UnavailableError
from mohawk.identity.names import Role
from mohawk.transport.dial import Target, dial
from mohawk.worker.chain import AdmittedStep, Chain
from mohawk.worker.runner import Outcome
from mohawk.worker.service import Worker
from tests.e2e.inside import Site, generate
from tests.model.opening import decode_alone
from tests.support.models import build_model
from tests.support.nodes import run
from tests.support.tickets import with_sequence

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("up")]

SECOND, THIRD = "spiffe://mesh.example/worker/w1", "spiffe://mesh.example/worker/w2"
PROMPT = [5, 6, 7, 8]
TOKENS = 24
STEP_SECONDS = 2.0
"""For a step that never comes back; all others have the engine's 30."""

Sent = tuple[Step, bytes]


@dataclass
class Thief:
    """What sits at the first stage. `before` and `after` say what it sends around each honest step; `substitute`, what
    it sends in its place.
    """

    chain: Chain
    before: Callable[[Step, bytes], list[Sent]] = lambda _step, _body: []
    after: Callable[[Step, bytes], list[Sent]] = lambda _step, _body: []
    substitute: Callable[[Step, bytes], list[Sent]] = lambda step, body: [(step, body)]
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
    events: list[AuditEvent]
    third: Target

    async def answer(self) -> list[int]:
        return await generate(self.controller, PROMPT, TOKENS)

    async def lose(self, patch: pytest.MonkeyPatch) -> None:
        """An answer of which one step does not come back."""
        with patch.context() as patched:
            patched.setattr(engine, "STEP_SECONDS", STEP_SECONDS)
            with pytest.raises(UnavailableError, match="in time"):
                await self.answer()

    async def refused(self, second: int, third: int = 0) -> None:
        """Until heartbeats told of so many, and no more: by status and by the record."""
        expected = [0, second, third]
        async with asyncio.timeout(10):
            while (found := [w.refused_tickets for w in self.controller.status().workers]) != expected:
                assert all(one <= most for one, most in zip(found, expected, strict=True)), found
                await asyncio.sleep(0.02)
        recorded: Counter[str] = Counter()
        for event in self.events:
            if event.kind is EventKind.TICKETS_REFUSED:
                recorded[event.subject] += int(event.details["count"])
        assert recorded == +Counter({SECOND: second, THIRD: third})


@asynccontextmanager
async def scene(home: Path, source: Path) -> AsyncIterator[Scene]:
    """Two stages in processes of their own; the thief in ours, where the test can hold its hand."""
    site, events = Site(home), list[AuditEvent]()
    with site.worker_processes(2, quiet=False) as (second, third):
        worker, store = site.worker("thief")
        first = Target("127.0.0.1", await worker.open(), Role.WORKER, "thief")
        try:
            async with site.serving(source, (first, second, third), record=events.append) as controller:
                yield Scene(site, controller, take_over(worker), events, third)
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


def test_nothing_of_a_compromised_stage_is_computed_and_all_of_it_counted(
    source: Path, expected: list[int], tmp_path: Path
) -> None:
    async def main() -> None:
        async with scene(tmp_path / "home", source) as chain:
            thief = chain.thief
            assert await chain.answer() == expected, "before"
            await chain.refused(0)

            def replay_and_redirect(step: Step, body: bytes) -> list[Sent]:
                """After it was used: again, an older one, the thief's own, and the one of the stage after next."""
                used = [(step, body), thief.seen[0], thief.seen[-1]]
                return [*used, *((replace(step, parts=parts), body) for parts in ((thief.own[-1],), step.parts[1:]))]

            thief.before, thief.after = forge_and_move, replay_and_redirect
            assert await asyncio.gather(chain.answer(), chain.answer()) == [expected] * 2, "during"
            thief.before = thief.after = lambda _step, _body: []
            assert thief.lies >= 13 * TOKENS
            await chain.refused(thief.lies)
            assert await chain.answer() == expected, "after"

            old = thief.seen[-1]
            await chain.controller.reconnect()
            for _ in range(2):
                thief.send(*old)  # of a route that is over
            await chain.refused(thief.lies + 2)
            with pytest.raises(RemoteError, match="predecessor"):
                await dial(chain.site.context(Role.WORKER, "thief"), chain.third, Purpose.STEP)
            thief.take_over()
            assert await chain.answer() == expected, "on the new route"
            await chain.refused(thief.lies + 2)

    run(main, seconds=120)


def test_what_it_withholds_or_puts_before_others_costs_that_step_alone(
    source: Path, expected: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        async with scene(tmp_path / "home", source) as chain:
            thief, held = chain.thief, list[Sent]()
            assert await chain.answer() == expected, "before"

            def hold(step: Step, body: bytes) -> list[Sent]:
                if not body:  # it only closes the last answer's sequence
                    return [(step, body)]
                held.append((step, body))
                thief.substitute = honest
                return []

            def release(_step: Step, _body: bytes) -> list[Sent]:
                thief.after = nothing
                return [held[0]]

            def poison(step: Step, body: bytes) -> list[Sent]:
                """The next stage's ticket is right; behind it goes an old one, for the stage after it."""
                if not body:
                    return [(step, body)]
                thief.substitute = honest
                return [(replace(step, parts=(step.parts[0], thief.seen[0][0].parts[1])), body)]

            honest, nothing = thief.substitute, thief.after
            thief.substitute = hold
            await chain.lose(monkeypatch)
            thief.after = release  # after the next step: reordered
            assert await chain.answer() == expected
            await chain.refused(1)

            thief.substitute = poison
            await chain.lose(monkeypatch)
            assert await chain.answer() == expected, "after"
            await chain.refused(1, 1)

    run(main, seconds=120)
