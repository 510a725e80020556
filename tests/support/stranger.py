"""Strangers at a join port: with a handshake, or without."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

from mohawk.channel.join_tls import ExpectedController
from tests.support.tls import utc_now

if TYPE_CHECKING:
    from tests.support.joining import JoinSite

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@asynccontextmanager
async def connected(site: JoinSite, source: str = "127.0.0.1") -> AsyncIterator[Streams]:
    """A plain TCP connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", site.port, local_addr=(source, 0))
    try:
        yield reader, writer
    finally:
        writer.transport.abort()
        with suppress(ConnectionError):
            await writer.wait_closed()


@asynccontextmanager
async def shaken_hands(site: JoinSite) -> AsyncIterator[Streams]:
    """A TLS connection that has asked nothing yet."""
    credentials = site.context.credentials
    context = ExpectedController(credentials.root.pin, credentials.domain, utc_now()).context()
    reader, writer = await asyncio.open_connection("127.0.0.1", site.port, ssl=context, server_hostname="c1")
    try:
        yield reader, writer
    finally:
        writer.transport.abort()
        with suppress(OSError):
            await writer.wait_closed()
