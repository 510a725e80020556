"""R05: records or bodies of another session, or of another step, are spliced into this one.

Expected: rejected; the body of another step before it is allocated, and the connection ended; a step of another plan
answered with a failure.
Defence: TLS 1.3's record keys (channel/tls.py:read_into ends at the first failure) and channel/frames.py:FrameReader
(admission before the body); removed, the foreign record is dropped in silence and the stream goes on; a body of the
attacker's size is allocated and computed on.
Defence: worker/station.py:Station.admit (contract/admission.py:admit_part) and the epoch in worker/chain.py:Chain;
removed, a predecessor chooses how much a worker allocates and goes on when it was caught, and steps of a plan that is
over change the keys and values of this one.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import pytest

from mohawk.channel.frames import FrameKind, FrameReader, encode_head, step_limits
from mohawk.contract.admission import admit_from_dialler, admit_from_listener, admit_part
from mohawk.contract.codec import encode, encode_part
from mohawk.contract.messages import Purpose, Route
from mohawk.contract.steps import Opening, Segment, StagePart, Step, StepFailure, StepResult
from mohawk.controller.delivery import deliver_slice
from mohawk.controller.keys import KeyRelease
from mohawk.controller.member import Member
from mohawk.errors import MessageError, RemoteError, WorkerLostError
from mohawk.identity.names import Role
from mohawk.transport.dial import dial
from mohawk.transport.link import Link
from tests.e2e.inside import GREEDY, Site
from tests.support.models import build_model
from tests.support.nodes import run
from tests.support.orders import make_order
from tests.support.tls import Mesh, connect_pair

EPOCH = 1
ROW = 128 * 4
"""Bytes of one row of the tiny model, computed in float32."""


def test_a_record_of_another_session_ends_the_connection() -> None:
    mesh = Mesh()
    other, _ = connect_pair(mesh.controller, mesh.worker)
    client, server = connect_pair(mesh.controller, mesh.worker)
    foreign: list[bytes] = []
    other.send((b"another session",), foreign.append)
    server.receive(foreign[0])
    with pytest.raises(RemoteError):
        server.read_into(bytearray(100))
    honest: list[bytes] = []
    client.send((b"honest",), honest.append)
    server.receive(honest[0])
    with pytest.raises(RemoteError):  # the first failure is the last
        server.read_into(bytearray(100))


@pytest.mark.parametrize("rows", [0, 1, 3, 4])
def test_a_body_of_another_step_is_refused_before_it_is_allocated(rows: int) -> None:
    """The header says two rows; the body that was spliced under it holds another number."""
    part = encode_part(StagePart((Segment(sequence=1, start=0, count=2, sample=True),)))
    header = encode(Step(1, 1, (part,)))

    def admit(header: bytes, body_length: int) -> object:
        step = admit_from_dialler(Purpose.STEP, header, body_length)
        assert isinstance(step, Step)
        return admit_part(step, body_length, row_bytes=64, is_first=False, token_budget=16)

    reader = FrameReader(step_limits(1 << 20), admit)
    data = encode_head(FrameKind.STEP, header, rows * 64)
    reader.target()[: len(data)] = data
    with pytest.raises(MessageError):
        reader.advance(len(data))


@dataclass
class Answers:
    """What a worker reports of the steps it was sent."""

    heard: list[StepResult | StepFailure] = field(default_factory=list)
    happened: asyncio.Event = field(default_factory=asyncio.Event)

    def on_result(self, _worker: str, result: StepResult) -> None:
        self.heard.append(result)
        self.happened.set()

    def on_failure(self, _worker: str, failure: StepFailure) -> None:
        self.heard.append(failure)
        self.happened.set()

    def on_lost(self, error: WorkerLostError) -> None:
        raise error

    async def next(self) -> StepResult | StepFailure:
        while not self.heard:
            self.happened.clear()
            await asyncio.wait_for(self.happened.wait(), 5)
        return self.heard.pop(0)


@asynccontextmanager
async def second_stage(site: Site, source: Path) -> AsyncIterator[tuple[Answers, Callable[[], Awaitable[Link]]]]:
    """A real worker with the second half of a model, and how to connect as its predecessor."""
    folder = site.seal(source, 2)
    part, keyring = folder.manifest.slices[1], folder.keyring()
    context = site.context(Role.CONTROLLER, "controller")
    credentials = context.credentials
    keys = KeyRelease(keyring, site.provider.unwrap(keyring.model_key), credentials.key, folder.envelope)
    async with site.workers(1) as (target,):
        await deliver_slice(context, target, folder, part, lambda done: None)
        answers = Answers()
        member = await Member.connect(context, target, answers)
        try:
            await member.load(make_order(folder.envelope, part, folder.side_files()["config.json"]), part, keys)
            await member.route(Route(EPOCH, None, str(credentials.name)))

            async def connect() -> Link:
                link = await dial(context, target, Purpose.STEP)
                link.carry(step_limits(1 << 20), partial(admit_from_listener, Purpose.STEP))
                return link

            yield answers, connect
        finally:
            await member.close()


def test_a_worker_ends_a_connection_whose_step_and_body_do_not_fit(tmp_path: Path) -> None:
    two_rows = (Segment(sequence=1, start=0, count=2, sample=True),)
    opening = (Opening(1, 32, GREEDY),)
    honest = encode_part(StagePart(two_rows, openings=opening))
    with_tokens = encode_part(StagePart(two_rows, token_ids=(5, 6), openings=opening))
    attacks = [(honest, size) for size in (0, ROW, 2 * ROW - 4, 2 * ROW + 1, 3 * ROW)]
    attacks += [(with_tokens, size) for size in (0, 2 * ROW)]

    async def main() -> None:
        async with second_stage(Site(tmp_path / "home"), build_model(tmp_path / "m", "llama", layers=2)) as stage:
            answers, connect = stage
            for part, size in attacks:
                link = await connect()
                link.send(Step(7, EPOCH, (part,)), bytes(size))
                await asyncio.wait_for(link.closed, 5)
                assert answers.heard == [], "nothing of it was computed"
            link = await connect()
            link.send(Step(8, EPOCH + 1, (honest,)), bytes(2 * ROW))
            failure = await answers.next()
            assert isinstance(failure, StepFailure), "a step of another plan"
            link.send(Step(9, EPOCH, (honest,)), bytes(2 * ROW))
            result = await answers.next()
            assert isinstance(result, StepResult), "and none of them had opened the sequence"
            assert (failure.number, result.number) == (8, 9)
            link.close()
            await link.closed

    run(main, seconds=60)
