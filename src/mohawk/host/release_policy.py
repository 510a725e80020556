"""The attestation policy that this authority releases keys by, and what two operators approved of it
(docs/spec/attestation.md 9).

    attestation.yaml       the policy
    attestation.approved   SHA-256 of that file, as it was first laid down or last approved

Rules, and the attack each stops:
- Once there was a policy, keys are released by it or not at all: a file that is gone, unreadable, or changed without
  approval is no reason to ask for less (T15).
- It is read for each release: an approved change counts from the next key on.
"""

from __future__ import annotations

from pathlib import Path

from mohawk.attestation.evidence import EvidenceClass
from mohawk.attestation.policy import Policy, parse_policy
from mohawk.audit.events import AuditEvent, EventKind, RecordEvent
from mohawk.crypto.primitives import sha256
from mohawk.errors import PolicyError, UsageError
from mohawk.host.authority import AuthorityFolder
from mohawk.host.files import read_file, write_file
from mohawk.host.yaml_file import parse_yaml
from mohawk.identity.changes import MAXIMUM_CONTENT

NAME = "attestation.yaml"
_APPROVED = "attestation.approved"
MAXIMUM_POLICY = MAXIMUM_CONTENT
"""Bytes: what two operators cannot approve in one change could never be changed again."""
SOFTWARE_ONLY = Policy(EvidenceClass.SOFTWARE, None)
"""Where no policy was ever laid down: every worker with a certificate gets its key, and is shown as `software`."""


class ReleasePolicy:
    """Several processes may hold one: the controller, and operators' commands on its machine."""

    def __init__(self, authority: AuthorityFolder) -> None:
        self._authority = authority
        self._path: Path = authority.folder / NAME
        self._approved: Path = authority.folder / _APPROVED

    @property
    def exists(self) -> bool:
        """A policy was laid down, whatever became of its file."""
        return self._approved.exists() or self._path.exists()

    def read(self) -> Policy:
        """Raises HostError (missing, unreadable), PolicyError (changed without approval), UsageError (not a policy)."""
        return parse(self.read_text()) if self.exists else SOFTWARE_ONLY

    def read_text(self) -> bytes:
        """The file as it is, if it is what was approved. Raises like `read`."""
        text = read_file(self._path, MAXIMUM_POLICY)
        if not self._approved.exists() or read_file(self._approved, 64) != sha256(text).hex().encode("ascii"):
            raise PolicyError(
                f"{NAME} is not the policy that was approved",
                hint="put the approved one back, or have two operators approve this one: mohawk operator policy",
            )
        return text

    def initialise(self, text: bytes, record: RecordEvent) -> Policy:
        """Lay the first one down. Raises PolicyError when there is one: changing it takes two operators; UsageError,
        HostError.
        """
        policy = parse(text)
        with self._authority.locked():
            if self.exists:
                raise PolicyError(
                    "there is a key-release policy already", hint="two operators change it: mohawk operator policy FILE"
                )
            record(AuditEvent(EventKind.POLICY_CHANGED, NAME, {"policy": policy.digest().hex()}))
            self._write(text)
        return policy

    def replace(self, text: bytes) -> None:
        """What two operators approved. Raises UsageError, HostError."""
        parse(text)
        with self._authority.locked():
            self._write(text)

    def _write(self, text: bytes) -> None:
        """Approval first: killed in between, nothing is released until somebody looks."""
        write_file(self._approved, sha256(text).hex().encode("ascii"))
        write_file(self._path, text)


def parse(text: bytes) -> Policy:
    """Raises UsageError."""
    return parse_policy(parse_yaml(text, NAME))


def require_hardware(policy: Policy) -> None:
    """For MIE_TPM_ATTESTATION_REQUIRED: raise UsageError unless the policy asks for a TPM, or more."""
    if policy.required < EvidenceClass.TPM:
        raise UsageError(
            "MIE_TPM_ATTESTATION_REQUIRED is set, and the key-release policy asks for no TPM",
            hint="lay one down: mohawk attest policy init FILE",
            field="MIE_TPM_ATTESTATION_REQUIRED",
        )
