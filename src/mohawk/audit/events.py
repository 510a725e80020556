"""What is worth remembering: one closed list of kinds, so that a reader of the log meets no surprise.

An event holds names, numbers and digests. It never holds a prompt, a key, an activation, or a peer's own words: the log
travels further than the secrets of the machine that wrote it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from types import MappingProxyType
from typing import Protocol

from mohawk.errors import UsageError

MAXIMUM_TEXT = 512
"""Characters of a subject or a detail. The longest SPIFFE id has 339."""
MAXIMUM_DETAILS = 16
_DETAIL = re.compile(r"[a-z][a-z0-9_]{0,31}", re.ASCII)


class EventKind(Enum):
    """The value is what stands in the log."""

    STARTED = "started"
    STOPPED = "stopped"
    LOG_REPAIRED = "log-repaired"
    CONNECTION_REFUSED = "connection-refused"
    CONNECTION_CUT = "connection-cut"
    ACCESS_REFUSED = "access-refused"
    TOKEN_ISSUED = "token-issued"  # noqa: S105 - the kind of an event, not a secret
    JOIN_ACCEPTED = "join-accepted"
    JOIN_REFUSED = "join-refused"
    AUTHORITY_CREATED = "authority-created"
    IDENTITY_ISSUED = "identity-issued"
    LEAF_RENEWED = "leaf-renewed"
    RENEWAL_REFUSED = "renewal-refused"
    NODE_REVOKED = "node-revoked"
    REVOCATION_LIFTED = "revocation-lifted"
    ISSUING_ROTATED = "issuing-rotated"
    ROOTS_CHANGED = "roots-changed"
    KEY_RELEASED = "key-released"
    KEY_REFUSED = "key-refused"
    KEY_ROTATED = "key-rotated"
    KEY_REWRAPPED = "key-rewrapped"
    KEY_DESTROYED = "key-destroyed"
    ATTESTED = "attested"
    ATTESTATION_FAILED = "attestation-failed"
    TPM_NAMED = "tpm-named"
    NODE_ENROLLED = "node-enrolled"
    ENROLMENT_REMOVED = "enrolment-removed"
    POLICY_CHANGED = "policy-changed"
    CHANGE_PROPOSED = "change-proposed"
    CHANGE_APPROVED = "change-approved"
    CHANGE_REFUSED = "change-refused"
    API_KEY_CREATED = "api-key-created"
    API_KEY_CHANGED = "api-key-changed"
    API_KEY_REVOKED = "api-key-revoked"
    STAGE_MOVED = "stage-moved"
    WORKER_DRAINED = "worker-drained"
    REPLANNING = "replanning"
    TICKETS_REFUSED = "tickets-refused"


@dataclass(frozen=True, slots=True)
class AuditEvent:
    """`subject`: whom or what it is about (a SPIFFE id, a source address, a slice digest); `details`: short texts.

    Raises UsageError when they are not short (docs/spec/audit.md 1): a log line must not be a way to fill a disk.
    """

    kind: EventKind
    subject: str
    details: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        texts = (self.subject, *self.details.values())
        if len(self.details) > MAXIMUM_DETAILS or any(len(text) > MAXIMUM_TEXT for text in texts):
            raise UsageError(f"an audit event ({self.kind.value}) with too many details, or too long ones")
        if not all(_DETAIL.fullmatch(name) for name in self.details):
            raise UsageError(f"an audit event ({self.kind.value}) with a detail whose name is not a plain word")
        object.__setattr__(self, "details", MappingProxyType(dict(self.details)))

    def counted(self, count: int) -> AuditEvent:
        """The same event, so many times."""
        return AuditEvent(self.kind, self.subject, {**self.details, "count": str(count)})


RecordEvent = Callable[[AuditEvent], None]
"""Writes one event before it returns. Raises HostError when that fails: what must be recorded must then not happen."""


class NoteEvent(Protocol):
    """Takes an event (`count` times over) that nothing waits for, and returns at once; it is counted with its equals
    and written soon. Never raises, and loses none: for what strangers can cause as often as they like.
    """

    def __call__(self, event: AuditEvent, count: int = 1) -> None: ...
