"""A file is parsed again when it changed, however it changed, and not when it did not."""

from __future__ import annotations

import os
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from hypothesis.strategies import binary, booleans

from mohawk.errors import HostError, PolicyError
from mohawk.host import parsed_file
from mohawk.host.authority import AuthorityFolder
from mohawk.host.files import read_file, write_file
from mohawk.host.parsed_file import ParsedFile
from mohawk.host.revocations import Revocations

NOW = datetime.now(UTC).replace(microsecond=0)


class Counted:
    """A private file of bytes, and how often it was parsed."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.times = 0
        self.file = ParsedFile(path, self._parse)

    def _parse(self) -> bytes:
        self.times += 1
        return read_file(self.path, 1000, private=True) if self.path.exists() else b"none"

    def parses(self) -> int:
        """Of one read."""
        before = self.times
        self.file.read()
        return self.times - before


@pytest.fixture
def counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Counted:
    """Its file has settled long ago, and settles at once when it changes."""
    monkeypatch.setattr(parsed_file, "_SETTLED_NANOSECONDS", 0)
    write_file(tmp_path / "file", b"first")
    return Counted(tmp_path / "file")


def test_what_did_not_change_is_parsed_once(counted: Counted) -> None:
    assert [counted.parses() for _ in range(3)] == [1, 0, 0]


def test_what_changed_a_moment_ago_is_not_kept(counted: Counted, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parsed_file, "_SETTLED_NANOSECONDS", 1 << 62)
    assert [counted.parses() for _ in range(3)] == [1, 1, 1]


def test_bytes_of_the_same_length_with_the_old_time_are_news(counted: Counted) -> None:
    """As `cp -p` of a backup leaves them."""
    assert counted.file.read() == b"first"
    found = counted.path.stat()
    while time.time_ns() <= found.st_ctime_ns + 20_000_000:
        pass  # beyond one tick of the file system's clock
    with counted.path.open("r+b") as file:
        file.write(b"other")
    os.utime(counted.path, ns=(found.st_atime_ns, found.st_mtime_ns))
    assert counted.file.read() == b"other"


def test_a_secret_that_others_may_read_now_is_refused(counted: Counted) -> None:
    counted.file.read()
    while time.time_ns() <= counted.path.stat().st_ctime_ns + 20_000_000:
        pass
    counted.path.chmod(0o644)
    with pytest.raises(PolicyError):
        counted.file.read()


def test_a_link_to_the_very_file_is_refused(counted: Counted) -> None:
    counted.file.read()
    counted.path.rename(counted.path.with_name("away"))
    counted.path.symlink_to("away")
    with pytest.raises(HostError):
        counted.file.read()


def test_a_file_that_is_gone_is_not_remembered(counted: Counted) -> None:
    counted.file.read()
    counted.path.unlink()
    assert counted.file.read() == b"none"


def test_what_failed_to_parse_is_parsed_again(counted: Counted) -> None:
    counted.file.read()
    write_file(counted.path, bytes(2000))
    for _ in range(2):
        with pytest.raises(HostError):
            counted.file.read()


def test_an_authority_at_rest_is_parsed_no_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the controller looks at every second."""
    authority = AuthorityFolder(tmp_path / "pki")
    authority.initialise("mesh.example", NOW - timedelta(minutes=1))
    revocations, opened = Revocations(authority), []
    revocations.deny("spiffe://mesh.example/worker/w1", "stolen", NOW)
    monkeypatch.setattr(parsed_file, "_SETTLED_NANOSECONDS", 0)
    looks = (authority.roots_envelope(), revocations.denials())
    real = os.open
    monkeypatch.setattr(os, "open", lambda *given: opened.append(given[0]) or real(*given))
    assert (authority.roots_envelope(), revocations.denials()) == looks
    assert not opened
    Revocations(AuthorityFolder(authority.folder)).lift("spiffe://mesh.example/worker/w1")  # another process
    assert revocations.denials() == ()


class Files(RuleBasedStateMachine):
    """Whatever others do to a file, what is read is what it holds."""

    def __init__(self) -> None:
        super().__init__()
        self._folder = tempfile.TemporaryDirectory()
        self._counted = Counted(Path(self._folder.name) / "file")

    @initialize()
    def absent(self) -> None:
        assert self._counted.file.read() == b"none"

    @rule(data=binary(min_size=3, max_size=3), in_place=booleans())
    def change(self, data: bytes, in_place: bool) -> None:
        if in_place and self._counted.path.exists():
            self._counted.path.write_bytes(data)
        else:
            write_file(self._counted.path, data)

    @rule()
    def remove(self) -> None:
        self._counted.path.unlink(missing_ok=True)

    @invariant()
    def is_read_as_it_is(self) -> None:
        path = self._counted.path
        assert self._counted.file.read() == (path.read_bytes() if path.exists() else b"none")

    def teardown(self) -> None:
        self._folder.cleanup()


Files.TestCase.settings = settings(max_examples=30, stateful_step_count=20, deadline=None)
TestFiles = Files.TestCase
