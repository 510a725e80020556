"""The operator's side of port 8004."""

from __future__ import annotations

from mohawk.channel.profile import NodeContext
from mohawk.contract.messages import Purpose, StatusReply, StatusRequest
from mohawk.identity.credentials import NodeCredentials
from mohawk.identity.names import Role
from mohawk.transport.dial import Target, dial

ANSWER_SECONDS = 10.0


async def fetch_status(credentials: NodeCredentials, host: str, port: int, controller: str) -> StatusReply:
    """Ask a controller how its cluster is. Raises UnavailableError, HandshakeError, IdentityError, RemoteError."""
    target = Target(host, port, Role.CONTROLLER, controller)
    link = await dial(NodeContext(credentials), target, Purpose.OPERATOR)
    try:
        return await link.request(StatusRequest(), StatusReply, ANSWER_SECONDS)
    finally:
        link.close()
