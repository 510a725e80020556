"""Z03: a worker, and an auditor, ask the controller for what only operators may: revoke, propose, approve.

Expected: 403 for whoever may not, on the connection where it was asked, which then ends; recorded; nothing changed. A
worker does not even get that far.
Defence: contract/access.py:check_access, which transport/link.py:Link asks for every message; removed, whoever may
look may also change.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from mohawk.audit.events import AuditEvent
from mohawk.channel.profile import NodeContext
from mohawk.contract.access import AccessRefusedError
from mohawk.contract.messages import Message, Purpose, StatusReply, StatusRequest
from mohawk.contract.operating import (
    ApproveChange,
    Done,
    DrainWorker,
    ListChanges,
    NodeVerdict,
    ProposeChange,
    Replan,
    Replanned,
    Revoke,
    WithdrawChange,
)
from mohawk.controller.changes import ChangeDesk
from mohawk.controller.operators import OperatorService
from mohawk.errors import MohawkError, NotFoundError, RemoteError
from mohawk.host.change_file import ChangeFile
from mohawk.host.revocations import Revocations
from mohawk.identity.names import NodeName, Role
from mohawk.transport.dial import Target, dial
from mohawk.transport.listen import listen
from tests.e2e.inside import Site
from tests.support.audit import Heard
from tests.support.messages import EXAMPLES
from tests.support.nodes import run

VICTIM = "spiffe://mesh.example/worker/w2"
DEEDS: tuple[Message, ...] = (
    Revoke(VICTIM, "because"),
    ProposeChange("lift-revocation", VICTIM),
    ApproveChange("0" * 64),
    WithdrawChange("0" * 64),
    DrainWorker("w2"),
    Replan(),
)


async def nobody(_name: str) -> NodeVerdict:
    raise NotFoundError("no worker here")


async def undrained(_operator: NodeName, _order: DrainWorker) -> str:
    raise NotFoundError("no worker here")


async def not_replanned(_operator: NodeName, _order: Replan) -> Replanned:
    raise NotFoundError("no worker here")


class Port(OperatorService):
    """The operators' port, with what it refused."""

    def __init__(self, site: Site) -> None:
        self.events: list[AuditEvent] = []
        self.refusals: list[MohawkError] = []
        self.revocations = Revocations(site.authority)
        desk = ChangeDesk(ChangeFile(site.authority), self.revocations, {}, self.events.append, Heard(self.events).note)
        (status,) = (message for message in EXAMPLES if isinstance(message, StatusReply))
        super().__init__(lambda: status, desk, nobody, undrained, not_replanned)

    def listening(self, context: NodeContext) -> NodeContext:
        context.on_refused = lambda _source, error, _peer: self.refusals.append(error)
        return context


@pytest.mark.parametrize("deed", DEEDS, ids=lambda deed: type(deed).__name__)
def test_an_auditor_looks_and_changes_nothing(tmp_path: Path, deed: Message) -> None:
    site = Site(tmp_path / "home")
    port = Port(site)

    async def main() -> None:
        listener = await listen(port.listening(site.context(Role.CONTROLLER, "c1")), "127.0.0.1", 0, port)
        target = Target("127.0.0.1", listener.port, Role.CONTROLLER, "c1")
        link = await dial(site.context(Role.AUDITOR, "a1"), target, Purpose.OPERATOR)
        await link.request(StatusRequest(), StatusReply, 5)
        with pytest.raises(RemoteError, match="may not ask"):
            await link.request(deed, Done, 5)
        await asyncio.wait_for(link.closed, 5)
        await listener.close()

    run(main)
    assert [type(error) for error in port.refusals] == [AccessRefusedError]
    assert (port.events, port.revocations.denials()) == ([], ())


def test_a_worker_is_no_operator(tmp_path: Path) -> None:
    site = Site(tmp_path / "home")
    port = Port(site)

    async def main() -> None:
        listener = await listen(port.listening(site.context(Role.CONTROLLER, "c1")), "127.0.0.1", 0, port)
        target = Target("127.0.0.1", listener.port, Role.CONTROLLER, "c1")
        with pytest.raises(RemoteError, match="may not connect"):
            await dial(site.context(Role.WORKER, "w1"), target, Purpose.OPERATOR)
        await listener.close()

    run(main)
    assert [type(error) for error in port.refusals] == [AccessRefusedError]


def test_an_operator_revokes_alone(tmp_path: Path) -> None:
    """The control: the same deed by who may."""
    site = Site(tmp_path / "home")
    port = Port(site)

    async def main() -> None:
        listener = await listen(port.listening(site.context(Role.CONTROLLER, "c1")), "127.0.0.1", 0, port)
        target = Target("127.0.0.1", listener.port, Role.CONTROLLER, "c1")
        link = await dial(site.context(Role.OPERATOR, "o1"), target, Purpose.OPERATOR)
        await link.request(DEEDS[0], Done, 5)
        with pytest.raises(RemoteError, match="no open change"):  # a mistake does not end the connection
            await link.request(DEEDS[2], Done, 5)
        link.send(ListChanges())
        link.close()
        await link.closed
        await listener.close()

    run(main)
    assert [denial.subject for denial in port.revocations.denials()] == [VICTIM]
