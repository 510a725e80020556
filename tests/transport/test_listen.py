"""Strangers are counted, bounded and forgotten."""

from __future__ import annotations

from contextlib import AsyncExitStack

import pytest

from mohawk.errors import HandshakeError, PolicyError
from mohawk.transport import link as link_module
from mohawk.transport import listen as listen_module
from tests.support.nodes import LOOPS, Recorder, call, last_words, run, serving, stranger
from tests.support.tls import Mesh


@pytest.fixture(scope="module")
def mesh() -> Mesh:
    return Mesh()


@pytest.mark.parametrize("loop", LOOPS)
def test_half_open_connections_are_bounded_per_source(mesh: Mesh, loop: str) -> None:
    async def main() -> None:
        service = Recorder()
        async with serving(mesh.worker, service) as listener:
            async with AsyncExitStack() as crowd:
                for _ in range(listen_module.HALF_OPEN_PER_SOURCE + 3):
                    await crowd.enter_async_context(stranger(listener))
                await service.until(lambda: len(service.refusals) == 3)
                assert all(isinstance(error, PolicyError) for _, error in service.refusals)
                assert listener.half_open == listen_module.HALF_OPEN_PER_SOURCE
            await service.until(lambda: listener.half_open == 0)
            await call(mesh.controller, listener)  # the budget is free again
            assert listener.half_open == 0

    run(main, loop)


def test_the_budget_in_all_holds_across_sources(mesh: Mesh, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listen_module, "HALF_OPEN_TOTAL", 2)

    async def main() -> None:
        service = Recorder()
        async with serving(mesh.worker, service) as listener, AsyncExitStack() as crowd:
            for _ in range(3):
                await crowd.enter_async_context(stranger(listener))
            await service.until(lambda: service.refusals)
            assert listener.half_open == 2

    run(main)


def test_a_handshake_that_does_not_end_is_cut(mesh: Mesh, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link_module, "HANDSHAKE_SECONDS", 0.05)

    async def main() -> None:
        service = Recorder()
        async with serving(mesh.worker, service) as listener, stranger(listener) as (reader, _):
            assert await last_words(reader) == b""
            await service.until(lambda: service.refusals)
            assert isinstance(service.refusals[0][1], HandshakeError)

    run(main)


def test_the_handshakes_deadline_is_lifted_from_an_established_link(mesh: Mesh) -> None:
    async def main() -> None:
        service = Recorder()
        async with serving(mesh.worker, service) as listener:
            link = await call(mesh.controller, listener)
            assert link._deadline is None
            assert service.links[0]._deadline is None
            link.close()

    run(main)


def test_closing_a_listener_says_goodbye_to_everyone(mesh: Mesh) -> None:
    async def main() -> None:
        service = Recorder()
        async with serving(mesh.worker, service) as listener:
            links = [await call(mesh.controller, listener) for _ in range(3)]
        for link in links:
            await link.closed
            assert link.error is None

    run(main)
