"""R05: records or bodies of another session, request or epoch are spliced into this one.

Expected: rejected; the body of another step before it is allocated; a ticket of another plan, route or epoch opens
nothing, and is counted.
Defence: TLS 1.3's record keys (channel/tls.py:read_into ends at the first failure) and channel/frames.py:FrameReader
(admission before the body); removed, the foreign record is dropped in silence and the stream goes on; a body of the
attacker's size is allocated and computed on.
Defence: the expectation that a ticket is sealed with (worker/tickets.py:TicketReader.open) and the transcript under its
key (channel/record.py:Transcript.digest); removed, a predecessor chooses how much a worker allocates and computes, and
steps of a plan that is over change the keys and values of this one.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from mohawk.channel.frames import FrameKind, FrameReader, encode_head, step_limits
from mohawk.channel.record import Opener, Sealer, Transcript
from mohawk.channel.replay import InOrder, RecordRefusedError
from mohawk.contract.admission import admit_from_dialler, admit_part
from mohawk.contract.codec import encode, encode_part
from mohawk.contract.messages import Purpose
from mohawk.contract.steps import Opening, StagePart, Step, StepResult
from mohawk.errors import MessageError, RemoteError
from mohawk.nouns.segment import Segment
from tests.e2e.inside import GREEDY
from tests.support.nodes import run
from tests.support.stage import ROW, second_stage
from tests.support.tickets import EXPECTATION, TRANSCRIPT, export, make_step
from tests.support.tls import Mesh, connect_pair


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
        return admit_part(step.parts[0], body_length, row_bytes=64, is_first=False, token_budget=16)

    reader = FrameReader(step_limits(1 << 20), admit)
    data = encode_head(FrameKind.STEP, header, rows * 64)
    reader.target()[: len(data)] = data
    with pytest.raises(MessageError):
        reader.advance(len(data))


@pytest.mark.parametrize(
    ("transcript", "epoch"),
    [
        (replace(TRANSCRIPT, connection_id=b"another id......"), 1),
        (replace(TRANSCRIPT, plan=b"another plan".ljust(32)), 1),
        (TRANSCRIPT, 2),
    ],
    ids=["connection", "plan", "epoch"],
)
def test_a_ticket_of_elsewhere_opens_nothing(transcript: Transcript, epoch: int) -> None:
    foreign = Sealer(export, transcript, epoch).seal(b"step", EXPECTATION)
    opener = Opener(export, TRANSCRIPT, 1, InOrder())
    with pytest.raises(RecordRefusedError):
        opener.open(foreign, EXPECTATION)
    assert opener.open(Sealer(export, TRANSCRIPT, 1).seal(b"step", EXPECTATION), EXPECTATION) == b"step"


def test_a_worker_takes_a_ticket_beside_its_own_tensor_only(tmp_path: Path) -> None:
    """A predecessor moves tickets to other bodies, and to the next plan's route."""
    part = StagePart((Segment(sequence=1, start=0, count=2, sample=True),), openings=(Opening(1, 32, GREEDY),))

    async def main() -> None:
        async with second_stage(tmp_path) as stage:
            writer = await stage.route(epoch=1)
            link = await stage.connect()
            sizes = (0, ROW, 3 * ROW)
            for size in sizes:
                link.send(make_step(writer, part), bytes(size))
            await stage.answers.refusals(len(sizes))
            link.send(make_step(writer, part), bytes(2 * ROW - 4))
            await asyncio.wait_for(link.closed, 5)  # no whole number of rows: not even a step
            old, fresh = writer, await stage.route(epoch=2)
            link = await stage.connect()
            link.send(make_step(old, part, 8), bytes(2 * ROW))
            await stage.answers.refusals(len(sizes) + 1)
            assert stage.answers.heard == [], "nothing of it was computed"
            link.send(make_step(fresh, part, 9), bytes(2 * ROW))
            result = await stage.answers.next()
            assert isinstance(result, StepResult), "and none of them had opened the sequence"
            assert result.number == 9
            link.close()
            await link.closed

    run(main, seconds=60)


def test_token_ids_for_a_later_stage_end_the_connection(tmp_path: Path) -> None:
    """Sealed by the controller itself, and still not what this stage may take."""
    two = (Segment(sequence=1, start=0, count=2, sample=True),)

    async def main() -> None:
        async with second_stage(tmp_path) as stage:
            writer = await stage.route()
            link = await stage.connect()
            link.send(make_step(writer, StagePart(two, token_ids=(5, 6))), bytes(2 * ROW))
            await asyncio.wait_for(link.closed, 5)
            assert stage.answers.heard == []

    run(main, seconds=60)
