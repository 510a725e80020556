"""A controller's join port without the rest of the controller, and joiners that keep none of our rules."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from mohawk.audit.events import AuditEvent, EventKind
from mohawk.channel.join_tls import ExpectedController
from mohawk.channel.profile import NodeContext
from mohawk.contract.joining import JoinRequest, encode_join_request
from mohawk.controller.join import JoinDesk
from mohawk.crypto.certificate_request import make_request
from mohawk.crypto.signing import SigningKey
from mohawk.host.authority import AuthorityFolder
from mohawk.host.join_book import JoinBook
from mohawk.host.revocations import Revocations
from mohawk.identity.join_token import EXPORTER_CONTEXT, EXPORTER_SIZE, JoinToken, split_address
from mohawk.identity.names import Role
from mohawk.transport.joining import Exporter, JoinListener, ask_to_join, listen_for_joins
from tests.support.audit import Heard
from tests.support.tls import utc_now


@dataclass
class JoinSite:
    """An authority in `folder`, and what its controller wrote into the audit log."""

    folder: Path
    domain: str = "mesh.example"
    authority: AuthorityFolder = field(init=False)
    events: list[AuditEvent] = field(default_factory=list)
    port: int = 0

    def __post_init__(self) -> None:
        self.authority = AuthorityFolder(self.folder)
        self.authority.initialise(self.domain, utc_now())
        self.context = NodeContext(self.authority.issue_node(Role.CONTROLLER, "c1", utc_now()))
        self.tell_revocations()

    def tell_revocations(self) -> None:
        """As the trust keeper does every second."""
        self.context.standing.learn_deny_list(Revocations(self.authority).issue(utc_now()), utc_now())

    def desk(self, now: datetime | None = None) -> JoinDesk:
        return JoinDesk(self.authority, self.context, self.events.append, Heard(self.events).note, now or utc_now())

    @asynccontextmanager
    async def open(self) -> AsyncIterator[JoinListener]:
        """The join port; each time as after a restart of the controller."""
        listener = await listen_for_joins("127.0.0.1", self.port, self.desk())
        self.port = listener.port
        try:
            yield listener
        finally:
            await listener.close()

    def token(self, name: str = "w1", role: Role = Role.WORKER, ek_hash: str = "", age: float = 0) -> JoinToken:
        """A token that was issued `age` seconds ago; the port must be open."""
        issued = utc_now() - timedelta(seconds=age)
        return JoinBook(self.authority).issue(role, name, f"127.0.0.1:{self.port}", issued, self.events.append, ek_hash)

    def of_kind(self, kind: EventKind) -> list[AuditEvent]:
        return [event for event in self.events if event.kind is kind]

    @property
    def refusals(self) -> list[str]:
        """The reasons of all refusals, in order."""
        return [event.details["reason"] for event in self.of_kind(EventKind.JOIN_REFUSED)]

    @property
    def names(self) -> list[str]:
        """Who was let in, in order."""
        return [event.subject.rpartition("/")[2] for event in self.of_kind(EventKind.JOIN_ACCEPTED)]


def request_for(token: JoinToken, exporter: Exporter, key: SigningKey | None = None) -> bytes:
    """What an honest joiner sends."""
    request = make_request(key or SigningKey.generate())
    proof = token.prove(exporter(EXPORTER_CONTEXT, EXPORTER_SIZE), request)
    return encode_join_request(JoinRequest(token.id, request, proof))


async def ask(token: JoinToken, make: Callable[[Exporter], bytes] | None = None) -> bytes:
    """The answer to what `make` makes, or to an honest request; no bytes when it was refused."""
    controller = ExpectedController(token.root, token.name.domain, utc_now())
    return await ask_to_join(split_address(token.controller), controller, make or (lambda e: request_for(token, e)))


async def until(condition: Callable[[], object], seconds: float = 10) -> None:
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - a log gives no event to wait for
            await asyncio.sleep(0.01)
