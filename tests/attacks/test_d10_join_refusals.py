"""D10 (join port): a stranger fills the audit log: ten thousand refused requests, from one source and from hundreds.

Expected: nothing is lost and nothing grows: an entry a second for each source and reason, with how often; beyond 32
sources they are counted together. What a token's holder does is recorded each time.

Defence: controller/strangers.py:StrangerLog; removed (an entry each), a stranger's loop fills the controller's disk,
and a full audit log stops the node.
"""

from __future__ import annotations

import asyncio

import pytest

from mohawk.audit.events import AuditEvent, EventKind
from mohawk.controller import strangers
from mohawk.controller.strangers import StrangerLog
from mohawk.errors import HostError
from tests.support.nodes import run


def counted(events: list[AuditEvent]) -> int:
    return sum(int(event.details["times"]) for event in events)


def test_ten_thousand_refusals_of_one_source() -> None:
    events: list[AuditEvent] = []

    async def main() -> None:
        log = StrangerLog(events.append, "join")
        for _ in range(10_000):
            log.note(EventKind.JOIN_REFUSED, "10.0.0.9", "unknown_token")
        assert len(events) == 1, "the first is written at once"
        log.close()

    run(main)
    assert len(events) == 2
    assert counted(events) == 10_000
    assert {event.subject for event in events} == {"10.0.0.9"}


def test_hundreds_of_sources_in_a_second() -> None:
    events: list[AuditEvent] = []

    async def main() -> None:
        log = StrangerLog(events.append, "join")
        for number in range(500):
            log.note(EventKind.CONNECTION_REFUSED, f"10.0.1.{number}", "handshake_failed")
        log.close()

    run(main)
    assert len(events) == 1 + strangers.MOST_SOURCES + 1
    assert counted(events) == 500
    assert counted([event for event in events if event.subject == "others"]) == 500 - 1 - strangers.MOST_SOURCES


def test_what_waits_is_written_a_second_later_and_then_the_next_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(strangers, "QUIET_SECONDS", 0.05)
    events: list[AuditEvent] = []

    async def main() -> None:
        log = StrangerLog(events.append, "join")
        for _ in range(3):
            log.note(EventKind.JOIN_REFUSED, "10.0.0.9", "forged_proof")
        await asyncio.sleep(0.2)
        assert [event.details["times"] for event in events] == ["1", "2"]
        log.note(EventKind.JOIN_REFUSED, "10.0.0.9", "forged_proof")
        assert len(events) == 3
        log.close()

    run(main)


def test_a_log_that_cannot_be_written_refuses_them_all_the_same(caplog: pytest.LogCaptureFixture) -> None:
    def full(_event: AuditEvent) -> None:
        raise HostError("disk full")

    async def main() -> None:
        log = StrangerLog(full, "join")
        log.note(EventKind.JOIN_REFUSED, "10.0.0.9", "forged_proof")
        log.close()

    run(main)
    assert "disk full" in caplog.text
