"""P10 (join tokens): a used token is tried again after the controller was restarted.

Expected: refused as used; the memory of used tokens is on disk before a certificate is. A memory that was damaged stops
the start.

Defence: host/join_book.py:JoinBook.guard (the nonce guard's file); removed (a guard without a file), a restart within
ten minutes makes every used token new.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from mohawk.errors import HostError
from mohawk.identity.join_token import LIFETIME
from mohawk.worker.joining import join
from tests.support.joining import JoinSite, ask
from tests.support.nodes import run
from tests.support.tls import utc_now


def test_a_restart_makes_no_token_new(tmp_path: Path) -> None:
    site = JoinSite(tmp_path / "pki")

    async def main() -> None:
        async with site.open():
            token, other = site.token("w1"), site.token("w2")
            await join(token, utc_now())
        async with site.open():
            assert await ask(token) == b""
            await join(other, utc_now())  # one that was not used is as good as before

    run(main)
    assert site.names == ["w1", "w2"]
    assert site.refusals == ["used_token"]


def test_a_crash_between_use_and_answer_burns_the_token(tmp_path: Path) -> None:
    """Refusing an honest machine costs a new token; the other mistake costs a stranger in the house."""
    site = JoinSite(tmp_path / "pki")

    async def main() -> None:
        async with site.open():
            token = site.token()
        desk = site.desk()
        desk._guard.use(str(token.name), token.id, utc_now(), utc_now(), LIFETIME)
        async with site.open():
            assert await ask(token) == b""

    run(main)
    assert site.refusals == ["used_token"]
    assert site.names == []


def test_a_damaged_memory_stops_the_start(tmp_path: Path) -> None:
    site = JoinSite(tmp_path / "pki")

    async def main() -> None:
        async with site.open():
            await join(site.token(), utc_now())

    run(main)
    memory = site.folder / "joins.nonces"
    memory.write_bytes(memory.read_bytes().replace(b"worker", b"w\x00rker"))
    with pytest.raises(HostError, match="damaged"):
        site.desk()
