"""D10: strangers cause as many log entries as they can: refused handshakes from one address or from thousands, forged
tickets, revoked nodes that try again, a joined node that asks for one certificate after the other.

Expected: few entries and few syncs, none of them on the event loop; each refusal is in a count; memory stays bounded; a
revoked node's attempt is named although strangers flood.

Defence: controller/trust.py:TrustKeeper._count_renewal; removed, one joined node fills the log with its renewals.
Defence: audit/tally.py:Tally.add; removed, every refused connection is a line and a sync, and the disk is full by noon.
Defence: host/audit_trail.py:AuditTrail.note (a thread writes); removed, the event loop waits for the disk at every one.
"""

from __future__ import annotations

import logging
import threading
from collections import Counter
from pathlib import Path

import pytest

from mohawk.audit.chain import parse_entry, verify
from mohawk.audit.events import AuditEvent, EventKind
from mohawk.audit.tally import SUBJECTS, Tally
from mohawk.contract.trust import RenewalRequest
from mohawk.controller.trust import MOST_RENEWALS, TrustKeeper
from mohawk.crypto.certificate_request import make_request
from mohawk.crypto.signing import SigningKey
from mohawk.errors import HandshakeError
from mohawk.host import audit_file
from mohawk.host.audit_file import read_head, read_lines
from mohawk.host.audit_trail import SHORTEST_PAUSE, AuditTrail, next_pause
from mohawk.host.files import open_regular
from mohawk.identity.names import IdentityRefusedError, NodeName, Reason, Role
from mohawk.transport.refusals import RefusalLog
from tests.e2e.inside import Site
from tests.support.audit import Heard
from tests.support.logs import NODE
from tests.support.nodes import Recorder, run, serving, stranger
from tests.support.tls import Mesh, utc_now

FLOOD = 100_000
DAY = 24 * 3600
THIEF = NodeName("mesh.example", Role.WORKER, "w9")


def read(path: Path) -> list[AuditEvent]:
    with open_regular(path) as descriptor:
        lines = list(read_lines(descriptor))
    verify(lines, read_head(path))
    return [parse_entry(line).event for line in lines]


@pytest.fixture
def syncs(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often each thread waited for the disk."""
    counts: Counter[str] = Counter()
    real = audit_file.os.fsync

    def fsync(descriptor: int) -> None:
        counts[threading.current_thread().name] += 1
        real(descriptor)

    monkeypatch.setattr(audit_file.os, "fsync", fsync)
    return counts


def test_a_flood_becomes_a_few_entries_that_count_all_of_it(tmp_path: Path, syncs: Counter[str]) -> None:
    trail = AuditTrail(tmp_path / "audit.jsonl", NODE)
    refusals = RefusalLog(logging.getLogger("test"), trail.note)
    syncs.clear()
    for number in range(FLOOD):
        refusals.refused(f"2001:db8::{number:x}", HandshakeError("x"))
    refusals.refused("10.0.0.9", IdentityRefusedError(Reason.REVOKED, "x"), THIEF)
    assert "MainThread" not in syncs, "whoever floods waits for no disk of ours"
    trail.close()
    events = read(tmp_path / "audit.jsonl")
    assert len(events) < 100
    by_reason: Counter[str] = Counter()
    for event in events:
        by_reason[event.details.get("reason", "")] += int(event.details.get("count", 0))
    assert by_reason["handshake_failed"] == FLOOD
    assert [event.subject for event in events if event.details.get("reason") == "revoked"] == [str(THIEF)]


def test_real_connections_are_counted_one_by_one(tmp_path: Path) -> None:
    mesh, attempts = Mesh(), 150
    trail = AuditTrail(tmp_path / "audit.jsonl", NODE)
    refusals = RefusalLog(logging.getLogger("test"), trail.note)

    async def main() -> None:
        service = Recorder()
        async with serving(mesh.worker, service) as listener:
            mesh.worker.on_refused = lambda *what: (refusals.refused(*what), service.refused(*what))[0]
            for _ in range(attempts):
                async with stranger(listener) as (_, writer):
                    writer.write(b"GET / HTTP/1.1\r\n\r\n")
            await service.until(lambda: len(service.refusals) == attempts)

    run(main)
    trail.close()
    counts = [int(event.details["count"]) for event in read(tmp_path / "audit.jsonl") if "count" in event.details]
    assert sum(counts) == attempts
    assert len(counts) < attempts / 5


def test_renewals_of_one_node_are_bounded_and_others_go_on(tmp_path: Path) -> None:
    """Each is written before it is sent, so none of them can be counted with others."""
    site, heard = Site(tmp_path / "home"), Heard()

    async def reconnect() -> None:
        pytest.fail("not under test")

    context = site.context(Role.CONTROLLER, "c1")
    keeper = TrustKeeper(site.authority, context, heard.record, heard.note, lambda _update: None, reconnect)
    flooder, other = (site.credentials(Role.WORKER, name).check(utc_now()) for name in ("w1", "w2"))
    request = RenewalRequest(make_request(SigningKey.generate()))
    granted = [keeper.renew(flooder, request) is not None for _ in range(MOST_RENEWALS + 20)]
    assert granted == [True] * MOST_RENEWALS + [False] * 20
    assert keeper.renew(other, request) is not None
    assert len(heard.of(EventKind.LEAF_RENEWED)) == MOST_RENEWALS + 1
    assert {event.details["reason"] for event in heard.of(EventKind.RENEWAL_REFUSED)} == {"refused_by_policy"}


def test_a_day_of_it_fills_no_disk() -> None:
    """In virtual time: something new from thousands of addresses in each interval, all day long."""
    tally, clock, pause, entries = Tally(), 0.0, SHORTEST_PAUSE, 0
    while clock < DAY:
        for number in range(1000):
            tally.add(AuditEvent(EventKind.CONNECTION_REFUSED, f"{clock}-{number}", {"reason": "handshake_failed"}))
        written = tally.take()
        assert len(written) <= SUBJECTS + 1
        assert sum(count for _, count in written) == 1000
        entries += len(written)
        clock += pause
        pause = next_pause(pause, is_busy=True)
    assert entries < 25_000  # of about 400 bytes: 10 MB


def test_memory_is_bounded_while_nothing_can_be_written() -> None:
    tally = Tally()
    for number in range(FLOOD):
        tally.add(AuditEvent(EventKind.TICKETS_REFUSED, f"w{number}"))
        tally.add(AuditEvent(EventKind.CONNECTION_REFUSED, f"{number}", {"reason": f"reason_{number % 20}"}))
    assert len(tally._events) == 21 * (SUBJECTS + 1)
