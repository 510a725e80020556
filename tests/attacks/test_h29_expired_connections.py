"""H29: a connection is opened in the last minutes of a stolen certificate, and kept. (Ours: not from the numbered list
of attacks; H07 is the same at the handshake.)

Expected: both ends cut it when the first of the two certificates expires, whichever of them that is.
Defence: channel/tls.py:TlsConnection._settle (SessionInfo.not_after) and transport/link.py:Link.establish; removed, a
certificate of a day is as good as one without an end: a connection that was never closed never asks for it again.
"""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta, tzinfo

import pytest

from mohawk.channel.profile import NodeContext
from mohawk.errors import IdentityError
from mohawk.identity.certificates import issue_leaf
from mohawk.identity.credentials import bundle
from mohawk.identity.names import Role
from mohawk.transport import link as link_module
from tests.support.nodes import LOOPS, Recorder, call, run, serving
from tests.support.tls import Mesh, utc_now

HOUR = timedelta(hours=1)


def short_lived(mesh: Mesh, role: Role, name: str, lifetime: timedelta = HOUR) -> NodeContext:
    leaf = issue_leaf(mesh.issuing, mesh.name(role, name), utc_now(), lifetime)
    return NodeContext(bundle(leaf, (mesh.root.certificate,)), standing=mesh.standing())


@pytest.mark.parametrize("short", ["ours", "theirs"])
@pytest.mark.parametrize("loop", LOOPS)
def test_both_ends_know_when_it_is_over(short: str, loop: str) -> None:
    mesh = Mesh()
    controller = short_lived(mesh, Role.CONTROLLER, "c1") if short == "ours" else mesh.controller
    worker = short_lived(mesh, Role.WORKER, "w1") if short == "theirs" else mesh.worker

    async def main() -> None:
        service = Recorder()
        async with serving(worker, service) as listener:
            link = await call(controller, listener)
            for end in (link, service.links[0]):
                assert end._expiry is not None
                assert end._expiry.when() - asyncio.get_running_loop().time() == pytest.approx(3600, abs=20)
                assert not end._expiry.cancelled()

    run(main, loop)


def test_it_is_cut_at_that_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Our clock runs ahead, to one second before the end of the worker's certificate."""
    mesh = Mesh()
    worker = short_lived(mesh, Role.WORKER, "w1")
    ahead = worker.credentials.chain[0].not_after - utc_now() - timedelta(seconds=1)

    class FastClock(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]
            return datetime.now(tz) + ahead

    monkeypatch.setattr(link_module, "datetime", FastClock)

    async def main() -> None:
        service = Recorder()
        async with serving(worker, service) as listener:
            link = await call(mesh.controller, listener)
            await asyncio.wait_for(link.closed, 5)
            await service.until(lambda: service.endings)
            assert any(isinstance(error, IdentityError) for error in (link.error, service.endings[0]))

    run(main)
