"""Z07: one operator alone does what takes two: lifts a revocation that he proposed himself, under his own name, with a
renewed certificate, or by swapping the content between proposal and approval. Or what a revoked operator proposed waits for
one who is careless.

Expected: refused and recorded; the node stays revoked. Another operator approves, once, and it is done.
Defence: identity/changes.py:approve (two names, and an id that covers the whole change); removed, one stolen operator
key undoes every revocation. Defence: controller/changes.py:ChangeDesk._trusted; removed, a key that was found stolen and
revoked is still one of the two.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from mohawk.audit.events import AuditEvent, EventKind
from mohawk.contract.operating import ApproveChange, ProposeChange, Revoke
from mohawk.controller.changes import ChangeDesk
from mohawk.errors import HostError, NotFoundError, PolicyError, UsageError
from mohawk.host.change_file import ChangeFile
from mohawk.host.revocations import Revocations
from mohawk.identity.names import NodeName, Role
from tests.e2e.inside import Site, now
from tests.support.audit import Heard

THIEF = "spiffe://mesh.example/worker/w1"
ALICE, BOB = (NodeName("mesh.example", Role.OPERATOR, name) for name in ("alice", "bob"))
LIFT = ProposeChange("lift-revocation", THIEF)


class Desk(ChangeDesk):
    def __init__(self, site: Site) -> None:
        self.events: list[AuditEvent] = []
        self.file = ChangeFile(site.authority)
        self.revocations = Revocations(site.authority)
        super().__init__(self.file, self.revocations, {}, self.events.append, Heard(self.events).note)

    @property
    def is_revoked(self) -> bool:
        return THIEF in [denial.subject for denial in self.revocations.denials()]


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    desk = Desk(Site(tmp_path / "home"))
    desk.revoke(ALICE, Revoke(THIEF, "stolen"), now())
    return desk


def test_one_operator_does_not_approve_his_own_proposal(desk: Desk) -> None:
    desk.propose(ALICE, LIFT, now())
    (change,) = desk.open_changes(now())
    with pytest.raises(PolicyError, match="another operator"):
        desk.approve(ALICE, ApproveChange(change.id), now())
    assert desk.is_revoked
    assert [event.kind for event in desk.events] == [EventKind.CHANGE_PROPOSED, EventKind.CHANGE_REFUSED]


def test_another_operator_approves_once(desk: Desk) -> None:
    desk.propose(ALICE, LIFT, now())
    (change,) = desk.open_changes(now())
    desk.approve(BOB, ApproveChange(change.id), now())
    assert not desk.is_revoked
    assert [event.kind for event in desk.events][1:] == [EventKind.CHANGE_APPROVED, EventKind.REVOCATION_LIFTED]
    desk.revoke(BOB, Revoke(THIEF, "again"), now())
    with pytest.raises(NotFoundError):
        desk.approve(BOB, ApproveChange(change.id), now())
    assert desk.is_revoked


def test_what_was_read_is_what_is_approved(desk: Desk) -> None:
    """Somebody changes the list on the disk between the two: the id that was approved is no longer there."""
    desk.propose(ALICE, LIFT, now())
    (change,) = desk.open_changes(now())
    other = replace(change, subject="spiffe://mesh.example/worker/w9")
    desk.file.update(lambda known: (None, (other,)))
    with pytest.raises(NotFoundError):
        desk.approve(BOB, ApproveChange(change.id), now())


def test_what_a_revoked_operator_proposed_is_void(desk: Desk) -> None:
    desk.propose(ALICE, LIFT, now())
    (change,) = desk.open_changes(now())
    desk.revoke(BOB, Revoke(str(ALICE), "her key was stolen"), now())
    assert desk.open_changes(now()) == ()
    with pytest.raises(NotFoundError):
        desk.show(change.id, now())
    with pytest.raises(NotFoundError):
        desk.approve(BOB, ApproveChange(change.id), now())
    assert desk.is_revoked


def test_a_day_later_it_is_void(desk: Desk) -> None:
    desk.propose(ALICE, LIFT, now())
    (change,) = desk.open_changes(now())
    with pytest.raises(NotFoundError):
        desk.approve(BOB, ApproveChange(change.id), now() + timedelta(hours=25))
    assert desk.is_revoked


def test_a_kind_that_is_not_on_the_list(desk: Desk) -> None:
    for kind in ("root-shell", "key-release-policy"):  # the second: this controller has no such policy
        with pytest.raises(UsageError):
            desk.propose(ALICE, ProposeChange(kind, THIEF), now())


def test_what_cannot_be_recorded_is_not_done(desk: Desk) -> None:
    desk.propose(ALICE, LIFT, now())
    (change,) = desk.open_changes(now())

    def fail(_event: AuditEvent) -> None:
        raise HostError("disk full")

    desk._record = fail
    with pytest.raises(HostError):
        desk.approve(BOB, ApproveChange(change.id), now())
    assert desk.is_revoked
