"""A real HTTPS server around the toy engine, and raw clients that keep no manners."""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache

from mohawk.api.auth import ApiKeys
from mohawk.api.guard import Limits
from mohawk.api.server import ApiServer, Door, serve
from mohawk.channel.stdlib_tls import ApiContext, api_client_context, api_server_context
from mohawk.identity.certificates import issue_api_leaf
from tests.api.toy import KEY, KEYS, ToyEngine, application
from tests.support.tls import Mesh, utc_now

PATIENCE = 10.0
"""Seconds after which a test that waits has failed."""


@cache
def authority() -> Mesh:
    return Mesh()


@asynccontextmanager
async def serving(
    engine: ToyEngine, limits: Limits | None = None, door: Door | None = None, keys: ApiKeys = KEYS
) -> AsyncIterator[ApiServer]:
    leaf = issue_api_leaf(authority().issuing, ("localhost", "127.0.0.1"), utc_now())
    context = api_server_context(leaf.chain, leaf.key)
    server = await serve(application(engine, keys), "127.0.0.1", 0, context, limits=limits, door=door)
    try:
        yield server
    finally:
        await server.close(grace_seconds=0.5)


def post_quantum() -> ApiContext:
    return api_client_context((authority().root.certificate,))


def classical() -> ssl.SSLContext:
    return ssl.create_default_context(cadata=authority().root.certificate.pem.decode())


class RawClient:
    """A TLS connection on which a test writes bytes of its own."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def drip(self, data: bytes, seconds: float) -> bytes:
        """Send byte by byte, listening for `seconds` after each; what the server said, or b"" when it hung up."""
        for byte in data:
            try:
                await self.send(bytes([byte]))
                return await asyncio.wait_for(self.reader.read(1), seconds)
            except TimeoutError:
                continue
            except OSError:
                return b""
        raise AssertionError("the server listened to the very end")

    async def answer(self) -> tuple[int, dict[str, str], bytes]:
        """Status, headers, body. Reads exactly one answer."""
        head = await asyncio.wait_for(self.reader.readuntil(b"\r\n\r\n"), PATIENCE)
        status, *lines = head.decode().strip().split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in lines)
        body = b""
        if "content-length" in headers:
            body = await asyncio.wait_for(self.reader.readexactly(int(headers["content-length"])), PATIENCE)
        return int(status.split()[1]), headers, body

    async def hung_up(self) -> None:
        """The server ends the connection."""
        try:
            await asyncio.wait_for(self.reader.read(-1), PATIENCE)
        except TimeoutError:  # an OSError, too
            raise AssertionError("the server did not hang up") from None
        except OSError:
            pass


@asynccontextmanager
async def raw_client(port: int) -> AsyncIterator[RawClient]:
    opening = asyncio.open_connection("127.0.0.1", port, ssl=post_quantum(), server_hostname="localhost")
    reader, writer = await asyncio.wait_for(opening, PATIENCE)
    try:
        yield RawClient(reader, writer)
    finally:
        writer.transport.abort()


async def narrow_client(port: int, request: bytes) -> socket.socket:
    """A socket with a small receive buffer on which `request` was sent through TLS, and nothing of the answer read."""
    loop = asyncio.get_running_loop()
    narrow = socket.socket()
    narrow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 10)
    narrow.setblocking(False)
    await loop.sock_connect(narrow, ("127.0.0.1", port))
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = classical().wrap_bio(incoming, outgoing, server_hostname="localhost")
    while True:
        try:
            tls.do_handshake()
            break
        except ssl.SSLWantReadError:
            await loop.sock_sendall(narrow, outgoing.read())
            incoming.write(await asyncio.wait_for(loop.sock_recv(narrow, 4096), PATIENCE))
    tls.write(request)
    await loop.sock_sendall(narrow, outgoing.read())
    return narrow


def request_bytes(body: object, *, path: str = "/v1/chat/completions", length: int | None = None) -> bytes:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return request_head(path=path, length=len(data) if length is None else length) + data


def request_head(*, path: str = "/v1/chat/completions", length: int | None = None, key: str = KEY) -> bytes:
    framing = "transfer-encoding: chunked" if length is None else f"content-length: {length}"
    return f"POST {path} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {key}\r\n{framing}\r\n\r\n".encode()
