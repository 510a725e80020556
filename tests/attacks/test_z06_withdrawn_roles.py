"""Z06: an operator's role is withdrawn while he is connected; he goes on asking.

Expected: his open connection ends when the deny-list changes, within 5 s of the command, and no new one is accepted.
Defence: transport/link.py:Link._recheck, told by identity/standing.py:Standing; removed, an open connection keeps its
rights for as long as it lives.
"""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from mohawk.contract.messages import Purpose, StatusReply, StatusRequest
from mohawk.contract.operating import NodeVerdict
from mohawk.controller import trust
from mohawk.controller.changes import ChangeDesk
from mohawk.controller.operators import OperatorService
from mohawk.controller.trust import TrustKeeper
from mohawk.errors import MohawkError, NotFoundError
from mohawk.host.change_file import ChangeFile
from mohawk.host.revocations import Revocations
from mohawk.identity.names import Role
from mohawk.transport.dial import Target, dial
from mohawk.transport.listen import listen
from tests.e2e.inside import Site, now
from tests.support.audit import Heard
from tests.support.messages import EXAMPLES
from tests.support.nodes import run


async def nobody(_name: str) -> NodeVerdict:
    raise NotFoundError("no worker here")


async def nothing() -> None:
    """No chain to put together again."""


def test_an_open_connection_loses_its_rights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trust, "LOOK_SECONDS", 0.02)
    site = Site(tmp_path / "home")
    context = site.context(Role.CONTROLLER, "c1")
    (status,) = (message for message in EXAMPLES if isinstance(message, StatusReply))
    heard = Heard()
    desk = ChangeDesk(ChangeFile(site.authority), Revocations(site.authority), {}, heard.record, heard.note)
    keeper = TrustKeeper(site.authority, context, heard.record, heard.note, lambda update: None, nothing)

    async def main() -> float:
        keeper.start()
        listener = await listen(context, "127.0.0.1", 0, OperatorService(lambda: status, desk, nobody, nobody, nobody))
        target = Target("127.0.0.1", listener.port, Role.CONTROLLER, "c1")
        operator = site.context(Role.OPERATOR, "alice")
        link = await dial(operator, target, Purpose.OPERATOR)
        await link.request(StatusRequest(), StatusReply, 5)
        begin = time.monotonic()
        Revocations(site.authority).deny("spiffe://mesh.example/operator/alice", "left the company", now())
        await asyncio.wait_for(link.closed, 5)
        seconds = time.monotonic() - begin
        with pytest.raises(MohawkError):
            await dial(operator, target, Purpose.OPERATOR)
        keeper.close()
        await listener.close()
        return seconds

    assert run(main) < 5
