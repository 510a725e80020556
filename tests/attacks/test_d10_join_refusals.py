"""D10 (join port): a stranger fills the audit log: ten thousand refused connections and requests, from one source and
from hundreds; or the holder of a used token, who shows it again and again.

Expected: all are refused, all are counted, and they become a few entries.

Defence: controller/join.py:JoinDesk._refuse and :JoinDesk.refused (counted, not recorded); removed, a stranger's loop
fills the controller's disk, and a full audit log stops the node.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from mohawk.audit.chain import parse_entry
from mohawk.audit.events import AuditEvent, EventKind
from mohawk.contract.joining import REFUSAL
from mohawk.controller.join import JoinDesk
from mohawk.errors import HandshakeError, HostError
from mohawk.host.audit_file import read_lines
from mohawk.host.audit_trail import AuditTrail
from mohawk.host.files import open_regular
from tests.support.audit import Heard
from tests.support.joining import JoinSite, request_for
from tests.support.logs import NODE
from tests.support.tls import utc_now

FLOOD = 10_000
SHOWN_AGAIN = 200


def exporter(_context: bytes, size: int) -> bytes:
    return bytes(size)


def flood(desk: JoinDesk, site: JoinSite) -> None:
    for number in range(FLOOD):
        desk.refused("10.0.0.9" if number % 2 else f"10.0.1.{number % 500}", HandshakeError("x"))
        assert desk.answer(b"no request", exporter, "10.0.0.9") == REFUSAL
    token = site.token()
    request = request_for(token, exporter)
    assert desk.answer(request, exporter, "10.0.0.7") != REFUSAL
    for _ in range(SHOWN_AGAIN):
        assert desk.answer(request, exporter, "10.0.0.7") == REFUSAL


def test_a_flood_becomes_a_few_entries_that_count_all_of_it(tmp_path: Path) -> None:
    site = JoinSite(tmp_path / "pki", port=8002)
    trail = AuditTrail(tmp_path / "audit.jsonl", NODE)
    flood(JoinDesk(site.authority, site.context, trail.record, trail.note, utc_now()), site)
    trail.close()
    with open_regular(tmp_path / "audit.jsonl") as descriptor:
        events = [parse_entry(line).event for line in read_lines(descriptor)]
    assert len(events) < 200
    counts: Counter[str] = Counter()
    for event in events:
        counts[event.details.get("reason", "")] += int(event.details.get("count", 0))
    assert counts["handshake_failed"] == counts["malformed_request"] == FLOOD
    assert counts["used_token"] == SHOWN_AGAIN
    assert [event.subject for event in events if event.kind is EventKind.JOIN_ACCEPTED] == [
        "spiffe://mesh.example/worker/w1"
    ]


def test_a_log_that_cannot_be_written_refuses_them_all_the_same(tmp_path: Path) -> None:
    """And who would have been let in is not: it would be on no record (N04)."""

    def full(_event: AuditEvent) -> None:
        raise HostError("disk full")

    site, heard = JoinSite(tmp_path / "pki", port=8002), Heard()
    desk = JoinDesk(site.authority, site.context, full, heard.note, utc_now())
    assert desk.answer(b"no request", exporter, "10.0.0.9") == REFUSAL
    assert desk.answer(request_for(site.token(), exporter), exporter, "10.0.0.9") == REFUSAL
    assert [event.details["reason"] for event in heard.events] == ["malformed_request", "our_own_fault"]
