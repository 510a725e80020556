"""The operator's side of port 8004."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeVar

from mohawk.channel.profile import NodeContext
from mohawk.contract.messages import Message, Purpose, StatusReply, StatusRequest
from mohawk.contract.operating import ChangeShown, ShowChange
from mohawk.errors import IdentityError, RemoteError, UsageError
from mohawk.identity.changes import Change, parse_kind, parse_time
from mohawk.identity.credentials import NodeCredentials
from mohawk.identity.names import Role
from mohawk.transport.dial import Target, dial

ANSWER_SECONDS = 10.0
Reply = TypeVar("Reply")


@dataclass(frozen=True, slots=True)
class OperatorClient:
    """Who asks, and which controller."""

    credentials: NodeCredentials
    host: str
    port: int
    controller: str

    async def ask(self, message: Message, expected: type[Reply], seconds: float = ANSWER_SECONDS) -> Reply:
        """One question, answered within `seconds`. Raises UnavailableError, HandshakeError, IdentityError, RemoteError
        with the refusal.
        """
        target = Target(self.host, self.port, Role.CONTROLLER, self.controller)
        link = await dial(NodeContext(self.credentials), target, Purpose.OPERATOR)
        try:
            return await link.request(message, expected, seconds)
        finally:
            link.close()

    async def status(self) -> StatusReply:
        return await self.ask(StatusRequest(), StatusReply)

    async def show_change(self, change_id: str) -> Change:
        """All of a change, and truly the one of this id: what is read is what will be approved. Raises RemoteError."""
        answer = await self.ask(ShowChange(change_id), ChangeShown)
        try:
            change = Change(
                parse_kind(answer.kind), answer.subject, answer.content, answer.proposer, parse_time(answer.proposed)
            )
        except (IdentityError, UsageError):
            raise RemoteError("the controller showed a change that cannot be read") from None
        if change.id != change_id or change.expires < datetime.now(UTC):
            raise RemoteError("the controller showed another change than it was asked for")
        return change
