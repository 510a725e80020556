"""The operators' port (8004): roles operator and auditor, by the table in contract/access.py. The public API has no
such routes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

from mohawk.contract.messages import Failure, Hello, Message, StatusReply, StatusRequest
from mohawk.contract.operating import (
    ApproveChange,
    AttestNode,
    ChangeShown,
    ChangesListed,
    Done,
    DrainWorker,
    ListChanges,
    NodeVerdict,
    OpenChange,
    ProposeChange,
    Replan,
    Replanned,
    Revoke,
    ShowChange,
    WithdrawChange,
)
from mohawk.controller.changes import ChangeDesk
from mohawk.errors import MohawkError
from mohawk.identity.certificates import PeerIdentity
from mohawk.identity.changes import Change
from mohawk.identity.names import NodeName
from mohawk.transport.link import Link

AskNode = Callable[[str], Awaitable[NodeVerdict]]
"""A worker's node name -> what its machine shows now. Raises NotFoundError, or what asking raises."""


Drain = Callable[[NodeName, DrainWorker], Awaitable[str]]
"""Who asks, and for what -> what was done, in one sentence. Raises MohawkError."""


ReplanModel = Callable[[NodeName, Replan], Awaitable[Replanned]]
"""Who asks, and for what -> what was found and done. Raises MohawkError."""


class OperatorService:
    """Implements `transport.listen.Service`."""

    def __init__(
        self,
        status: Callable[[], StatusReply],
        desk: ChangeDesk,
        attest: AskNode,
        drain: Drain,
        replan: ReplanModel,
    ) -> None:
        self._status = status
        self._desk = desk
        self._attest = attest
        self._drain = drain
        self._replan = replan
        self._asking: set[asyncio.Task[None]] = set()

    def authorize(self, peer: PeerIdentity, hello: Hello) -> None:
        """The table of roles has said all there is to say."""

    def accept(self, link: Link) -> None:
        link.on_message = self._answer

    def _answer(self, link: Link, message: object, _body: bytearray) -> None:
        """Refusals are answers too: what an operator did wrong does not end the connection."""
        if isinstance(message, AttestNode | DrainWorker | Replan):
            task = asyncio.get_running_loop().create_task(self._answer_later(link, message))
            self._asking.add(task)
            task.add_done_callback(self._asking.discard)
            return
        try:
            now = datetime.now(UTC)
            answer = self._show(message, now) or Done(self._change(link.peer.name, message, now))
            link.send(answer)
        except MohawkError as error:
            link.send(_refusal(error))

    async def _answer_later(self, link: Link, order: AttestNode | DrainWorker | Replan) -> None:
        """A machine takes its time to answer, or to load a stage."""
        try:
            answer = await self._carry_out(link.peer.name, order)
        except MohawkError as error:
            answer = _refusal(error)
        if not link.is_closing:
            link.send(answer)

    async def _carry_out(self, operator: NodeName, order: AttestNode | DrainWorker | Replan) -> Message:
        match order:
            case AttestNode():
                return await self._attest(order.name)
            case DrainWorker():
                return Done(await self._drain(operator, order))
            case Replan():
                return await self._replan(operator, order)

    def _show(self, message: object, now: datetime) -> Message | None:
        """The answer to a question; None when it is none."""
        match message:
            case StatusRequest():
                return self._status()
            case ListChanges():
                return ChangesListed(tuple(map(_describe, self._desk.open_changes(now))))
            case ShowChange(change):
                return _show(self._desk.show(change, now))
        return None

    def _change(self, operator: NodeName, message: object, now: datetime) -> str:
        """What was done, in one sentence."""
        match message:
            case Revoke():
                return self._desk.revoke(operator, message, now)
            case ProposeChange():
                return self._desk.propose(operator, message, now)
            case ApproveChange():
                return self._desk.approve(operator, message, now)
            case WithdrawChange():
                return self._desk.withdraw(operator, message, now)
        raise AssertionError("admission lets nothing else pass")


def _refusal(error: MohawkError) -> Failure:
    return Failure(error.code, error.message[:512], error.hint[:512])


def _show(change: Change) -> ChangeShown:
    proposed = int(change.proposed.timestamp())
    return ChangeShown(change.kind, change.subject, change.content, change.proposer, proposed)


def _describe(change: Change) -> OpenChange:
    return OpenChange(change.id, change.kind, change.subject, change.proposer, int(change.expires.timestamp()))
