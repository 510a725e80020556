"""Entries round-trip, chain, and are bounded. What happens to a changed log: tests/attacks/test_n01_changed_log.py."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime, timedelta, timezone

import pytest

from mohawk.audit.chain import (
    MAXIMUM_LINE,
    START,
    BrokenLogError,
    Entry,
    Fault,
    Head,
    append,
    parse_entry,
    verify,
)
from mohawk.audit.events import MAXIMUM_DETAILS, MAXIMUM_TEXT, AuditEvent, EventKind
from mohawk.errors import ArtifactError
from tests.support.logs import NODE, NOW, change, make_event, make_log


def test_the_format_is_the_specified_one() -> None:
    """docs/spec/audit.md 1 and 2, spelled out: what another program must be able to verify."""
    event = AuditEvent(EventKind.KEY_RELEASED, "spiffe://mesh.example/worker/w1", {"slice": "slice_0_7"})
    line, head = append(START, event, NODE, datetime(2026, 11, 25, 18, 2, 3, 4005, tzinfo=UTC))
    start = hashlib.sha256(b"mohawk-audit-1\0").hexdigest()
    assert line == (
        b'{"details":{"slice":"slice_0_7"},"kind":"key-released","node":"spiffe://mesh.example/controller/c1","number":1,'
        b'"previous":"' + start.encode() + b'","subject":"spiffe://mesh.example/worker/w1",'
        b'"time":"2026-11-25T18:02:03.004005Z"}\n'
    )
    assert head == Head(1, hashlib.sha256(b"mohawk-audit-1\0" + line[:-1]).hexdigest())


def test_what_is_appended_is_read_back() -> None:
    line, _ = append(START, make_event(), NODE, NOW)
    assert parse_entry(line) == Entry(1, NOW, NODE, make_event(), START.digest)


def test_time_is_utc_whatever_the_clock_s_zone() -> None:
    east = timezone(timedelta(hours=5, minutes=30))
    assert append(START, make_event(), NODE, NOW.astimezone(east)) == append(START, make_event(), NODE, NOW)


def test_a_log_verifies_to_the_head_that_its_writer_had() -> None:
    for count in range(4):
        lines, head = make_log(count)
        assert verify(lines) == verify(lines, head) == head
        assert head.count == count


def test_an_older_head_vouches_for_the_beginning() -> None:
    lines, _ = make_log(5)
    for count in range(6):
        assert verify(lines, make_log(count)[1]) == make_log(5)[1]


def test_the_longest_event_fits_a_line() -> None:
    """Each character may take twelve bytes; a line beyond the limit could be written and never be read again."""
    wide = "\U0001f600" * MAXIMUM_TEXT
    details = {f"{number:x}".rjust(32, "d"): wide for number in range(MAXIMUM_DETAILS)}
    line, head = append(START, AuditEvent(EventKind.STARTED, wide, details), wide, NOW)
    assert len(line) < MAXIMUM_LINE
    assert verify([line]) == head


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("kind", "invented"),
        ("kind", 1),
        ("time", "2026-11-25T12:00:00Z"),
        ("time", "2026-11-25T12:00:00.250000+00:00"),
        ("time", "2026-11-25 12:00:00.250000Z"),
        ("time", "0001-01-01T00:00:00.000000+23:00"),
        ("number", 0),
        ("number", -1),
        ("number", True),
        ("number", 10**19),
        ("subject", "x" * (MAXIMUM_TEXT + 1)),
        ("node", "x" * (MAXIMUM_TEXT + 1)),
        ("details", []),
        ("details", {"reason": 1}),
        ("details", {"Reason": ""}),
        ("details", {str(number): "" for number in range(MAXIMUM_DETAILS + 1)}),
        ("previous", None),
        ("extra", ""),
    ],
)
def test_an_entry_has_one_form(field: str, value: object) -> None:
    line, _ = append(START, make_event(), NODE, NOW)
    changed = json.dumps(json.loads(line) | {field: value}, sort_keys=True, separators=(",", ":")).encode() + b"\n"
    with pytest.raises(ArtifactError):
        parse_entry(changed)
    with pytest.raises(BrokenLogError) as broken:
        verify([changed])
    assert (broken.value.number, broken.value.fault) == (1, Fault.UNREADABLE)


def test_another_spelling_of_the_same_entry_is_none() -> None:
    line, _ = append(START, make_event(), NODE, NOW)
    for changed in (line.replace(b":1,", b": 1,"), line.replace(b"key-", b"\\u006bey-"), line[:-1] + b"\r\n"):
        with pytest.raises(ArtifactError):
            parse_entry(changed)


@pytest.mark.parametrize(
    "text", ["", "5", "5:", "05:" + "a" * 64, "5:" + "A" * 64, "5:" + "a" * 64 + "\n", "-1:" + "a" * 64]
)
def test_a_head_has_one_form(text: str) -> None:
    with pytest.raises(ArtifactError):
        Head.parse(text)
    assert Head.parse("5:" + "a" * 64) == Head(5, "a" * 64)


def test_two_edits_are_named_one_at_a_time() -> None:
    lines, head = make_log(6)
    lines[1], lines[4] = change(lines[1], "subject", "x"), change(lines[4], "subject", "x")
    with pytest.raises(BrokenLogError) as broken:
        verify(lines, head)
    assert broken.value.number == 2
