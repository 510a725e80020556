"""Used nonces survive a restart, a crash in the middle of a line, and time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from mohawk.channel.nonces import NonceRepeatedError
from mohawk.errors import HostError
from mohawk.host.nonce_file import open_nonce_guard

NOW = datetime(2026, 11, 25, 12, 0, 0, 500_000, tzinfo=UTC)
WINDOW = timedelta(seconds=600)


def use(path: Path, nonce: bytes, now: datetime = NOW) -> None:
    open_nonce_guard(path, 10, now).use("w1", nonce, NOW, now, WINDOW)


def test_a_restart_forgets_nothing(tmp_path: Path) -> None:
    path = tmp_path / "nonces"
    use(path, b"a")
    use(path, b"b")
    for nonce in (b"a", b"b"):
        with pytest.raises(NonceRepeatedError):
            use(path, nonce, NOW + WINDOW)


def test_what_is_too_old_goes_at_the_next_start(tmp_path: Path) -> None:
    path = tmp_path / "nonces"
    use(path, b"a")
    assert len(open_nonce_guard(path, 10, NOW + WINDOW + timedelta(seconds=2))) == 0
    assert path.read_bytes() == b""


def test_a_line_that_a_crash_cut_off_was_never_answered(tmp_path: Path) -> None:
    path = tmp_path / "nonces"
    use(path, b"a")
    use(path, b"b")
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(NonceRepeatedError):
        use(path, b"a")
    use(path, b"b")
    with pytest.raises(NonceRepeatedError):
        use(path, b"b")


def test_a_damaged_memory_stops_the_start(tmp_path: Path) -> None:
    path = tmp_path / "nonces"
    use(path, b"a")
    path.write_bytes(b"{}\n" + path.read_bytes())
    with pytest.raises(HostError, match="damaged"):
        open_nonce_guard(path, 10, NOW)
