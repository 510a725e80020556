"""Why evidence was refused; for programs and audit entries, so the words are stable."""

from __future__ import annotations

from enum import StrEnum
from typing import ClassVar

from mohawk.errors import PolicyError, RemoteError


class Reason(StrEnum):
    """One word for each check that evidence can fail (docs/spec/attestation.md 5 to 9)."""

    UNREADABLE = "unreadable_evidence"
    CLASS = "class_too_low"
    NO_RULES = "no_rules_for_this_evidence"
    NOT_ENROLLED = "not_enrolled"
    OTHER_NODE = "record_of_another_node"
    STALE = "challenge_too_old"
    NONCE = "nonce_missing_or_short"
    VENDOR = "endorsement_certificate"
    ENDORSEMENT_KEY = "endorsement_key"
    MAGIC = "not_made_by_a_tpm"
    TYPE = "not_a_quote"
    KEY_ATTRIBUTES = "attestation_key_attributes"
    WEAK_KEY = "weak_key_or_signature"
    SIGNER = "signed_by_another_key"
    SIGNATURE = "signature"
    CHALLENGE = "answers_another_challenge"
    BANK = "pcr_bank"
    SELECTION = "pcr_selection"
    PCR_DIGEST = "pcr_digest"
    PCR_UNMEASURED = "pcr_unmeasured"
    PCR_VALUE = "pcr_value"
    COUNTER = "counter_went_back"
    FIRMWARE = "tpm_firmware"
    LOG_MISSING = "event_log_missing"
    LOG = "event_log"
    CODE_BOOT = "code_measured_before_start"
    CODE_HISTORY = "code_history"
    CODE = "code_not_allowed"
    STOPPED = "service_not_running"
    PROOF = "credential_not_activated"


class EvidenceError(RemoteError):
    """Evidence that fails one check. The appraisal collects these; elsewhere it ends what was attempted."""

    exit_code: ClassVar[int] = 4
    http_status: ClassVar[int] = 403
    code: ClassVar[str] = "evidence_refused"

    def __init__(self, reason: Reason, message: str, *, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.reason = reason


class AttestationRefusedError(PolicyError):
    """A verdict that gives no approval, with all reasons; or an approval used for something else."""

    code: ClassVar[str] = "attestation_refused"

    def __init__(self, reasons: tuple[Reason, ...], message: str, *, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.reasons = reasons


class ApprovalExpiredError(AttestationRefusedError):
    """An approval that was used too late; a new quote gives a new one."""

    http_status: ClassVar[int] = 401
    code: ClassVar[str] = "approval_expired"
