"""D03, D01 (join port): one source opens as many connections as it can; many sources do.

Expected: 32 of one source and 256 in all; the rest are cut before one byte is read, and another source still joins.

Defence: transport/joining.py:JoinListener._accept (counted at accept); removed, one machine holds every descriptor of
the controller.
"""

from __future__ import annotations

from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from mohawk.transport import joining
from mohawk.worker.joining import join
from tests.support.joining import JoinSite, until
from tests.support.nodes import last_words, run
from tests.support.stranger import connected
from tests.support.tls import utc_now


def test_the_budget() -> None:
    assert (joining.MAXIMUM_PER_SOURCE, joining.MAXIMUM_CONNECTIONS) == (32, 256)


def test_one_source_is_capped_and_others_are_served(tmp_path: Path) -> None:
    site = JoinSite(tmp_path / "pki")

    async def main() -> None:
        async with site.open() as listener, AsyncExitStack() as stack:
            for _ in range(32):
                await stack.enter_async_context(connected(site, "127.0.0.2"))
            await until(lambda: listener.connections == 32)
            async with connected(site, "127.0.0.2") as (reader, _):
                assert await last_words(reader) == b""
            assert listener.connections == 32
            await join(site.token(), utc_now())
            await stack.aclose()
            await until(lambda: listener.connections == 0)
            async with connected(site, "127.0.0.2"):
                await until(lambda: listener.connections == 1)  # who leaves may come back

    run(main)
    assert site.names == ["w1"]


def test_all_sources_together_are_capped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(joining, "MAXIMUM_CONNECTIONS", 6)
    site = JoinSite(tmp_path / "pki")

    async def main() -> None:
        async with site.open() as listener, AsyncExitStack() as stack:
            for number in range(6):
                await stack.enter_async_context(connected(site, f"127.0.0.{number + 2}"))
            await until(lambda: listener.connections == 6)
            async with connected(site, "127.0.0.9") as (reader, _):
                assert await last_words(reader) == b""
            assert listener.connections == 6

    run(main)
