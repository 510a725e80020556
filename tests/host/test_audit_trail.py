"""A node's audit trail: gating entries at once, counted ones soon, both until the end."""

from __future__ import annotations

import logging
import threading
from pathlib import Path

import pytest

from mohawk.audit.chain import Entry, parse_entry, verify
from mohawk.audit.events import AuditEvent, EventKind
from mohawk.errors import HostError
from mohawk.host import audit_trail
from mohawk.host.audit_file import AuditFile, read_head, read_lines
from mohawk.host.audit_trail import LONGEST_PAUSE, SHORTEST_PAUSE, AuditTrail, next_pause
from mohawk.host.files import open_regular
from tests.support.logs import NODE, NOW, make_event

REFUSED = AuditEvent(EventKind.CONNECTION_REFUSED, "10.0.0.9", {"reason": "handshake_failed"})


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "audit.jsonl"


def read(path: Path) -> list[Entry]:
    with open_regular(path) as descriptor:
        lines = list(read_lines(descriptor))
    verify(lines, read_head(path))
    return [parse_entry(line) for line in lines]


def kinds(path: Path) -> list[EventKind]:
    return [entry.event.kind for entry in read(path)]


def test_start_and_end_are_written(path: Path) -> None:
    for _ in range(2):
        trail = AuditTrail(path, NODE)
        assert kinds(path)[-1] is EventKind.STARTED, "before anything else happens"
        trail.close()
    assert kinds(path) == [EventKind.STARTED, EventKind.STOPPED] * 2
    entry = read(path)[0]
    assert entry.node == entry.event.subject == NODE
    assert entry.event.details["software"].startswith("mohawk ")


def test_what_gates_an_action_is_there_when_record_returns(path: Path) -> None:
    trail = AuditTrail(path, NODE)
    trail.record(make_event(7))
    assert read(path)[-1].event == make_event(7)
    trail.close()


def test_what_is_counted_is_written_by_a_thread_soon(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written, real = threading.Event(), AuditFile.append

    def append(self: AuditFile, events: list[AuditEvent], now: object) -> None:
        real(self, events, now)  # type: ignore[arg-type]
        if events[0].kind is EventKind.CONNECTION_REFUSED:
            assert threading.current_thread().name == "audit"
            written.set()

    monkeypatch.setattr(AuditFile, "append", append)
    trail = AuditTrail(path, NODE)
    trail.note(REFUSED)
    assert written.wait(10), "without waiting for more, or for the end"
    assert read(path)[-1].event == REFUSED.counted(1)
    trail.close()


def test_the_end_writes_what_was_counted(path: Path) -> None:
    trail = AuditTrail(path, NODE)
    for _ in range(1000):
        trail.note(REFUSED)
    trail.note(make_event(1), 5)
    trail.close()
    entries = [entry.event for entry in read(path)]
    assert sum(int(one.details["count"]) for one in entries if one.kind is EventKind.CONNECTION_REFUSED) == 1000
    assert make_event(1).counted(5) in entries
    assert entries[-1].kind is EventKind.STOPPED


def test_pauses_grow_while_events_keep_coming() -> None:
    pause, pauses = SHORTEST_PAUSE, []
    for _ in range(8):
        pause = next_pause(pause, is_busy=True)
        pauses.append(pause)
    assert pauses == [2, 4, 8, 16, 32, LONGEST_PAUSE, LONGEST_PAUSE, LONGEST_PAUSE]
    assert next_pause(pause, is_busy=False) == SHORTEST_PAUSE


def test_what_cannot_be_written_is_kept_until_it_can(
    path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(audit_trail, "SHORTEST_PAUSE", 0.0)
    monkeypatch.setattr(audit_trail, "LONGEST_PAUSE", 0.0)
    failed, repaired, real = threading.Semaphore(0), threading.Event(), AuditFile.append

    def append(self: AuditFile, events: list[AuditEvent], now: object) -> None:
        if events[0].kind is EventKind.CONNECTION_REFUSED and not repaired.is_set():
            failed.release()
            raise HostError("disk full")
        real(self, events, now)  # type: ignore[arg-type]

    trail = AuditTrail(path, NODE)
    monkeypatch.setattr(AuditFile, "append", append)
    with caplog.at_level(logging.ERROR):
        trail.note(REFUSED, 3)
        for _ in range(3):
            assert failed.acquire(timeout=10)
        trail.note(REFUSED, 4)
        repaired.set()
        trail.close()
    counted = [int(e.event.details["count"]) for e in read(path) if e.event.kind is EventKind.CONNECTION_REFUSED]
    assert sum(counted) == 7
    assert len(caplog.records) == 1, "said once, not with each attempt"


def test_a_node_ends_also_when_that_cannot_be_written(
    path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    trail = AuditTrail(path, NODE)

    def fail(*_: object) -> None:
        raise HostError("disk full")

    monkeypatch.setattr(AuditFile, "append", fail)
    with caplog.at_level(logging.ERROR):
        trail.note(REFUSED)
        trail.close()
    assert "could never be written" in caplog.text
    assert "the end of this node is not in its audit log" in caplog.text
    AuditFile(path, NODE, NOW).close()  # the lock was given back
