"""Both ends of the join port: one TLS connection, one request, one answer (docs/spec/identity.md 9).

Everything here is asked by, or answered to, somebody who is nobody yet.

Rules, and the attack each stops:
- Connections are counted from accept on: at most 256 in all and 32 from one source; beyond that they are cut before one
  byte is read (D01, D03).
- Handshake, request and answer share one deadline of 10 s, which no byte moves (D02).
- A message's length is compared with its limit before one byte of it is read (R07): 16 KiB for a request.
- What cannot be parsed, and what is refused, gets the same answer of no bytes; what is no TLS gets none at all (H26).

Works on asyncio's own loop only: `channel.stdlib_tls` is not for uvloop.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections import Counter
from collections.abc import Callable
from typing import Protocol, cast

from mohawk.channel.join_tls import ExpectedController
from mohawk.channel.stdlib_tls import ApiContext, ApiTls, abort
from mohawk.contract.joining import MAXIMUM_JOIN_ANSWER, MAXIMUM_JOIN_REQUEST
from mohawk.errors import FrameError, HandshakeError, HostError, MohawkError, PolicyError, RemoteError, UnavailableError

JOIN_SECONDS = 10.0
GOODBYE_SECONDS = 2.0
MAXIMUM_CONNECTIONS = 256
MAXIMUM_PER_SOURCE = 32
_ACCEPT_PAUSE = 0.1
"""Seconds without accepting after the system had no descriptor left."""

Exporter = Callable[[bytes, int], bytes]
"""(context, length) -> keying material that both ends of this connection share, and nobody else."""


class JoinService(Protocol):
    """What a controller does with those who come to its join port."""

    def tls(self) -> ApiContext:
        """What the next connection is shown."""

    def answer(self, request: bytes, exporter: Exporter, source: str) -> bytes:
        """The answer to a request of `source`; no bytes to refuse it."""

    def refused(self, source: str, error: MohawkError) -> None:
        """A connection from `source` ended before it asked anything."""


class JoinListener:
    """An open join port. Made by `listen_for_joins`."""

    def __init__(self, listener: socket.socket, service: JoinService) -> None:
        self._listener = listener
        self._service = service
        self._sources: Counter[str] = Counter()
        self._connections: set[asyncio.Task[None]] = set()
        self._accepting = asyncio.create_task(self._accept())

    @property
    def port(self) -> int:
        return int(self._listener.getsockname()[1])

    @property
    def connections(self) -> int:
        return len(self._connections)

    async def close(self) -> None:
        """Take no more connections and cut those that are open."""
        tasks = [self._accepting, *self._connections]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._listener.close()

    async def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                connection, address = await loop.sock_accept(self._listener)
            except OSError:  # no descriptors left, or a peer gone before we took it
                await asyncio.sleep(_ACCEPT_PAUSE)
                continue
            source = str(address[0])
            if len(self._connections) >= MAXIMUM_CONNECTIONS or self._sources[source] >= MAXIMUM_PER_SOURCE:
                connection.close()
                self._service.refused(source, PolicyError("too many connections to the join port"))
                continue
            self._sources[source] += 1
            task = asyncio.create_task(self._serve(connection, source))
            self._connections.add(task)
            task.add_done_callback(self._connections.discard)

    async def _serve(self, connection: socket.socket, source: str) -> None:
        try:
            await self._converse(connection, source)
        except TimeoutError:
            self._service.refused(source, HandshakeError("no join request within 10 s"))
        except (OSError, asyncio.IncompleteReadError):  # TLS errors are OSErrors too
            self._service.refused(source, HandshakeError("a connection to the join port that asked nothing"))
        except MohawkError as error:
            self._service.refused(source, error)
        finally:
            connection.close()
            self._sources[source] -= 1
            if self._sources[source] <= 0:
                del self._sources[source]

    async def _converse(self, connection: socket.socket, source: str) -> None:
        connection.setblocking(False)  # noqa: FBT003 - the standard library's signature
        reader = asyncio.StreamReader(limit=MAXIMUM_JOIN_REQUEST)
        protocol = asyncio.StreamReaderProtocol(reader)
        loop = asyncio.get_running_loop()
        context = cast(ssl.SSLContext, self._service.tls())
        async with asyncio.timeout(JOIN_SECONDS):
            transport, _ = await loop.connect_accepted_socket(lambda: protocol, connection, ssl=context)
            try:
                request = await _read_message(reader, MAXIMUM_JOIN_REQUEST)
                answer = self._service.answer(request, _exporter_of(transport), source)
                transport.write(_framed(answer))
                await _say_goodbye(asyncio.StreamWriter(transport, protocol, reader, loop))
            finally:
                abort(transport)


async def listen_for_joins(host: str, port: int, service: JoinService) -> JoinListener:
    """Open a join port on one address, given by the caller. Port 0: any. Raises HostError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family)
    except OSError as error:
        message = f"the join port cannot be opened on {host}:{port}: {error.strerror}"
        raise HostError(message, hint="is another controller running here? choose another --join-port") from None
    listener.setblocking(False)  # noqa: FBT003 - the standard library's signature
    return JoinListener(listener, service)


async def ask_to_join(
    address: tuple[str, int], controller: ExpectedController, make_request: Callable[[Exporter], bytes]
) -> bytes:
    """The answer of the expected controller to what `make_request` makes for this connection; no bytes: refused.

    Raises UnavailableError (nobody answers), IdentityError (somebody else does), HandshakeError, RemoteError.
    """
    host, port = address
    context = cast(ssl.SSLContext, controller.context())
    try:
        async with asyncio.timeout(JOIN_SECONDS):
            reader, writer = await asyncio.open_connection(host, port, ssl=context, server_hostname=host)
            try:
                writer.write(_framed(make_request(_exporter_of(writer.transport))))
                answer = await _read_message(reader, MAXIMUM_JOIN_ANSWER)
                await _say_goodbye(writer)
                return answer
            finally:
                abort(writer.transport)
    except asyncio.IncompleteReadError:
        raise RemoteError("the controller ended the connection without an answer") from None
    except (ssl.SSLError, ConnectionResetError):
        hint = "is this the join port of a controller of this version?"
        raise controller.refusal or HandshakeError("no handshake with a join port", hint=hint) from None
    except OSError:  # TimeoutError among them
        hint = "is the controller running, and its join port open?"
        raise UnavailableError(f"no join port answers at {host}, port {port}", hint=hint) from None


def _exporter_of(transport: asyncio.BaseTransport) -> Exporter:
    tls = cast(ApiTls, transport.get_extra_info("ssl_object"))
    return tls.exporter


async def _read_message(reader: asyncio.StreamReader, limit: int) -> bytes:
    """Its length as u32, then so many bytes. Raises FrameError before it reads more than `limit`."""
    size = int.from_bytes(await reader.readexactly(4), "big")
    if size > limit:
        raise FrameError("a message beyond the join port's limit")
    return await reader.readexactly(size)


def _framed(message: bytes) -> bytes:
    return len(message).to_bytes(4, "big") + message


async def _say_goodbye(writer: asyncio.StreamWriter) -> None:
    """Send what waits, and close_notify. Who does not answer that in time is cut."""
    writer.close()
    with contextlib.suppress(OSError):
        async with asyncio.timeout(GOODBYE_SECONDS):
            await writer.wait_closed()
