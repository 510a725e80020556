"""Two people for what one may not do alone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from mohawk.errors import ArtifactError, IdentityError, NotFoundError, PolicyError, UsageError
from mohawk.identity.changes import (
    LIFETIME,
    MAXIMUM_OPEN,
    Change,
    ChangeKind,
    approve,
    open_changes,
    propose,
    withdraw,
)

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
ALICE = "spiffe://mesh.example/operator/alice"
BOB = "spiffe://mesh.example/operator/bob"
SUBJECT = "spiffe://mesh.example/worker/w1"


def make(subject: str = SUBJECT, content: bytes = b"", proposed: datetime = NOW) -> Change:
    return Change(ChangeKind.LIFT_REVOCATION, subject, content, ALICE, proposed)


def test_another_operator_approves_and_it_is_gone() -> None:
    change = make()
    found, left = approve((change, make("other")), change.id, BOB, NOW)
    assert (found, left) == (change, (make("other"),))
    with pytest.raises(NotFoundError):
        approve(left, change.id, BOB, NOW)


def test_its_proposer_does_not_approve_it() -> None:
    change = make()
    with pytest.raises(PolicyError, match="another operator"):
        approve((change,), change.id, ALICE, NOW)


def test_an_old_proposal_is_no_longer_there() -> None:
    change = make()
    assert open_changes((change,), NOW + LIFETIME) == (change,)
    with pytest.raises(NotFoundError):
        approve((change,), change.id, BOB, NOW + LIFETIME + timedelta(seconds=1))
    with pytest.raises(NotFoundError):
        approve((make(proposed=NOW + timedelta(hours=1)),), change.id, BOB, NOW)


def test_the_id_covers_every_part() -> None:
    parts = [make(), make("other"), make(content=b"x"), make(proposed=NOW + timedelta(seconds=1))]
    parts.append(Change(ChangeKind.KEY_RELEASE_POLICY, SUBJECT, b"", ALICE, NOW))
    parts.append(Change(ChangeKind.LIFT_REVOCATION, SUBJECT, b"", BOB, NOW))
    assert len({change.id for change in parts}) == len(parts)
    assert [Change.parse(change.encode()) for change in parts] == parts


def test_proposing_twice_is_proposing_once_and_too_many_are_refused() -> None:
    changes: tuple[Change, ...] = ()
    for number in range(MAXIMUM_OPEN):
        changes = propose(changes, make(f"subject {number}"), NOW)
        changes = propose(changes, make(f"subject {number}"), NOW)
    assert len(changes) == MAXIMUM_OPEN
    with pytest.raises(PolicyError, match="too many"):
        propose(changes, make("one more"), NOW)
    later = NOW + LIFETIME + timedelta(seconds=1)
    assert propose(changes, make("later", proposed=later), later) == (make("later", proposed=later),)


def test_anybody_may_say_no() -> None:
    change = make()
    assert withdraw((change,), change.id, NOW) == (change, ())


@pytest.mark.parametrize("subject", ["", "x" * 513, "two\nlines"])
def test_a_subject_that_is_none(subject: str) -> None:
    with pytest.raises(UsageError):
        make(subject)


def test_what_is_no_change_is_refused() -> None:
    with pytest.raises(UsageError):
        make(content=bytes(48 * 1024 + 1))
    with pytest.raises(IdentityError):
        Change(ChangeKind.LIFT_REVOCATION, SUBJECT, b"", "alice", NOW)
    for data in (b"", b"{}", make().encode() + b" ", make().encode().replace(b"lift-revocation", b"something-else!")):
        with pytest.raises((ArtifactError, UsageError)):
            Change.parse(data)
