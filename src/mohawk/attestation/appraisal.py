"""Policy, evidence, record and challenge in; a verdict with all reasons out (docs/spec/attestation.md 5 to 10).

Rules, and the attack each stops:

1. A verdict is no permission: only `require` gives an approval, and raises otherwise. Key release takes approvals.
2. An approval names the node, the HPKE key, the record and the hour: used for another key it opens nothing (T10), with
   another record it is refused (T12), after five minutes too (T16).
3. Default deny: evidence without a verifier, without rules or without a record has a finding of its own (T14).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import assert_never

from mohawk.attestation.challenge import Challenge
from mohawk.attestation.enrolment import Enrolment
from mohawk.attestation.evidence import Evidence, EvidenceClass, SoftwareEvidence, TpmEvidence
from mohawk.attestation.measurements import judge_measurements
from mohawk.attestation.policy import Policy, TpmRules
from mohawk.attestation.quote import Finding, Findings, judge_quote
from mohawk.attestation.reasons import ApprovalExpiredError, AttestationRefusedError, EvidenceError, Reason
from mohawk.crypto.primitives import sha256
from mohawk.identity.names import NodeName

APPROVAL_LIFETIME = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Approval:
    """Permission to release keys, for what it names and nothing else. Made by `Verdict.require` only.

    `recipient`: SHA-256 of the HPKE key; `record`: the binding of the enrolment, None for evidence that needs none;
    `evidence`: its digest.
    """

    name: NodeName
    evidence_class: EvidenceClass
    recipient: bytes
    record: bytes | None
    evidence: bytes
    expires: datetime

    def check(self, name: NodeName, public_key: bytes, record: Enrolment | None, now: datetime) -> None:
        """Raise AttestationRefusedError unless this approval is for this node, this HPKE key and the record as it is
        now; ApprovalExpiredError when it is over.
        """
        if now >= self.expires:
            raise ApprovalExpiredError((Reason.STALE,), "an approval older than five minutes", hint="ask again")
        if (name, sha256(public_key)) != (self.name, self.recipient):
            raise AttestationRefusedError((Reason.CHALLENGE,), "an approval for another node, or for another key")
        if self.record is not None and (record is None or record.binding() != self.record):
            raise AttestationRefusedError(
                (Reason.OTHER_NODE,), "this node's enrolment changed since it was appraised", hint="ask again"
            )


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was found. `record`: with its counters brought forward, when there is nothing against it; `evidence`: its
    digest; `policy`: the digest of the one that was applied.
    """

    name: NodeName
    evidence_class: EvidenceClass
    findings: tuple[Finding, ...]
    record: Enrolment | None
    recipient: bytes
    evidence: bytes
    policy: bytes
    decided: datetime

    @property
    def reasons(self) -> tuple[Reason, ...]:
        return tuple(finding.reason for finding in self.findings)

    @property
    def expires(self) -> datetime:
        return self.decided + APPROVAL_LIFETIME

    def digest(self) -> bytes:
        """What step tickets are bound to; the node computes the same from the evidence that it sent."""
        return self.evidence

    def require(self) -> Approval:
        """The approval. Raises AttestationRefusedError with all reasons."""
        if self.findings:
            told = "; ".join(finding.message for finding in self.findings)
            hint = next((finding.hint for finding in self.findings if finding.hint), "")
            raise AttestationRefusedError(self.reasons, f"attestation refused: {told}", hint=hint)
        binding = None if self.record is None else self.record.binding()
        return Approval(self.name, self.evidence_class, self.recipient, binding, self.evidence, self.expires)


def appraise(
    policy: Policy, evidence: Evidence, record: Enrolment | None, challenge: Challenge, now: datetime
) -> Verdict:
    """Judge what the node of `challenge` showed; `record`: its enrolment, None when it has none.

    Raises nothing because of what the evidence holds: that is the verdict's part.
    """
    findings = Findings()
    findings.run(challenge.check_fresh, now)
    findings.run(_check_class, policy, evidence.evidence_class)
    match evidence:
        case SoftwareEvidence():
            advanced = None
        case TpmEvidence():
            advanced = _judge_tpm(findings, policy.tpm, evidence, record, challenge, now)
        case _:
            assert_never(evidence)
    return Verdict(
        name=challenge.name,
        evidence_class=evidence.evidence_class,
        findings=tuple(findings.found),
        record=None if findings.found else advanced,
        recipient=challenge.recipient,
        evidence=evidence.digest(),
        policy=policy.digest(),
        decided=now,
    )


def _judge_tpm(
    findings: Findings,
    rules: TpmRules | None,
    evidence: TpmEvidence,
    record: Enrolment | None,
    challenge: Challenge,
    now: datetime,
) -> Enrolment | None:
    """The record with the quote's counters."""
    if rules is None:
        findings.add(Reason.NO_RULES, "a TPM's quote, and a policy without rules for it")
        return None
    if record is None:
        findings.add(Reason.NOT_ENROLLED, "a node whose TPM is not enrolled", "enrol it with `mohawk attest enroll`")
        return None
    if record.name != challenge.name:
        findings.add(Reason.OTHER_NODE, "an enrolment of another node than the one that was asked")
    findings.run(record.identity.check_vendor, rules.roots, now)
    quote = judge_quote(findings, evidence, record, rules, challenge)
    judge_measurements(findings, evidence, rules, quote)
    return record if findings.found or quote is None else record.advanced(quote.counters)


def _check_class(policy: Policy, shown: EvidenceClass) -> None:
    if shown < policy.required:
        raise EvidenceError(
            Reason.CLASS,
            f"the policy asks for evidence of class {policy.required.word}, and this is {shown.word}",
            hint="run this slice on a node that can show more, or change the policy",
        )
