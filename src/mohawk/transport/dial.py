"""Connecting to a node that we know by address, role and name (docs/spec/channel.md 4).

In TLS 1.3 a client's handshake ends before the server has judged its certificate: a link counts as established when
the server's Welcome has arrived, not before (H05). The server's identity is judged inside the handshake, before our
greeting leaves (H14).
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial

from mohawk import __version__
from mohawk.channel.profile import NodeContext
from mohawk.channel.tls import TlsConnection
from mohawk.contract.access import AccessRefusedError
from mohawk.contract.admission import admit_from_listener, admit_welcome
from mohawk.contract.messages import Failure, Hello, Purpose, Welcome
from mohawk.errors import IdentityError, MohawkError, UnavailableError
from mohawk.identity.certificates import expect
from mohawk.identity.names import Role
from mohawk.transport.limits import limits_of
from mohawk.transport.link import HANDSHAKE_SECONDS, Link, OnMessage, failure_error
from mohawk.transport.refusals import report


@dataclass(frozen=True, slots=True)
class Target:
    """Where a node listens, and who must answer there."""

    host: str
    port: int
    role: Role
    name: str


async def dial(
    context: NodeContext,
    target: Target,
    purpose: Purpose,
    seconds: float = HANDSHAKE_SECONDS,
    *,
    takes_over: bool = False,
    on_message: OnMessage | None = None,
) -> Link:
    """An established link; set `on_message` and `on_closed` before the next await. `takes_over`: it replaces the
    CONTROL connection that we hold already; its first messages may come with the greeting, so `on_message` is given.

    Raises UnavailableError (nobody answers), HandshakeError, IdentityError, or RemoteError with the peer's refusal.
    """
    tls = TlsConnection(context, lambda peer: expect(peer, (target.role,), target.name), is_server=False)
    link = _Outgoing(tls, admit_welcome, partial(_greet, context, purpose, takes_over))
    greeted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    link.on_message = partial(_greeted, context, purpose, on_message or link.on_message, greeted)
    try:
        async with asyncio.timeout(seconds):
            await asyncio.get_running_loop().create_connection(lambda: link, target.host, target.port)
            await asyncio.wait({greeted, link.closed}, return_when=asyncio.FIRST_COMPLETED)
        if not greeted.done():
            raise link.error or UnavailableError("the connection is closed")
        greeted.result()
    except (TimeoutError, OSError):
        await link.cut()
        raise UnavailableError(
            f"{target.name} does not answer at {target.host}:{target.port}", hint="is it running, and is the port open?"
        ) from None
    except MohawkError:
        await link.cut()
        raise
    except asyncio.CancelledError:
        link.abort()
        raise
    return link


class _Outgoing(Link):
    """A link whose listener we may not accept, now or later."""

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        if isinstance(self.error, (IdentityError, AccessRefusedError)):
            report(self._tls.context, self)


def _greeted(
    context: NodeContext,
    purpose: Purpose,
    on_message: OnMessage,
    greeted: asyncio.Future[None],
    link: Link,
    greeting: object,
    _body: bytearray,
) -> None:
    """The listener's first message. Everything behind it, which may be here already, meets an established link."""
    try:
        _check_greeting(context, link, greeting)
    except MohawkError as error:
        greeted.set_exception(error)
        raise
    link.establish(purpose)
    link.carry(limits_of(purpose), partial(admit_from_listener, purpose))
    link.on_message = on_message
    greeted.set_result(None)


def _greet(context: NodeContext, purpose: Purpose, takes_over: bool, link: Link) -> None:  # noqa: FBT001 - for `partial`
    link.send(Hello(purpose, f"mohawk {__version__}", context.standing.deny_envelope, takes_over))


def _check_greeting(context: NodeContext, link: Link, greeting: object) -> None:
    """Raises the listener's refusal; or ours, when the newer of both ends' deny-lists names it or is too old."""
    if isinstance(greeting, Failure):
        raise failure_error(greeting)
    assert isinstance(greeting, Welcome)  # `admit_welcome` lets nothing else pass
    now = datetime.now(UTC)
    context.standing.hear(greeting.deny_list, now)
    context.standing.judge(link.peer, now)
