"""H13: a valid chain with the wrong role: a worker acts as a controller.

Expected: rejected before any message runs, also when the command arrives in the same packet as the greeting.
Defence: contract/access.py:check_opening, which transport/listen.py:Listener.greet asks before it welcomes anyone;
removed, a worker opens a control connection, and its commands run.
Defence: contract/admission.py:admit_hello, for the packet (until a listener has welcomed, nothing but a greeting is
decoded); removed, the command waits behind the greeting, and only the line above stands before it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from mohawk import __version__
from mohawk.channel.frames import FrameKind, encode_head
from mohawk.channel.tls import TlsConnection
from mohawk.contract.access import AccessRefusedError
from mohawk.contract.codec import decode, encode
from mohawk.contract.messages import Heartbeat, HeartbeatReply, Hello, Purpose
from mohawk.crypto.signing import PublisherKey
from mohawk.errors import RemoteError
from mohawk.host.slice_store import SliceStore
from mohawk.identity.names import Role
from mohawk.transport.dial import Target, dial
from mohawk.transport.link import Link
from mohawk.worker.service import Worker, WorkerSettings
from tests.support.nodes import Recorder, call, run, serving
from tests.support.tls import Mesh, accept_all

pytestmark = pytest.mark.parametrize("loop", ["asyncio", "uvloop"])


COMMAND = b"".join(
    encode_head(FrameKind.CONTROL, header, 0)
    for header in (encode(Hello(Purpose.CONTROL, f"mohawk {__version__}")), encode(Heartbeat(1)))
)
"""The greeting, and a command right behind it."""


@asynccontextmanager
async def real_worker(mesh: Mesh, folder: Path) -> AsyncIterator[Target]:
    store = SliceStore(folder, 0)
    settings = WorkerSettings(
        mesh.credentials(Role.WORKER, "w1"), PublisherKey.generate().pins(), host="127.0.0.1", port=0
    )
    worker = Worker(settings, store)
    try:
        yield Target("127.0.0.1", await worker.open(), Role.WORKER, "w1")
    finally:
        await worker.close()
        store.close()


async def shout(mesh: Mesh, port: int, heard: list[object]) -> None:
    """Send the packet as a worker, and listen until the connection ends."""

    def send(link: Link) -> None:
        assert link._transport is not None
        link._tls.send((COMMAND,), link._transport.write)

    def admit(header: bytes, _body_length: int) -> object:
        return decode(header)

    link = Link(TlsConnection(mesh.worker, accept_all, is_server=False), admit, send)
    link.on_message = lambda link, message, body: heard.append(message)
    await asyncio.get_running_loop().create_connection(lambda: link, "127.0.0.1", port)
    await asyncio.wait_for(link.closed, 5)


def test_a_worker_cannot_act_as_a_controller(loop: str) -> None:
    mesh = Mesh()

    async def main() -> None:
        service = Recorder()
        async with serving(mesh.worker, service) as listener:
            with pytest.raises(RemoteError):
                await call(mesh.worker, listener)
            await service.until(lambda: service.refusals)
            error = service.refusals[0][1]
            assert isinstance(error, AccessRefusedError)
            assert service.links == []

    run(main, loop)


def test_a_command_behind_the_greeting_does_not_run(loop: str) -> None:
    mesh = Mesh()

    async def main() -> None:
        service = Recorder()
        async with serving(mesh.worker, service) as listener:
            await shout(mesh, listener.port, [])
            await service.until(lambda: service.refusals)
            assert service.messages == []
            assert service.links == []

    run(main, loop)


def test_nor_on_a_worker_as_it_runs(loop: str, tmp_path: Path) -> None:
    mesh = Mesh()
    heard: list[object] = []

    async def main() -> None:
        async with real_worker(mesh, tmp_path / "store") as target:
            for purpose in (Purpose.CONTROL, Purpose.SLICE):
                with pytest.raises(RemoteError, match="refused"):
                    await dial(mesh.worker, target, purpose)
            await shout(mesh, target.port, heard)
            assert heard == []
            control = await dial(mesh.controller, target, Purpose.CONTROL)
            await control.request(Heartbeat(1), HeartbeatReply, 5)
            control.close()
            await control.closed

    run(main, loop)
