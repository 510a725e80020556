"""One HTTPS connection: uvicorn's h11 protocol with a deadline for each thing that a client can be slow at."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from enum import Enum, auto

import h11
from uvicorn.config import Config
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from mohawk.api.openai import status_body
from mohawk.channel.stdlib_tls import abort

_SLICE = 1 << 13
"""h11 checks a head's size only when it has all that it was given: so it is given little at a time."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Deadlines in seconds, sizes in bytes."""

    head_seconds: float = 10.0
    """From connecting, or from a later request's first byte, to the end of its head."""
    body_seconds: float = 10.0
    """Each such span must bring `body_rate` bytes for each of its seconds, or the end of the body."""
    body_rate: int = 1024
    linger_seconds: float = 5.0
    """How long a body may still come that was answered already (refused, as a rule)."""
    idle_seconds: float = 300.0
    """Between requests. A client that talks now and then is spared a handshake for each turn, and nobody pays: whoever
    comes while all are taken gets the place of one that is idle (`server.ApiServer`).
    """
    write_seconds: float = 20.0
    """How long a full write buffer may take to drain."""
    head_bytes: int = 32 << 10
    write_buffer: int = 64 << 10


class _Reading(Enum):
    """What we wait for the client to send."""

    NOTHING = auto()
    REQUEST = auto()
    HEAD = auto()
    BODY = auto()
    REFUSED_BODY = auto()


class GuardedProtocol(H11Protocol):
    """Cuts off who is slow. Created at accept, used from the end of the TLS handshake."""

    def __init__(self, config: Config, state: ServerState, limits: Limits) -> None:
        super().__init__(config=config, server_state=state, app_state={})
        self._limits = limits
        self._reading = _Reading.NOTHING
        self._read_deadline: asyncio.TimerHandle | None = None
        self._write_deadline: asyncio.TimerHandle | None = None
        self.idle_since: float | None = None
        """By the loop's clock, while the client has asked for nothing, or has not finished asking."""
        self._received = 0
        """Bytes since the current body was last found fast enough."""

    # ---- what the transport tells us --------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn's
        super().connection_made(transport)
        transport.set_write_buffer_limits(high=self._limits.write_buffer)
        tls = transport.get_extra_info("ssl_object")
        self.app_state["tls_group"] = tls.group() if hasattr(tls, "group") else ""
        self.app_state["write_chunk"] = self.write_chunk
        self._expect(_Reading.HEAD)

    def data_received(self, data: bytes) -> None:
        self._received += len(data)
        for begin in range(0, len(data), _SLICE):
            if self.transport.is_closing():
                return
            super().data_received(data[begin : begin + _SLICE])
        self._watch()

    async def write_chunk(self, data: bytes) -> None:
        """More of the answer under way, whose head was sent, without a length, to a client of HTTP/1.1: what
        `http.response.body` comes to, without the layers in between. h11 keeps no account of chunks (RFC 9112, 7.1).
        """
        if not data:  # an empty chunk would end the answer
            return
        cycle = self.cycle
        if self.flow.write_paused and not cycle.disconnected:
            await self.flow.drain()
        if not cycle.disconnected:
            self.transport.write(b"%x\r\n%b\r\n" % (len(data), data))

    def connection_lost(self, exc: Exception | None) -> None:
        self._expect(_Reading.NOTHING)
        self._stop_write_deadline()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._stop_write_deadline()
        self._write_deadline = self.loop.call_later(self._limits.write_seconds, self.abort)

    def resume_writing(self) -> None:
        self._stop_write_deadline()
        super().resume_writing()

    # ---- what uvicorn tells us --------------------------------------------------------------------------------------

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._unset_keepalive_if_required()  # uvicorn's own, which one byte stops for ever
        if not self.transport.is_closing():
            self._watch()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - h11's words stay here
        """Not HTTP, or too large a head. In the middle of an answer there is no way to say so."""
        if self.conn.our_state not in (h11.IDLE, h11.SEND_RESPONSE):
            self.abort()
            return
        body = h11.Data(data=json.dumps(status_body(400)).encode("ascii"))
        headers = [(b"content-type", b"application/json"), (b"connection", b"close")]
        for event in (h11.Response(status_code=400, headers=headers, reason=b"Bad Request"), body, h11.EndOfMessage()):
            self.transport.write(self.conn.send(event) or b"")
        self._close()

    def shutdown(self) -> None:
        """End after the answer under way, or now."""
        if self.cycle is not None and not self.cycle.response_complete:
            self.cycle.keep_alive = False
        else:
            self._close()

    def abort(self) -> None:
        """End without a goodbye: a peer that is too slow for requests is too slow for that, too."""
        self.idle_since = None  # it has made room once
        abort(self.transport)

    def _close(self) -> None:
        if not self.transport.is_closing():  # Python 3.11.2: a second close would make `abort` impossible
            self.transport.close()

    # ---- deadlines --------------------------------------------------------------------------------------------------

    def _watch(self) -> None:
        """Set the deadline that fits what the client has sent so far; one that fits already stays as it is."""
        reading = self._now_reading()
        if reading is not self._reading:
            self._expect(reading)

    def _now_reading(self) -> _Reading:
        if self.conn.their_state is h11.SEND_BODY:
            is_answered = self.cycle is not None and self.cycle.response_complete
            return _Reading.REFUSED_BODY if is_answered else _Reading.BODY
        if self.conn.their_state is not h11.IDLE:
            return _Reading.NOTHING
        return _Reading.HEAD if self.conn.trailing_data[0] else _Reading.REQUEST

    def _expect(self, reading: _Reading) -> None:
        self._reading = reading
        self.idle_since = self.loop.time() if reading in (_Reading.REQUEST, _Reading.HEAD) else None
        if self._read_deadline is not None:
            self._read_deadline.cancel()
            self._read_deadline = None
        limits = self._limits
        if reading is _Reading.BODY:
            self._received = 0
            self._read_deadline = self.loop.call_later(limits.body_seconds, self._check_body)
        elif reading is _Reading.REQUEST:
            self._read_deadline = self.loop.call_later(limits.idle_seconds, self._close)
        elif reading is not _Reading.NOTHING:
            seconds = limits.head_seconds if reading is _Reading.HEAD else limits.linger_seconds
            self._read_deadline = self.loop.call_later(seconds, self.abort)

    def _check_body(self) -> None:
        """While we ourselves had paused reading, slowness is ours."""
        if self._received < self._limits.body_rate * self._limits.body_seconds and not self.flow.read_paused:
            self.abort()
        else:
            self._expect(_Reading.BODY)

    def _stop_write_deadline(self) -> None:
        if self._write_deadline is not None:
            self._write_deadline.cancel()
            self._write_deadline = None
