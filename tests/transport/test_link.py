"""Links over real sockets, on asyncio's own loop and on uvloop."""

from __future__ import annotations

import asyncio

import pytest

from mohawk.channel.frames import encode_head, step_limits
from mohawk.contract.admission import admit_from_dialler
from mohawk.contract.messages import Failure, Heartbeat, HeartbeatReply, Purpose, SliceChunk, WorkerState
from mohawk.contract.steps import Step
from mohawk.errors import FrameError, MessageError, RemoteError, UnavailableError, UsageError
from mohawk.transport.link import Link
from tests.support.nodes import LOOPS, Recorder, call, run, serving
from tests.support.tls import Mesh

DIGEST = "0" * 64


@pytest.fixture(scope="module")
def mesh() -> Mesh:
    return Mesh()


@pytest.fixture(params=LOOPS)
def loop(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def beat(link: Link, message: object, body: bytearray) -> None:
    if isinstance(message, Heartbeat):
        link.send(HeartbeatReply(message.number, WorkerState.READY, 7))


def test_a_request_is_answered(mesh: Mesh, loop: str) -> None:
    async def main() -> None:
        service = Recorder(beat)
        async with serving(mesh.worker, service) as listener:
            link = await call(mesh.controller, listener)
            assert link.peer.name == mesh.worker.credentials.name
            assert (link.session.group, link.purpose) == ("X25519MLKEM768", Purpose.CONTROL)
            for number in range(3):
                reply = await link.request(Heartbeat(number), HeartbeatReply, 5)
                assert reply == HeartbeatReply(number, WorkerState.READY, 7)
            link.close()
            await link.closed
            assert link.error is None
            await service.until(lambda: service.endings)
            assert service.endings == [None]

    run(main, loop)


@pytest.mark.parametrize("size", [1, 15_999, 16_001, 70_000, 1 << 20])
def test_bodies_arrive_whole(mesh: Mesh, loop: str, size: int) -> None:
    async def main() -> None:
        service = Recorder()
        async with serving(mesh.worker, service) as listener:
            link = await call(mesh.controller, listener, Purpose.SLICE)
            body = (bytes(range(256)) * (size // 256 + 1))[:size]
            link.send(SliceChunk(DIGEST, 0), body)
            link.send(SliceChunk(DIGEST, size), memoryview(bytearray(body)))
            await link.drain()
            await service.until(lambda: len(service.messages) == 2)
            assert service.messages == [(SliceChunk(DIGEST, 0), body), (SliceChunk(DIGEST, size), body)]

    run(main, loop)


def test_a_reader_that_pauses_slows_the_sender(mesh: Mesh, loop: str) -> None:
    async def main() -> None:
        service = Recorder(lambda link, message, body: link.pause_reading())
        async with serving(mesh.worker, service) as listener:
            link = await call(mesh.controller, listener, Purpose.SLICE)
            sent = 0
            while not link.write_paused and sent < 200:
                link.send(SliceChunk(DIGEST, sent), bytes(1 << 20))
                sent += 1
                await asyncio.sleep(0)
            assert link.write_paused  # and not 200 MiB in memory
            draining = asyncio.ensure_future(link.drain())
            service.answer = lambda link, message, body: None
            await service.until(lambda: service.links and service.messages)
            service.links[0].resume_reading()
            await draining
            await service.until(lambda: len(service.messages) == sent)

    run(main, loop)


def test_a_failure_is_raised_where_an_answer_is_awaited(mesh: Mesh) -> None:
    async def main() -> None:
        service = Recorder(lambda link, message, body: link.send(Failure("refused_by_policy", "not today", "tomorrow")))
        async with serving(mesh.worker, service) as listener:
            link = await call(mesh.controller, listener)
            with pytest.raises(RemoteError, match="not today") as caught:
                await link.request(Heartbeat(1), HeartbeatReply, 5)
            assert caught.value.hint == "tomorrow"

    run(main)


def test_a_silent_peer_is_a_timeout(mesh: Mesh) -> None:
    async def main() -> None:
        async with serving(mesh.worker, Recorder()) as listener:
            link = await call(mesh.controller, listener)
            with pytest.raises(UnavailableError, match="in time"):
                await link.request(Heartbeat(1), HeartbeatReply, 0.05)

    run(main)


def test_an_idle_limit_ends_a_silent_connection(mesh: Mesh, loop: str) -> None:
    async def main() -> None:
        service = Recorder()
        async with serving(mesh.worker, service) as listener:
            link = await call(mesh.controller, listener)
            link.limit_idle(0.05)
            await link.closed
            assert isinstance(link.error, UnavailableError)
            await service.until(lambda: service.endings)
            assert isinstance(service.endings[0], UnavailableError)  # cut, no goodbye

    run(main, loop)


def test_a_cut_connection_fails_whoever_waits(mesh: Mesh, loop: str) -> None:
    async def main() -> None:
        service = Recorder(lambda link, message, body: link.abort())
        async with serving(mesh.worker, service) as listener:
            link = await call(mesh.controller, listener)
            with pytest.raises(UnavailableError):
                await link.request(Heartbeat(1), HeartbeatReply, 5)
            with pytest.raises(UnavailableError):
                link.send(Heartbeat(2))
            with pytest.raises(UnavailableError):
                await link.drain()
            with pytest.raises(UnavailableError):
                await link.request(Heartbeat(3), HeartbeatReply, 5)

    run(main, loop)


def test_a_message_that_does_not_belong_here_ends_the_connection(mesh: Mesh) -> None:
    async def main() -> None:
        service = Recorder()
        async with serving(mesh.worker, service) as listener:
            link = await call(mesh.controller, listener)
            link.send(HeartbeatReply(1, WorkerState.READY, 1))  # a controller that speaks like a worker
            link.send(Heartbeat(2))
            await service.until(lambda: service.endings)
            assert isinstance(service.endings[0], MessageError)
            assert service.messages == []  # nothing behind it is delivered
            await link.closed
            assert isinstance(link.error, UnavailableError)

    run(main)


def test_a_handler_that_refuses_ends_the_connection(mesh: Mesh) -> None:
    def refuse(link: Link, message: object, body: bytearray) -> None:
        raise RemoteError("a lie")

    async def main() -> None:
        service = Recorder(refuse)
        async with serving(mesh.worker, service) as listener:
            link = await call(mesh.controller, listener)
            link.send(Heartbeat(1))
            link.send(Heartbeat(2))
            await service.until(lambda: service.endings)
            assert len(service.messages) == 1
            assert isinstance(service.endings[0], RemoteError)

    run(main)


def test_a_step_needs_an_owner_that_knows_its_size(mesh: Mesh) -> None:
    async def main() -> None:
        service = Recorder()
        async with serving(mesh.worker, service) as listener:
            link = await call(mesh.controller, listener, Purpose.STEP)
            with pytest.raises(UsageError):
                link.send(Step(1, 1, (b"",)), b"tensor")
            link._tls.send((encode_head(3, b"\xf2\x01\x00", 6) + b"tensor",), link._transport.write)  # unchecked
            await service.until(lambda: service.endings)
            assert isinstance(service.endings[0], FrameError)

    run(main)


def test_an_owner_names_the_steps_it_will_carry(mesh: Mesh) -> None:
    def admit(header: bytes, body_length: int) -> object:
        return admit_from_dialler(Purpose.STEP, header, body_length)

    class Stage(Recorder):
        def accept(self, link: Link) -> None:
            super().accept(link)
            link.carry(step_limits(1000), admit)

    async def main() -> None:
        service = Stage()
        async with serving(mesh.worker, service) as listener:
            link = await call(mesh.controller, listener, Purpose.STEP)
            link.carry(step_limits(2000), admit)
            link.send(Step(1, 1, (b"part",)), bytes(1000))
            link.send(Step(2, 1, (b"part",)), bytes(1001))
            await service.until(lambda: service.endings)
            assert service.messages == [(Step(1, 1, (b"part",)), bytes(1000))]
            assert isinstance(service.endings[0], FrameError)

    run(main)


def test_a_stream_cut_inside_a_frame_is_truncation(mesh: Mesh, loop: str) -> None:
    async def main() -> None:
        service = Recorder()
        async with serving(mesh.worker, service) as listener:
            link = await call(mesh.controller, listener, Purpose.SLICE)
            head = encode_head(2, b"\xb2\x01\x42\x0a\x40" + b"0" * 64, 500)
            link._tls.send((head + bytes(100),), link._transport.write)
            link.close()
            await service.until(lambda: service.endings)
            assert isinstance(service.endings[0], FrameError)
            assert service.messages == []

    run(main, loop)
