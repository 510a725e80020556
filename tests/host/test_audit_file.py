"""An audit log on disk: synced, resumed, one writer, and never repaired in silence. Changed logs:
tests/attacks/test_n01_changed_log.py; full disks: tests/attacks/test_n04_audit_disk_full.py.
"""

from __future__ import annotations

import os
import stat
import threading
from pathlib import Path

import pytest

from mohawk.audit.chain import MAXIMUM_LINE, START, Head, append, parse_entry, verify
from mohawk.audit.events import AuditEvent, EventKind
from mohawk.errors import HostError
from mohawk.host import audit_file
from mohawk.host.audit_file import AuditFile, head_path, read_head, read_lines
from mohawk.host.files import open_regular
from tests.support.logs import NODE, NOW, make_event


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "audit" / "controller.jsonl"


def write(path: Path, *numbers: int) -> None:
    file = AuditFile(path, NODE, NOW)
    file.append(map(make_event, numbers), NOW)
    file.close()


def read(path: Path) -> list[AuditEvent]:
    with open_regular(path) as descriptor:
        lines = list(read_lines(descriptor))
    assert verify(lines, read_head(path)) == read_head(path)
    return [parse_entry(line).event for line in lines]


def test_a_restart_goes_on_with_the_chain(path: Path) -> None:
    write(path, 1, 2)
    write(path)
    write(path, 3)
    assert read(path) == [make_event(1), make_event(2), make_event(3)]


def test_a_new_log_is_empty_and_its_head_says_so(path: Path) -> None:
    AuditFile(path, NODE, NOW).close()
    assert path.read_bytes() == b""
    assert read_head(path) == START


def test_both_files_are_the_owner_s_only(path: Path) -> None:
    write(path, 1)
    assert {stat.S_IMODE(one.stat().st_mode) for one in (path, head_path(path))} == {0o600}
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_an_entry_is_synced_before_append_returns(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []
    monkeypatch.setattr(audit_file.os, "fsync", lambda _descriptor: synced.append(path.stat().st_size))
    write(path, 1)
    assert synced[-1] == path.stat().st_size


def test_one_writer(path: Path) -> None:
    first = AuditFile(path, NODE, NOW)
    with pytest.raises(HostError, match="another process"):
        AuditFile(path, NODE, NOW)
    first.append([make_event(1)], NOW)
    first.close()
    write(path, 2)
    assert read(path) == [make_event(1), make_event(2)]


def test_a_command_waits_for_its_turn(path: Path) -> None:
    first = AuditFile(path, NODE, NOW)
    done = threading.Event()

    def write_later() -> None:
        second = AuditFile(path, NODE, NOW, waits=True)
        second.append([make_event(2)], NOW)
        second.close()
        done.set()

    thread = threading.Thread(target=write_later)
    thread.start()
    first.append([make_event(1)], NOW)
    assert not done.is_set()
    first.close()
    thread.join(10)
    assert read(path) == [make_event(1), make_event(2)]


def test_several_threads_write_one_chain(path: Path) -> None:
    file = AuditFile(path, NODE, NOW)
    threads = [threading.Thread(target=lambda n=n: file.append([make_event(n)] * 3, NOW)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    file.close()
    events = read(path)
    assert len(events) == 24
    assert all(events[at] == events[at + 1] == events[at + 2] for at in range(0, 24, 3)), "one batch stays together"


@pytest.mark.parametrize("kept", [1, 100, -1])
def test_what_a_crash_cut_off_is_removed_and_said_so(path: Path, kept: int) -> None:
    """Killed in the middle of a write: the head was not written, and nobody was told that the entry exists."""
    write(path, 1, 2)
    line, _ = append(read_head(path), make_event(3), NODE, NOW)
    with path.open("ab") as file:
        file.write(line[:kept])
    write(path, 4)
    repaired = AuditEvent(EventKind.LOG_REPAIRED, NODE, {"bytes": str(len(line[:kept]))})
    assert read(path) == [make_event(1), make_event(2), repaired, make_event(4)]


def test_killed_between_the_log_and_its_head(path: Path) -> None:
    """What is whole counts, though its action may not have happened."""
    write(path, 1)
    line, _ = append(read_head(path), make_event(2), NODE, NOW)
    with path.open("ab") as file:
        file.write(line)
    write(path, 3)
    assert read(path) == [make_event(1), make_event(2), make_event(3)]


def test_a_piece_too_long_to_be_a_cut_off_line_is_damage(path: Path) -> None:
    write(path, 1)
    with path.open("ab") as file:
        file.write(bytes(3 * MAXIMUM_LINE))
    with pytest.raises(HostError, match="entry 2 is unreadable"):
        AuditFile(path, NODE, NOW)
    assert path.stat().st_size > 3 * MAXIMUM_LINE


def test_lines_are_read_within_their_limit(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(bytes(3 * MAXIMUM_LINE))
    with open_regular(path) as descriptor:
        assert [len(line) for line in read_lines(descriptor)] == [MAXIMUM_LINE] * 3


def test_a_link_in_its_place_is_refused(path: Path, tmp_path: Path) -> None:
    path.parent.mkdir()
    (tmp_path / "elsewhere").write_bytes(b"")
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(HostError):
        AuditFile(path, NODE, NOW)
    path.unlink()
    os.link(tmp_path / "elsewhere", path)
    with pytest.raises(HostError, match="plain file"):
        AuditFile(path, NODE, NOW)


def test_a_damaged_log_names_the_next_step(path: Path) -> None:
    write(path, 1)
    path.write_bytes(b"")
    with pytest.raises(HostError) as refusal:
        AuditFile(path, NODE, NOW)
    assert f"mohawk audit verify {path}" in refusal.value.hint


def test_nothing_is_written_after_it_was_closed(path: Path) -> None:
    file = AuditFile(path, NODE, NOW)
    file.close()
    with pytest.raises(HostError):
        file.append([make_event(1)], NOW)
    assert file.head == START == Head(0, START.digest)
