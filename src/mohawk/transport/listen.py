"""Accepting connections, within a budget (docs/spec/channel.md 4).

Rules, and the attack each stops:
- Half-open connections (no Welcome sent yet) are at most 256 in all and 32 per source; beyond that a connection is cut
  before one byte is read (D01, D03).
- Who may open what is asked on the greeting, before anything runs (H13): the table of roles first, then the service,
  whose `authorize` raises to refuse.
- The greeting's deny-list is heard before its sender is judged by it: a node that was alone for long catches up, and a
  revoked one cannot hide behind an old list, because one of the last 10 minutes must be there (H18, H19).
- Every refusal reaches `NodeContext.on_refused`, so that none is silent.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import UTC, datetime
from functools import partial
from typing import Protocol

from mohawk import __version__
from mohawk.channel.profile import NodeContext
from mohawk.channel.tls import TlsConnection
from mohawk.contract.access import AccessRefusedError, check_opening
from mohawk.contract.admission import admit_from_dialler, admit_hello
from mohawk.contract.messages import Failure, Hello, Welcome
from mohawk.errors import HostError, IdentityError, MohawkError, PolicyError
from mohawk.identity.certificates import PeerIdentity
from mohawk.transport.limits import limits_of
from mohawk.transport.link import Link
from mohawk.transport.refusals import report

HALF_OPEN_TOTAL = 256
HALF_OPEN_PER_SOURCE = 32


class Service(Protocol):
    """What a node does with those who call it."""

    def authorize(self, peer: PeerIdentity, hello: Hello) -> None:
        """Raise MohawkError unless this peer, whose role allows it, may open a connection of this purpose now."""

    def accept(self, link: Link) -> None:
        """An established link, just welcomed: set `on_message` and `on_closed`, and `carry` where steps come."""


class Listener:
    """An open port. Made by `listen`."""

    def __init__(self, context: NodeContext, service: Service) -> None:
        self._context = context
        self._service = service
        self._half_open: Counter[str] = Counter()
        self._links: set[Link] = set()
        self._server: asyncio.Server | None = None

    @property
    def port(self) -> int:
        """The port in use: what was asked for, or what the system chose for 0."""
        assert self._server is not None  # set before `listen` returns
        return int(self._server.sockets[0].getsockname()[1])

    @property
    def half_open(self) -> int:
        return self._half_open.total()

    async def close(self) -> None:
        """Take no more connections and end those that are open."""
        assert self._server is not None
        self._server.close()
        links = tuple(self._links)
        for link in links:
            link.close()
        await asyncio.gather(*(link.closed for link in links))

    async def open(self, host: str, port: int) -> None:
        try:
            self._server = await asyncio.get_running_loop().create_server(self._receive, host, port)
        except OSError as error:
            raise HostError(
                f"cannot listen on {host}:{port}: {error.strerror}", hint="is another process using the port?"
            ) from None

    def _receive(self) -> Link:
        tls = TlsConnection(self._context, lambda _: None, is_server=True)
        return _Incoming(tls, self)

    def admit(self, link: Link) -> None:
        """A new connection: counted, or cut. Raises PolicyError beyond the budget."""
        self._links.add(link)
        self._half_open[link.source] += 1
        if self._half_open[link.source] > HALF_OPEN_PER_SOURCE or self._half_open.total() > HALF_OPEN_TOTAL:
            raise PolicyError("too many connections that have not finished their handshake")

    def greet(self, link: Link, hello: Hello) -> None:
        """The first message arrived: welcome its sender, or say why not. Raises the refusal."""
        try:
            now = datetime.now(UTC)
            link.standing.hear(hello.deny_list, now)
            link.standing.judge(link.peer, now)
            check_opening(link.peer.name.role, link.session.own_name.role, hello.purpose)
            self._service.authorize(link.peer, hello)
        except MohawkError as error:
            link.send(Failure(error.code, error.message[:512], error.hint[:512]))
            raise
        link.establish(hello.purpose)
        self._settle(link)
        link.carry(limits_of(hello.purpose), partial(admit_from_dialler, hello.purpose))
        link.send(Welcome(f"mohawk {__version__}", link.standing.deny_envelope))
        self._service.accept(link)

    def forget(self, link: Link) -> None:
        """A connection is gone."""
        self._links.discard(link)
        if not link.is_established:
            self._settle(link)
        if not link.is_established or isinstance(link.error, (IdentityError, AccessRefusedError)):
            report(self._context, link)

    def _settle(self, link: Link) -> None:
        self._half_open[link.source] -= 1
        if self._half_open[link.source] <= 0:
            del self._half_open[link.source]


class _Incoming(Link):
    """A link whose first message is judged by its listener."""

    def __init__(self, tls: TlsConnection, listener: Listener) -> None:
        super().__init__(tls, admit_hello, lambda _: None)
        self._listener = listener
        self.on_message = self._greeted

    def _greeted(self, link: Link, message: object, _body: bytearray) -> None:
        assert isinstance(message, Hello)  # admit_hello lets nothing else pass
        self._listener.greet(link, message)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        try:
            self._listener.admit(self)
        except PolicyError as error:
            self.abort(error)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._listener.forget(self)


async def listen(context: NodeContext, host: str, port: int, service: Service) -> Listener:
    """Accept links on one address, given by the caller: there is no "every interface" by omission. Raises HostError."""
    listener = Listener(context, service)
    await listener.open(host, port)
    return listener
