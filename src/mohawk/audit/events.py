"""What is worth remembering: one closed list of kinds, so that a reader of the log meets no surprise.

An event holds names, numbers and digests. It never holds a prompt, a key, an activation, or a peer's own words: the log
travels further than the secrets of the machine that wrote it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from types import MappingProxyType


class EventKind(Enum):
    """The value is what stands in the log."""

    STARTED = "started"
    STOPPED = "stopped"
    CONNECTION_REFUSED = "connection-refused"
    CONNECTION_CUT = "connection-cut"
    ACCESS_REFUSED = "access-refused"
    TOKEN_ISSUED = "token-issued"  # noqa: S105 - the kind of an event, not a secret
    JOIN_ACCEPTED = "join-accepted"
    JOIN_REFUSED = "join-refused"
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
    NODE_ENROLLED = "node-enrolled"
    POLICY_CHANGED = "policy-changed"
    CHANGE_PROPOSED = "change-proposed"
    CHANGE_APPROVED = "change-approved"
    CHANGE_REFUSED = "change-refused"
    TICKETS_REFUSED = "tickets-refused"


@dataclass(frozen=True, slots=True)
class AuditEvent:
    """`subject`: whom or what it is about (a SPIFFE id, a source address, a slice digest); `details`: short texts."""

    kind: EventKind
    subject: str
    details: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))


RecordEvent = Callable[[AuditEvent], None]
"""Writes one event before it returns. Raises HostError when that fails: what must be recorded must then not happen."""
