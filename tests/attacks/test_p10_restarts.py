"""P10: a message that was used is sent again after the controller restarted, killed in the middle or not.

Expected: refused. What was answered is on the disk before the answer; a memory that cannot be read stops the start.
Defence: host/nonce_file.py:open_nonce_guard (reads what was used) and channel/nonces.py:NonceGuard.use (`keep` before
anything else); removed, a crash is all that a replay needs.
Defence: host/nonce_file.py:_Memory._append (takes a half-written line back) and channel/nonces.py:NonceGuard.use (the nonce's
length); removed, one full disk, or one client with a long nonce, damages the memory for good, and no start succeeds.
Defence: host/nonce_file.py:_Memory.keep (writes the file anew); removed, it outgrows what a start reads.
"""

from __future__ import annotations

import resource
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from mohawk.channel.nonces import NonceRefusedError, NonceRepeatedError
from mohawk.errors import HostError
from mohawk.host import nonce_file
from mohawk.host.nonce_file import open_nonce_guard

NOW = datetime(2026, 11, 25, tzinfo=UTC)
WINDOW = timedelta(seconds=600)
KILLED = """
import os, signal, sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from mohawk.host.nonce_file import open_nonce_guard

now = datetime(2026, 11, 25, tzinfo=UTC)
guard = open_nonce_guard(Path(sys.argv[1]), 100, now)
for number in range(20):
    guard.use("w1", bytes([number]), now, now, timedelta(seconds=600))
    os.write(1, b"%d\\n" % number)  # the answer
os.kill(os.getpid(), signal.SIGKILL)
"""


def repeat(path: Path, nonce: bytes) -> None:
    open_nonce_guard(path, 100, NOW).use("w1", nonce, NOW, NOW, WINDOW)


def test_a_killed_controller_remembers_all_that_it_answered(tmp_path: Path) -> None:
    path = tmp_path / "nonces"
    command = [sys.executable, "-c", KILLED, str(path)]
    done = subprocess.run(command, capture_output=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (-9, b"")
    answered = [bytes([int(line)]) for line in done.stdout.splitlines()]
    assert len(answered) == 20
    for nonce in answered:
        with pytest.raises(NonceRepeatedError):
            repeat(path, nonce)
    repeat(path, b"a new one")


def test_a_full_disk_means_refused_and_harms_nothing_else(tmp_path: Path) -> None:
    """The kernel's own limit on a file's size, in the middle of a line."""
    path = tmp_path / "nonces"
    guard = open_nonce_guard(path, 100, NOW)
    guard.use("w1", b"before", NOW, NOW, WINDOW)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + 10, hard))
    try:
        with pytest.raises(HostError):
            guard.use("w1", b"during", NOW, NOW, WINDOW)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    guard.use("w1", b"after", NOW, NOW, WINDOW)
    for nonce in (b"before", b"after"):
        with pytest.raises(NonceRepeatedError):
            repeat(path, nonce)
    repeat(path, b"during")  # it was refused, hence not used


def test_a_year_of_honest_use_leaves_a_memory_that_can_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each use adds a line: the file must not outgrow what a start reads."""
    monkeypatch.setattr(nonce_file, "_SLACK", 2000)
    path, step = tmp_path / "nonces", WINDOW / 10
    guard, largest = open_nonce_guard(path, 100, NOW), 0
    for number in range(500):
        now = NOW + number * step
        guard.use("w1", number.to_bytes(2, "big"), now, now, WINDOW)
        largest = max(largest, path.stat().st_size)
    assert largest < 8000
    again = open_nonce_guard(path, 100, now)
    for recent in range(500 - 10, 500):
        with pytest.raises(NonceRepeatedError):
            again.use("w1", recent.to_bytes(2, "big"), NOW + recent * step, now, WINDOW)


@pytest.mark.parametrize("length", [0, 65, 1 << 20])
def test_no_nonce_can_damage_the_memory(tmp_path: Path, length: int) -> None:
    path = tmp_path / "nonces"
    guard = open_nonce_guard(path, 100, NOW)
    for nonce in (b"n", bytes(64)):
        guard.use("w1", nonce, NOW, NOW, WINDOW)
    with pytest.raises(NonceRefusedError):
        guard.use("w1", bytes(length), NOW, NOW, WINDOW)
    with pytest.raises(NonceRepeatedError):
        repeat(path, bytes(64))
