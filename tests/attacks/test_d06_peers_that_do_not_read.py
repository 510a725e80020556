"""D06, between nodes: a peer asks and asks, and never reads an answer.

Expected: cut as soon as more than `MAXIMUM_UNSENT` waits for it.
Defence: transport/link.py:Link.send (MAXIMUM_UNSENT); removed, the answers pile up until this node's memory is full.
"""

from __future__ import annotations

import socket

import pytest

from mohawk.contract.messages import Heartbeat, KeyRequest
from mohawk.errors import UnavailableError
from mohawk.transport import link as link_module
from mohawk.transport.link import Link
from tests.support.nodes import LOOPS, Recorder, call, run, serving
from tests.support.tls import Mesh

QUESTIONS = 2000
ANSWER = KeyRequest(("0" * 64,), bytes(4096))
LIMIT = 256 << 10


def answer(link: Link, _message: object, _body: bytearray) -> None:
    link.send(ANSWER)


@pytest.mark.parametrize("loop", LOOPS)
def test_who_never_reads_is_cut(loop: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link_module, "MAXIMUM_UNSENT", LIMIT)
    mesh = Mesh()

    async def main() -> None:
        service = Recorder(answer)
        async with serving(mesh.worker, service) as listener:
            link = await call(mesh.controller, listener)
            for end in (link, service.links[0]):  # what the kernel holds for the two is not ours, and here not much
                shrink(end)
            link.pause_reading()
            for number in range(QUESTIONS):
                link.send(Heartbeat(number))
            await service.until(lambda: service.endings or len(service.messages) == QUESTIONS)
            assert len(service.messages) < QUESTIONS // 2
            assert isinstance(service.endings[0], UnavailableError)
            assert "does not read" in service.endings[0].message

    run(main, loop)


def test_who_reads_late_but_reads_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link_module, "MAXIMUM_UNSENT", LIMIT)
    mesh = Mesh()

    async def main() -> None:
        service, heard = Recorder(answer), Recorder()
        async with serving(mesh.worker, service) as listener:
            link = await call(mesh.controller, listener)
            link.on_message = heard._received
            shrink(link)
            link.pause_reading()
            few = LIMIT // len(ANSWER.public_key) // 2
            for number in range(few):
                link.send(Heartbeat(number))
            await service.until(lambda: len(service.messages) == few)
            link.resume_reading()
            await heard.until(lambda: len(heard.messages) == few)

    run(main)


def shrink(link: Link) -> None:
    assert link._transport is not None
    connection = link._transport.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 32 << 10)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 32 << 10)
