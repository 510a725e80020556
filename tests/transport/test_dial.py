"""Who answers is who was asked for, and an unanswered call says so."""

from __future__ import annotations

import asyncio
import socket

import pytest

from mohawk.contract.messages import Purpose
from mohawk.errors import HandshakeError, HostError, PolicyError, RemoteError, UnavailableError
from mohawk.identity.names import IdentityRefusedError, Reason, Role
from mohawk.transport.dial import Target, dial
from mohawk.transport.listen import listen
from tests.support.nodes import LOOPS, Recorder, call, run, serving
from tests.support.tls import Mesh


@pytest.fixture(scope="module")
def mesh() -> Mesh:
    return Mesh()


def unused_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.mark.parametrize("loop", LOOPS)
def test_nobody_there_is_unavailable(mesh: Mesh, loop: str) -> None:
    with pytest.raises(UnavailableError, match="w1 does not answer"):
        run(dial(mesh.controller, Target("127.0.0.1", unused_port(), Role.WORKER, "w1"), Purpose.CONTROL), loop)


@pytest.mark.parametrize("loop", LOOPS)
def test_a_port_that_never_speaks_is_unavailable(mesh: Mesh, loop: str) -> None:
    with socket.socket() as mute:
        mute.bind(("127.0.0.1", 0))
        mute.listen()
        target = Target("127.0.0.1", mute.getsockname()[1], Role.WORKER, "w1")
        with pytest.raises(UnavailableError):
            run(dial(mesh.controller, target, Purpose.CONTROL, 0.1), loop)


def test_a_listener_that_hangs_up_is_a_handshake_error(mesh: Mesh) -> None:
    async def main() -> None:
        server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
        async with server:
            target = Target("127.0.0.1", server.sockets[0].getsockname()[1], Role.WORKER, "w1")
            with pytest.raises(HandshakeError):
                await dial(mesh.controller, target, Purpose.CONTROL)

    run(main)


def test_a_refusal_reaches_the_caller_with_its_reason(mesh: Mesh) -> None:
    async def main() -> None:
        service = Recorder()
        async with serving(mesh.worker, service) as listener:
            service.refusal = PolicyError("not today", hint="ask the controller")
            with pytest.raises(RemoteError, match="not today") as caught:
                await call(mesh.controller, listener)
            assert caught.value.hint == "ask the controller"
            await service.until(lambda: service.refusals)
            assert service.refusals[0][0] == "127.0.0.1"
            assert service.links == []

    run(main)


def test_a_taken_port_is_our_hosts_fault(mesh: Mesh) -> None:
    async def main() -> None:
        async with serving(mesh.worker, Recorder()) as listener:
            with pytest.raises(HostError, match="cannot listen"):
                await listen(mesh.worker, "127.0.0.1", listener.port, Recorder())

    run(main)


def test_another_role_is_not_the_worker_that_was_dialled(mesh: Mesh) -> None:
    async def main() -> None:
        service = Recorder()
        async with serving(mesh.controller, service) as listener:
            with pytest.raises(IdentityRefusedError) as caught:
                await call(mesh.controller, listener, name="c1")
            assert caught.value.reason is Reason.WRONG_ROLE

    run(main)
