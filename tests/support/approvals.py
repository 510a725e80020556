"""Approvals of machines for tests whose subject is something else."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from mohawk.attestation.appraisal import Approval, appraise
from mohawk.attestation.challenge import LIFETIME, Challenge
from mohawk.attestation.evidence import SoftwareEvidence
from mohawk.audit.events import AuditEvent
from mohawk.channel.nonces import NonceGuard
from mohawk.controller.attestation import Attestation
from mohawk.crypto.primitives import sha256
from mohawk.host.authority import AuthorityFolder
from mohawk.host.enrolments import open_enrolments
from mohawk.host.join_book import JoinBook
from mohawk.host.release_policy import SOFTWARE_ONLY, ReleasePolicy
from mohawk.identity.names import NodeName

MANIFEST = bytes(32)


def approve(name: NodeName, public_key: bytes) -> Approval:
    """What a worker without a TPM gets where no policy asks for one."""
    now = datetime.now(UTC)
    challenge = Challenge(bytes(32), sha256(public_key), name, bytes(32), MANIFEST, now)
    return appraise(SOFTWARE_ONLY, SoftwareEvidence(), None, challenge, now + LIFETIME / 2).require()


@dataclass
class AnyMachine:
    """In place of an `Attestation`: takes every approval, and notes which."""

    checked: list[tuple[Approval, NodeName, bytes]] = field(default_factory=list)

    def check(self, approval: Approval, name: NodeName, public_key: bytes) -> None:
        self.checked.append((approval, name, public_key))


def open_attestation(authority: AuthorityFolder, events: list[AuditEvent] | None = None) -> Attestation:
    """A real one, with an authority's own policy, enrolments and joins."""
    heard = [] if events is None else events
    folder = Path(authority.folder)
    assert folder.exists()
    return Attestation(
        ReleasePolicy(authority), open_enrolments(authority), JoinBook(authority), NonceGuard(100), heard.append
    )
