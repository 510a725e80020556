"""One connection between two nodes: the pump around `channel.tls` and `channel.frames`, and its timers
(docs/spec/channel.md 4).

A link belongs to one event loop and is touched by its thread only. It knows nothing of what messages mean: its owner
sets `on_message` and `on_closed`, and says by `carry` what may arrive. It works on asyncio's own loop and on uvloop.

Rules, and the attack each stops:
- Any RemoteError ends the connection; nothing that arrived behind it is delivered.
- The handshake and the greeting share one deadline of 10 s (slow hello, D02); after it the owner may set an idle limit.
- A connection that ends without a goodbye, or inside a frame, ends with an error: truncation is never taken for
  completion (R06).
- A connection ends with the first of its two certificates: short life is how a lost key is outlived.
- Every message is held against the table of who may say what (contract/access.py), not only the first one (Z04).
- A connection whose peer enters the deny-list is cut when the list arrives (H18).
- A peer that does not read cannot hold a closing connection open: it is cut after 5 s.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TypeVar, cast

from mohawk.channel.frames import CONTROL_LIMITS, FrameKind, FrameLimits, FrameReader, encode_head
from mohawk.channel.tls import SessionInfo, TlsConnection
from mohawk.contract.access import AccessRefusedError, check_access
from mohawk.contract.codec import encode
from mohawk.contract.messages import MESSAGES, Failure, Message, Purpose, SliceChunk
from mohawk.contract.steps import Step
from mohawk.errors import FrameError, HandshakeError, IdentityError, MohawkError, RemoteError, UnavailableError
from mohawk.identity.certificates import PeerIdentity
from mohawk.identity.names import IdentityRefusedError, Reason
from mohawk.identity.standing import Standing

HANDSHAKE_SECONDS = 10.0
LINGER_SECONDS = 5.0
USER_TIMEOUT_MILLISECONDS = 5000
"""TCP gives up on unacknowledged bytes after this: a cut cable shows in seconds, not minutes."""
WRITE_HIGH_WATER = 1 << 20
MAXIMUM_UNSENT = 96 << 20
"""Bytes that may wait for a peer, the largest step among them: who asks and never reads must not fill our memory."""
_ONE_RECORD = 16_000
"""A frame up to here is copied into one buffer and travels as one TLS record."""

Buffer = bytes | bytearray | memoryview
Admit = Callable[[bytes, int], object]
"""(header, body length) -> the decoded message. Raises RemoteError unless exactly that body belongs to it."""
OnMessage = Callable[["Link", object, bytearray], None]
_Reply = TypeVar("_Reply")


class Link(asyncio.BufferedProtocol):
    """Made by `dial` and `listen`. `purpose` is set once both ends have greeted."""

    def __init__(self, tls: TlsConnection, admit: Admit, on_secured: Callable[[Link], None]) -> None:
        self._tls = tls
        self._on_secured = on_secured
        self._loop = asyncio.get_running_loop()
        self._reader: FrameReader[object] = FrameReader(CONTROL_LIMITS, admit)
        self._room = tls.room
        self._transport: asyncio.Transport | None = None
        self._deadline: asyncio.TimerHandle | None = None
        self._expiry: asyncio.TimerHandle | None = None
        self._reply: asyncio.Future[object] | None = None
        self._expected: tuple[type, ...] = ()
        self._resumed: asyncio.Future[None] | None = None
        self.activity = 0
        """How often something arrived."""
        self.is_paused = False
        self._unwatch: Callable[[], None] = lambda: None
        self.closed: asyncio.Future[None] = self._loop.create_future()
        """Done when the connection is gone; `error` then says why, None after a goodbye."""
        self.error: MohawkError | None = None
        self.is_closing = False
        self.is_established = False
        self.purpose: Purpose | None = None
        self.source = ""
        """The peer's address, for limits and audit."""
        self.on_message: OnMessage = _unexpected
        self.on_closed: Callable[[Link, MohawkError | None], None] = _nothing

    # ---- for the owner ----------------------------------------------------------------------------------------------

    @property
    def session(self) -> SessionInfo:
        """What the handshake ended with. Raises UnavailableError before it did."""
        if self._tls.session is None:
            raise UnavailableError("the connection is not established")
        return self._tls.session

    @property
    def peer(self) -> PeerIdentity:
        return self.session.peer

    @property
    def standing(self) -> Standing:
        """What this node judges others by."""
        return self._tls.context.standing

    @property
    def write_paused(self) -> bool:
        """More than 1 MiB waits for the network: `drain` before sending more bulk."""
        return self._resumed is not None

    def carry(self, limits: FrameLimits, admit: Admit) -> None:
        """From the next frame on, these limits and this admission."""
        self._reader.limits = limits
        self._reader.admit = admit

    def send(self, message: Message, body: Buffer = b"") -> None:
        """Frame and encrypt at once; what the network does not take yet waits in the transport.

        Raises UsageError beyond the connection's limits, UnavailableError when the connection is gone.
        """
        transport = self._transport
        if transport is None or self.is_closing:
            raise self.error or UnavailableError("the connection is closed")
        if transport.get_write_buffer_size() > MAXIMUM_UNSENT:
            self.abort(UnavailableError("the peer does not read what it is sent"))
            raise UnavailableError("the peer does not read what it is sent")
        header, length = encode(message), memoryview(body).nbytes
        kind = _KINDS.get(type(message), FrameKind.CONTROL)
        self._reader.limits.check(kind, len(header), length)
        head = encode_head(kind, header, length)
        if length <= _ONE_RECORD:
            self._tls.send((head + body if length else head,), transport.write)
        else:
            self._tls.send((head, body), transport.write)

    async def drain(self) -> None:
        """Wait until the transport takes more. Raises the link's error when it is gone."""
        while self._resumed is not None and not self.closed.done():
            await asyncio.shield(self._resumed)
        if self.closed.done():
            raise self.error or UnavailableError("the connection is closed")

    async def request(self, message: Message, expected: type[_Reply], seconds: float, body: Buffer = b"") -> _Reply:
        """Send `message` and wait for the next message of type `expected`; one request at a time.

        Raises RemoteError when the peer answers Failure, UnavailableError after `seconds` or when the
        connection ends.
        """
        self.send(message, body)  # first: what a closed link raises must not be left in a future that nobody awaits
        reply = self.expect(expected, Failure)
        try:
            async with asyncio.timeout(seconds):
                answer = await reply
        except TimeoutError:
            raise UnavailableError("the peer did not answer in time") from None
        finally:
            self._reply = None
        if isinstance(answer, Failure) and expected is not Failure:
            raise failure_error(answer)
        return cast(_Reply, answer)

    def expect(self, *expected: type) -> asyncio.Future[object]:
        """The next message of one of these types resolves the future instead of reaching `on_message`."""
        assert self._reply is None or self._reply.done()  # one request at a time
        self._expected = expected
        self._reply = self._loop.create_future()
        if self.closed.done():
            self._reply.set_exception(self.error or UnavailableError("the connection is closed"))
        return self._reply

    def establish(self, purpose: Purpose) -> None:
        """Both ends have greeted: the handshake's deadline is lifted."""
        self.purpose = purpose
        self.is_established = True
        self._lift_deadline()
        left = (self.session.not_after - datetime.now(UTC)).total_seconds()
        hint = "restart it: `mohawk up` issues fresh certificates; others, `mohawk pki issue`"
        expired = IdentityRefusedError(Reason.EXPIRED, "a certificate of this connection has expired", hint=hint)
        self._expiry = self._loop.call_later(left, self.abort, expired)
        self._unwatch = self.standing.watch(self._recheck)

    def limit_idle(self, seconds: float) -> None:
        """End the connection with UnavailableError when nothing at all arrives for `seconds` to twice `seconds`."""
        self._lift_deadline()
        self._deadline = self._loop.call_later(seconds, self._check_idle, seconds, self.activity)

    def pause_reading(self) -> None:
        """Take no more from the network, so that the peer feels it. What was received already is still delivered."""
        if self._transport is not None and not self.is_closing:
            self.is_paused = True
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        if self._transport is not None and not self.is_closing:
            self.is_paused = False
            self._transport.resume_reading()

    def close(self) -> None:
        """Say goodbye and close once everything is sent, after 5 s at the latest."""
        if not self.is_closing:
            self._tls.close()
            self._finish()

    def abort(self, error: MohawkError | None = None) -> None:
        """Cut at once; the peer sees a lost connection."""
        self.error = self.error or error
        self.is_closing = True
        if self._transport is not None:
            self._transport.abort()

    async def cut(self) -> None:
        """`abort`, and wait until the socket is closed."""
        self.abort()
        if self._transport is not None:
            await self.closed

    def fail(self, error: MohawkError) -> None:
        """Close because of `error`, without a goodbye; a TLS alert that waits is still sent."""
        self.error = self.error or error
        if not self.is_closing:
            self._finish()

    # ---- asyncio's side ---------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(high=WRITE_HIGH_WATER)
        connection = transport.get_extra_info("socket")
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, USER_TIMEOUT_MILLISECONDS)
        self.source = str((transport.get_extra_info("peername") or ("",))[0])
        late = HandshakeError("the peer did not finish its handshake and greeting in time")
        self._deadline = self._loop.call_later(HANDSHAKE_SECONDS, self.abort, late)
        self._guard(self._shake_hands)

    def get_buffer(self, _sizehint: int) -> memoryview:
        return self._room

    def buffer_updated(self, nbytes: int) -> None:
        self.activity += 1
        tls = self._tls
        try:
            tls.received(nbytes)
            if tls.session is None:
                self._shake_hands()
            if tls.session is not None:
                self._pump()
        except AccessRefusedError as error:
            self._answer_refusal(error)
        except MohawkError as error:
            self.fail(error)

    def pause_writing(self) -> None:
        self._resumed = self._loop.create_future()

    def resume_writing(self) -> None:
        if self._resumed is not None:
            self._resumed.set_result(None)
            self._resumed = None

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._lift_deadline()
        if self._expiry is not None:
            self._expiry.cancel()
        self._unwatch()
        self.error = self.error or self._ending(exc)
        self.is_closing = True
        self.resume_writing()
        if not self.closed.done():
            self.closed.set_result(None)
        if self._reply is not None and not self._reply.done():
            self._reply.set_exception(self.error or UnavailableError("the connection is closed"))
        self.on_closed(self, self.error)

    # ---- inside -----------------------------------------------------------------------------------------------------

    def _guard(self, step: Callable[[], None]) -> None:
        try:
            step()
        except MohawkError as error:
            self.fail(error)

    def _shake_hands(self) -> None:
        try:
            session = self._tls.handshake(datetime.now(UTC))
        finally:
            self._flush()
        if session is not None:
            self._on_secured(self)

    def _pump(self) -> None:
        tls, reader = self._tls, self._reader
        is_fruitless = True
        while not self.is_closing:
            target = reader.target()
            count = tls.read_into(target)
            if count == 0:
                break
            is_fruitless = False
            for _, message, body in reader.advance(count):
                self._check_access(message)
                if self._reply is not None:
                    self._deliver(message, body)
                else:
                    self.on_message(self, message, body)
                if self.is_closing:
                    return
            if count < len(target) and tls.is_drained():
                break
        if is_fruitless:
            self._flush()  # bytes that held no data may have asked for an answer of TLS itself
        if tls.ended:
            reader.finish()
            if not self.is_established:
                raise _not_accepted()
            self.close()

    def _check_access(self, message: object) -> None:
        """Whatever a purpose carries, only who may say it is heard. What an owner's own `admit` made of a message is
        the owner's affair: it knew whom it let connect.
        """
        if type(message) in MESSAGES:
            check_access(self.peer.name.role, self.session.own_name.role, type(message))

    def _deliver(self, message: object, body: bytearray) -> None:
        reply = self._reply
        if reply is not None and not reply.done() and isinstance(message, self._expected):
            reply.set_result(message)
        else:
            self.on_message(self, message, body)

    def _answer_refusal(self, error: AccessRefusedError) -> None:
        """A peer that may not is told so; one that broke the protocol is not."""
        with contextlib.suppress(MohawkError):
            self.send(Failure(error.code, error.message, error.hint))
        self.fail(error)

    def _finish(self) -> None:
        self.is_closing = True
        if self._transport is not None:
            self._flush()
            self._transport.close()
            self._lift_deadline()
            self._deadline = self._loop.call_later(LINGER_SECONDS, self._transport.abort)

    def _flush(self) -> None:
        while self._transport is not None and (data := self._tls.outgoing()):
            self._transport.write(data)

    def _lift_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _recheck(self) -> None:
        """A newer deny-list arrived: a peer that it names is not heard from now on. What was sent to it before, the
        list itself perhaps, may still arrive.
        """
        try:
            self.standing.refuse(self.peer)
        except IdentityError as error:
            self.fail(error)

    def _check_idle(self, seconds: float, activity: int) -> None:
        if activity == self.activity:
            self.abort(UnavailableError("the peer has been silent for too long"))
        else:
            self.limit_idle(seconds)

    def _ending(self, exc: Exception | None) -> MohawkError | None:
        """Why a connection ended that we did not fail ourselves; None after a goodbye, the peer's or ours."""
        if self.is_closing:
            return None
        if not self.is_established:
            return _not_accepted()
        with contextlib.suppress(FrameError):
            self._reader.finish()
            return UnavailableError("the connection was lost", hint=exc.__class__.__name__ if exc else "")
        return FrameError("the stream ended inside a frame")


_KINDS: dict[type, FrameKind] = {Step: FrameKind.STEP, SliceChunk: FrameKind.CHUNK}


def failure_error(failure: Failure) -> MohawkError:
    """A peer's Failure as an error of ours: unavailable where trying again may help. Its text is printable and short by
    contract, and named as the peer's.
    """
    kind = UnavailableError if failure.code == UnavailableError.code else RemoteError
    return kind(f"the peer refused: {failure.message}", hint=failure.hint)


def _not_accepted() -> HandshakeError:
    return HandshakeError("the peer ended the connection before it accepted us", hint="the peer's log says why")


def _unexpected(_link: Link, _message: object, _body: bytearray) -> None:
    raise RemoteError("a message before anyone is there to take it")


def _nothing(_link: Link, _error: MohawkError | None) -> None:
    """Nobody asked to know."""
