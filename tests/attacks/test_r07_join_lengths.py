"""R07 (join port): a stranger announces a request of 4 GiB, or of one byte more than 16 KiB, or sends less than it said.

Expected: refused by the four bytes of the length, before a buffer of that size exists; the port goes on.

Defence: transport/joining.py:_read_message (the limit before the read); removed, every stranger chooses how much of the
controller's memory it takes.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from mohawk.audit.events import EventKind
from mohawk.contract.joining import MAXIMUM_JOIN_REQUEST
from mohawk.transport import joining
from mohawk.worker.joining import join
from tests.support.joining import JoinSite, until
from tests.support.nodes import last_words, run
from tests.support.stranger import shaken_hands
from tests.support.tls import utc_now


@pytest.mark.parametrize("size", [MAXIMUM_JOIN_REQUEST + 1, 1 << 20, (1 << 32) - 1])
def test_a_length_beyond_the_limit_is_not_read(tmp_path: Path, size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    site = JoinSite(tmp_path / "pki")
    asked: list[int] = []
    real = asyncio.StreamReader.readexactly

    async def readexactly(reader: asyncio.StreamReader, count: int) -> bytes:
        asked.append(count)
        return await real(reader, count)

    monkeypatch.setattr(joining.asyncio.StreamReader, "readexactly", readexactly)

    async def main() -> None:
        async with site.open():
            async with shaken_hands(site) as (reader, writer):
                writer.write(size.to_bytes(4, "big") + b"x" * 1000)
                assert await last_words(reader) == b""
            await until(lambda: site.of_kind(EventKind.CONNECTION_REFUSED))
            assert asked == [4]
            await join(site.token(), utc_now())

    run(main)
    assert site.names == ["w1"]


def test_less_than_was_announced(tmp_path: Path) -> None:
    site = JoinSite(tmp_path / "pki")

    async def main() -> None:
        async with site.open():
            async with shaken_hands(site) as (reader, writer):
                writer.write((100).to_bytes(4, "big") + b"x" * 99)
                writer.close()
                assert await last_words(reader) == b""
            await until(lambda: site.of_kind(EventKind.CONNECTION_REFUSED))

    run(main)
    assert site.refusals == []
    assert site.names == []


def test_a_request_of_exactly_the_limit_is_read(tmp_path: Path) -> None:
    site = JoinSite(tmp_path / "pki")

    async def main() -> None:
        async with site.open(), shaken_hands(site) as (reader, writer):
            writer.write(MAXIMUM_JOIN_REQUEST.to_bytes(4, "big") + b"x" * MAXIMUM_JOIN_REQUEST)
            assert await last_words(reader) == bytes(4), "an answer of no bytes"

    run(main)
    assert site.refusals == ["malformed_request"]
