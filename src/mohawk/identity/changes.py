"""Changes that one operator may not make alone: proposed by one, approved by another (docs/spec/access.md 3).

Rules, and the attack each stops:
- Approver and proposer are two names: one stolen or bribed operator changes nothing (Z07).
- What is approved is exactly what was proposed: the approval names the digest of the whole change, so nobody can swap
  its content between the two.
- Each change is carried out once, and only within a day: an old proposal does not lie in wait for a careless approval.
- A fixed list of kinds: nothing else can be brought in this way.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from mohawk.crypto import canonical
from mohawk.crypto.primitives import sha256
from mohawk.errors import NotFoundError, PolicyError, UsageError
from mohawk.identity.names import NodeName

LIFETIME = timedelta(hours=24)
MAXIMUM_OPEN = 32
MAXIMUM_CONTENT = 48 * 1024
_MAXIMUM_SUBJECT = 512
_LAST = 253_402_300_799
"""The last second of the year 9999."""


class ChangeKind(StrEnum):
    """What takes two."""

    LIFT_REVOCATION = "lift-revocation"
    """Subject: the denied SPIFFE id or serial. No content."""
    KEY_RELEASE_POLICY = "key-release-policy"
    """Subject: the policy's name. Content: the attestation policy, as its file."""


@dataclass(frozen=True, slots=True)
class Change:
    """One proposal. `proposer` is a SPIFFE id. Raises UsageError."""

    kind: ChangeKind
    subject: str
    content: bytes
    proposer: str
    proposed: datetime

    def __post_init__(self) -> None:
        NodeName.parse(self.proposer)
        if not 0 < len(self.subject) <= _MAXIMUM_SUBJECT or not self.subject.isprintable():
            raise UsageError("a change without a subject, or with an unprintable one", field="subject")
        if len(self.content) > MAXIMUM_CONTENT:
            raise UsageError("a change of more than 48 KiB", field="content")

    @property
    def id(self) -> str:
        """SHA-256 over all of it, in hexadecimal: who approves it approves this and nothing else."""
        return sha256(self.encode()).hex()

    @property
    def expires(self) -> datetime:
        return self.proposed + LIFETIME

    def encode(self) -> bytes:
        return canonical.encode(
            {
                "content": self.content,
                "kind": self.kind.value,
                "proposed": int(self.proposed.timestamp()),
                "proposer": self.proposer,
                "subject": self.subject,
            }
        )

    @classmethod
    def parse(cls, data: bytes) -> Change:
        """The inverse of `encode`. Raises ArtifactError or UsageError."""
        fields = canonical.decode(data, 2 * MAXIMUM_CONTENT, ("content", "kind", "proposed", "proposer", "subject"))
        return cls(
            parse_kind(fields.text("kind")),
            fields.text("subject", _MAXIMUM_SUBJECT),
            fields.blob("content", MAXIMUM_CONTENT),
            fields.text("proposer", _MAXIMUM_SUBJECT),
            parse_time(fields.whole("proposed", 0, _LAST)),
        )


def parse_kind(text: str) -> ChangeKind:
    """Raises UsageError."""
    if text not in set(ChangeKind):
        raise UsageError("a change of a kind that this version does not know", field="kind")
    return ChangeKind(text)


def parse_time(seconds: int) -> datetime:
    """Seconds since 1970. Raises UsageError: beyond the year 9999."""
    if not 0 <= seconds <= _LAST:
        raise UsageError("a change of no time that there is", field="proposed")
    return datetime.fromtimestamp(seconds, UTC)


def open_changes(changes: Sequence[Change], now: datetime) -> tuple[Change, ...]:
    """Those that may still be approved at `now`."""
    return tuple(
        change for change in changes if change.proposed <= now + timedelta(minutes=1) and now <= change.expires
    )


def propose(changes: Sequence[Change], change: Change, now: datetime) -> tuple[Change, ...]:
    """All open changes with this one. Raises PolicyError when too many are open. Proposing the same twice changes
    nothing.
    """
    current = open_changes(changes, now)
    if any(one.id == change.id for one in current):
        return current
    if len(current) >= MAXIMUM_OPEN:
        raise PolicyError("too many changes are open", hint="approve or withdraw some: `mohawk change list`")
    return (*current, change)


def approve(
    changes: Sequence[Change], change_id: str, approver: str, now: datetime
) -> tuple[Change, tuple[Change, ...]]:
    """The change to carry out now, and those that stay open. Raises NotFoundError, PolicyError (its own proposer)."""
    change = find(changes, change_id, now)
    if change.proposer == approver:
        raise PolicyError("a change is approved by another operator than the one who proposed it")
    return change, _without(changes, change, now)


def withdraw(changes: Sequence[Change], change_id: str, now: datetime) -> tuple[Change, tuple[Change, ...]]:
    """The change that is dropped, and those that stay open: saying no takes one. Raises NotFoundError."""
    change = find(changes, change_id, now)
    return change, _without(changes, change, now)


def find(changes: Sequence[Change], change_id: str, now: datetime) -> Change:
    """The open change of this id. Raises NotFoundError."""
    for change in open_changes(changes, now):
        if change.id == change_id:
            return change
    raise NotFoundError("no open change of this id", hint="see `mohawk change list`; a change is open for 24 h")


def _without(changes: Sequence[Change], change: Change, now: datetime) -> tuple[Change, ...]:
    return tuple(one for one in open_changes(changes, now) if one.id != change.id)
