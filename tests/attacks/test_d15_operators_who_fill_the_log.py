"""D15: an operator, or who has his key, fills the audit log: approves what nobody proposed, or what he proposed himself,
ten thousand times; proposes and withdraws for ever.

Expected: refused approvals become a few entries that count all of them; after a hundred acts in an hour he is refused,
and another operator is not.

Defence: controller/changes.py:ChangeDesk.approve (counted, not recorded one by one) and :ChangeDesk._count_act; removed,
one operator's loop fills the disk, and with it no key is released to anybody (N04).
"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from mohawk.audit.chain import parse_entry
from mohawk.audit.events import AuditEvent, EventKind
from mohawk.contract.operating import ApproveChange, ProposeChange, WithdrawChange
from mohawk.controller.changes import MOST_ACTS, ChangeDesk
from mohawk.errors import MohawkError, NotFoundError, PolicyError
from mohawk.host.audit_file import read_lines
from mohawk.host.audit_trail import AuditTrail
from mohawk.host.change_file import ChangeFile
from mohawk.host.files import open_regular
from mohawk.host.revocations import Revocations
from mohawk.identity.names import NodeName, Role
from tests.e2e.inside import Site
from tests.support.logs import NODE
from tests.support.tls import utc_now

FLOOD = 2000
THIEF = "spiffe://mesh.example/worker/w1"
ALICE, BOB = (NodeName("mesh.example", Role.OPERATOR, name) for name in ("alice", "bob"))
LIFT = ProposeChange("lift-revocation", THIEF)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "audit.jsonl"


@pytest.fixture
def trail(path: Path) -> AuditTrail:
    return AuditTrail(path, NODE)


@pytest.fixture
def desk(tmp_path: Path, trail: AuditTrail) -> ChangeDesk:
    site = Site(tmp_path / "home")
    revocations = Revocations(site.authority)
    revocations.deny(THIEF, "stolen", utc_now())
    return ChangeDesk(ChangeFile(site.authority), revocations, {}, trail.record, trail.note)


def events(path: Path, trail: AuditTrail) -> list[AuditEvent]:
    trail.close()
    with open_regular(path) as descriptor:
        return [parse_entry(line).event for line in read_lines(descriptor)]


def test_refused_approvals_are_counted(desk: ChangeDesk, path: Path, trail: AuditTrail) -> None:
    desk.propose(ALICE, LIFT, utc_now())
    (change,) = desk.open_changes(utc_now())
    for number in range(FLOOD):
        with pytest.raises(NotFoundError):
            desk.approve(ALICE, ApproveChange(f"{number:064x}"), utc_now())
        with pytest.raises(PolicyError):
            desk.approve(ALICE, ApproveChange(change.id), utc_now())
    refused = [event for event in events(path, trail) if event.kind is EventKind.CHANGE_REFUSED]
    assert len(refused) < 100
    assert sum(int(event.details["count"]) for event in refused) == 2 * FLOOD
    assert {event.details.get("change") for event in refused} == {None, change.id}


def test_proposals_of_one_operator_are_bounded_and_others_go_on(
    desk: ChangeDesk, path: Path, trail: AuditTrail
) -> None:
    begin, done = utc_now(), 0
    for number in range(2 * MOST_ACTS):
        now = begin + timedelta(seconds=number)
        try:
            desk.propose(ALICE, LIFT, now)
            desk.withdraw(ALICE, WithdrawChange(desk.open_changes(now)[-1].id), now)
        except MohawkError:
            continue
        done += 1
    assert done == MOST_ACTS // 2
    desk.propose(BOB, LIFT, begin + timedelta(seconds=1))
    desk.propose(ALICE, LIFT, begin + timedelta(hours=2))
    assert len(events(path, trail)) < MOST_ACTS + 20
