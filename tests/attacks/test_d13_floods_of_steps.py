"""D13: a predecessor in the chain, taken over, sends steps much faster than this stage computes. (Ours: not from the
numbered list of attacks.)

Expected: no more wait here than `STEPS_HELD` and what one read from the network holds; the rest fills the sender's own
memory. All of them are computed in the end, in order.
Defence: worker/chain.py:Chain (pause_reading, resume_reading); removed, every step that arrives is held with its
tensor, up to 64 MiB each, until the worker is killed.
"""

from __future__ import annotations

import asyncio
from functools import partial

import pytest

from mohawk.channel.frames import FrameKind, encode_head, step_limits
from mohawk.channel.openssl import TAKE_BYTES
from mohawk.contract.admission import admit_from_listener
from mohawk.contract.codec import decode_part, encode
from mohawk.contract.messages import Message, Purpose, Route
from mohawk.contract.steps import StagePart, StepResult
from mohawk.nouns.segment import Segment
from mohawk.transport.link import Link
from mohawk.worker.chain import STEPS_HELD, Chain
from mohawk.worker.runner import Outcome
from tests.support.audit import Heard
from tests.support.nodes import LOOPS, Recorder, call, run, serving
from tests.support.tickets import make_ends, make_route, make_step
from tests.support.tls import Mesh

STEPS = 60
BODY = 64 << 10
WIDTH = BODY // 4
IN_ONE_READ = TAKE_BYTES // BODY + 1
PART = StagePart((Segment(sequence=1, start=0, count=1, sample=True),))
ROUNDS = 300
"""Turns of the event loop in which whatever may be read is read."""


class StuckStation:
    """A stage whose compute thread does not come back until it is told to."""

    bytes_in = bytes_out = BODY

    def __init__(self) -> None:
        self.held: list[asyncio.Future[Outcome]] = []
        self.most = 0

    def expect(self, _body_length: int) -> tuple[int, int, int]:
        return 1, WIDTH, 1

    def admit(self, data: bytes, _body_length: int) -> StagePart:
        return decode_part(data)

    def run(self, _part: StagePart, _body: bytearray) -> asyncio.Future[Outcome]:
        self.held.append(asyncio.get_running_loop().create_future())
        self.most = max(self.most, len(self.held))
        return self.held[-1]


class Stage(Recorder):
    """A worker that is nothing but its place in the chain."""

    def accept(self, link: Link) -> None:
        super().accept(link)
        self.chain.accept(link)

    def in_chain(self, chain: Chain) -> Stage:
        self.chain = chain
        return self


async def settle() -> None:
    for _ in range(ROUNDS):
        await asyncio.sleep(0)


@pytest.mark.parametrize("loop", LOOPS)
def test_a_flood_stays_with_its_sender(loop: str) -> None:
    mesh = Mesh()
    station = StuckStation()
    done: list[Message] = []

    async def no_next(_route: Route) -> Link:
        raise AssertionError("the last stage")

    async def main() -> None:
        chain = Chain(station, no_next, Heard().note)  # type: ignore[arg-type]
        chain.report = done.append
        route, ends = make_route(stage=1), make_ends()
        await chain.set_route(route, ends.reader(route))
        writer = ends.writer(route, WIDTH)
        service = Stage().in_chain(chain)
        async with serving(mesh.worker, service) as listener:
            link = await call(mesh.controller, listener, Purpose.STEP)
            link.carry(step_limits(BODY), partial(admit_from_listener, Purpose.STEP))
            burst: list[bytes] = []
            transport = link._transport
            assert transport is not None
            for number in range(STEPS):
                head = encode_head(FrameKind.STEP, encode(make_step(writer, PART, number)), BODY)
                link._tls.send((head, bytes(BODY)), burst.append)
            transport.write(b"".join(burst))
            await settle()
            assert STEPS_HELD <= len(station.held) <= STEPS_HELD + IN_ONE_READ

            while len(done) < STEPS:
                await settle()
                assert station.held, "it goes on taking steps as soon as there is room"
                station.held.pop(0).set_result(Outcome(memoryview(b""), (), 0))
                await asyncio.sleep(0)
            assert station.most <= STEPS_HELD + IN_ONE_READ
            assert [result.number for result in done if isinstance(result, StepResult)] == list(range(STEPS))

    run(main, loop)
