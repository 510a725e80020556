"""D02 (join port): a stranger sends its hello, or its request, byte by byte, or nothing at all; or never says goodbye.

Expected: reaped 10 s after it connected, whatever it sends meanwhile; its place is free again.

Defence: transport/joining.py:JoinListener._converse (one deadline for all of it); removed, 32 idle sockets from each of
eight sources keep every machine from joining.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from OpenSSL import SSL

from mohawk.audit.events import EventKind
from mohawk.transport import joining
from tests.support.joining import JoinSite, until
from tests.support.nodes import last_words, run
from tests.support.stranger import connected, shaken_hands
from tests.support.tls import raw_context, raw_peer


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> JoinSite:
    monkeypatch.setattr(joining, "JOIN_SECONDS", 0.3)
    return JoinSite(tmp_path / "pki")


def test_the_deadline_is_ten_seconds() -> None:
    assert joining.JOIN_SECONDS == 10


def hello() -> bytes:
    client = raw_peer(raw_context(alpn=(b"mie-join/1",)))
    with pytest.raises(SSL.WantReadError):
        client.do_handshake()
    return client.bio_read(1 << 16)


async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, data: bytes) -> None:
    ended = asyncio.ensure_future(last_words(reader))
    for byte in data:
        if not writer.is_closing():
            writer.write(bytes([byte]))
        await asyncio.wait({ended}, timeout=0.02)
        if ended.done():
            break
    assert ended.done()
    assert await ended == b""


@pytest.mark.parametrize("data", [hello(), b"\x16\x03\x01" + bytes(100), b"G" * 200])
def test_a_hello_byte_by_byte(site: JoinSite, data: bytes) -> None:
    async def main() -> None:
        async with site.open() as listener:
            async with connected(site) as (reader, writer):
                await drip(reader, writer, data)
            await until(lambda: site.of_kind(EventKind.CONNECTION_REFUSED))
            assert listener.connections == 0

    run(main)


def test_a_request_byte_by_byte(site: JoinSite) -> None:
    async def main() -> None:
        async with site.open() as listener:
            async with shaken_hands(site) as (reader, writer):
                await drip(reader, writer, (200).to_bytes(4, "big") + b"{" * 100)
            await until(lambda: listener.connections == 0)

    run(main)
    assert site.of_kind(EventKind.CONNECTION_REFUSED)
    assert site.refusals == []


def test_silence(site: JoinSite) -> None:
    async def main() -> None:
        async with site.open() as listener:
            async with connected(site) as (reader, _), shaken_hands(site) as (other, _):
                assert await last_words(reader) == b""
                assert await last_words(other) == b""
            await until(lambda: listener.connections == 0)

    run(main)


def test_an_answer_that_nobody_takes(site: JoinSite, monkeypatch: pytest.MonkeyPatch) -> None:
    """It has its answer, and never says goodbye."""
    monkeypatch.setattr(joining, "JOIN_SECONDS", 5.0)
    monkeypatch.setattr(joining, "GOODBYE_SECONDS", 0.2)

    async def main() -> None:
        async with site.open() as listener, shaken_hands(site) as (_, writer):
            writer.transport.pause_reading()
            writer.write((2).to_bytes(4, "big") + b"{}")
            await until(lambda: site.refusals)
            await until(lambda: listener.connections == 0, 2)

    run(main)
