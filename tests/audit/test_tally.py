"""Counting bounds memory and loses nothing."""

from __future__ import annotations

from mohawk.audit.events import AuditEvent, EventKind
from mohawk.audit.tally import OTHERS, SUBJECTS, Tally


def refusal(source: str, reason: str = "handshake_failed") -> AuditEvent:
    return AuditEvent(EventKind.CONNECTION_REFUSED, source, {"reason": reason})


def test_equal_events_become_one_with_a_count() -> None:
    tally = Tally()
    for source in ("10.0.0.1", "10.0.0.2", "10.0.0.1"):
        tally.add(refusal(source))
    tally.add(refusal("10.0.0.1"), 5)
    assert tally
    assert tally.take() == [(refusal("10.0.0.1"), 7), (refusal("10.0.0.2"), 1)]
    assert not tally
    assert tally.take() == []


def test_a_count_becomes_a_detail() -> None:
    assert refusal("10.0.0.1").counted(7).details == {"reason": "handshake_failed", "count": "7"}


def test_strangers_beyond_the_bound_are_counted_together() -> None:
    tally = Tally()
    for number in range(10_000):
        tally.add(refusal(f"2001:db8::{number:x}"))
    taken = tally.take()
    assert len(taken) == SUBJECTS + 1
    assert taken[-1] == (refusal(OTHERS), 10_000 - SUBJECTS)


def test_a_flood_does_not_hide_another_reason() -> None:
    tally = Tally()
    for number in range(1000):
        tally.add(refusal(f"2001:db8::{number:x}"))
    revoked = refusal("spiffe://mesh.example/worker/w9", "revoked")
    tally.add(revoked)
    assert (revoked, 1) in tally.take()


def test_what_only_we_can_cause_is_named_one_by_one() -> None:
    tally = Tally()
    for number in range(1000):
        tally.add(AuditEvent(EventKind.NODE_REVOKED, f"w{number}", {"reason": "stolen"}))
    assert len(tally.take()) == 1000


def test_the_bound_is_for_one_interval() -> None:
    tally = Tally()
    for _ in range(3):
        for number in range(SUBJECTS):
            tally.add(refusal(str(number)))
        assert [event.subject for event, _ in tally.take()] == [str(number) for number in range(SUBJECTS)]
