"""D12: a peer with a good certificate sends a hundred thousand malformed records, in one connection and in many -> its
connection ends at the first, the rest is not looked at, and another peer's requests are answered meanwhile.

All of a node's protocol runs on one event loop: what little is looked at costs less than one core whatever a peer does.
Defence: transport/link.py:Link.buffer_updated; removed, every one of them is parsed, refused and parsed on.
"""

from __future__ import annotations

import pytest

from mohawk.channel import frames
from mohawk.channel.frames import PREFIX
from mohawk.contract.messages import Heartbeat, HeartbeatReply, WorkerState
from mohawk.transport.link import Link
from tests.support.nodes import LOOPS, Recorder, call, run, serving
from tests.support.tls import Mesh

RECORDS = 100_000
CONNECTIONS = 20
MALFORMED = [
    PREFIX.pack(9, 1, 0, 10, 0) + bytes(10),
    PREFIX.pack(1, 7, 0, 10, 0) + bytes(10),
    PREFIX.pack(1, 1, 1, 10, 0) + bytes(10),
    PREFIX.pack(1, 1, 0, 0, 0),
    PREFIX.pack(1, 1, 0, 10, 0) + b"\xff" * 10,
    bytes(22),
]


def beat(link: Link, message: object, body: bytearray) -> None:
    if isinstance(message, Heartbeat):
        link.send(HeartbeatReply(message.number, WorkerState.READY, 7))


def flood(link: Link, record: bytes, count: int) -> None:
    """As fast as a peer can that keeps no rules of ours."""
    piece = record * 500
    for _ in range(count // 500):
        if link._transport is None:
            return
        link._tls.send((piece,), link._transport.write)


@pytest.fixture
def looked_at(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The prefixes that any reader has looked at and refused."""
    seen: list[bytes] = []
    original = frames.FrameError

    class Counted(original):
        def __init__(self, *words: object, **more: object) -> None:
            seen.append(b"")
            super().__init__(*words, **more)

    monkeypatch.setattr(frames, "FrameError", Counted)
    return seen


@pytest.mark.parametrize("record", MALFORMED, ids=["version", "kind", "reserved", "empty", "no message", "zeros"])
@pytest.mark.parametrize("loop", LOOPS)
def test_a_connection_ends_at_the_first(loop: str, record: bytes, looked_at: list[bytes]) -> None:
    mesh = Mesh()

    async def main() -> None:
        service = Recorder(beat)
        async with serving(mesh.worker, service) as listener:
            honest = await call(mesh.controller, listener)
            hostile = await call(mesh.controller, listener)
            flood(hostile, record, RECORDS)
            for number in range(5):
                reply = await honest.request(Heartbeat(number), HeartbeatReply, 10)
                assert reply.number == number
            await hostile.closed
            await service.until(lambda: service.endings)
            assert len(service.endings) == 1
            assert service.endings[0] is not None
            assert [message for message, _ in service.messages] == [Heartbeat(number) for number in range(5)]

    run(main, loop, seconds=60)
    assert len(looked_at) <= 1


def test_connections_one_after_the_other(looked_at: list[bytes]) -> None:
    mesh = Mesh()

    async def main() -> None:
        service = Recorder(beat)
        async with serving(mesh.worker, service) as listener:
            honest = await call(mesh.controller, listener)
            for number in range(CONNECTIONS):
                hostile = await call(mesh.controller, listener)
                flood(hostile, MALFORMED[0], RECORDS // CONNECTIONS)
                assert (await honest.request(Heartbeat(number), HeartbeatReply, 10)).number == number
                await hostile.closed
            await service.until(lambda: len(service.endings) == CONNECTIONS)

    run(main, seconds=60)
    assert len(looked_at) == CONNECTIONS
