"""Protects the way from evidence to permission: a verdict is none, an approval is for what it names.

With a TPM: tests/attacks/test_t*.py, tests/host/test_attester.py.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from mohawk.attestation.appraisal import appraise
from mohawk.attestation.challenge import Challenge
from mohawk.attestation.evidence import EvidenceClass, SoftwareEvidence
from mohawk.attestation.policy import Policy, parse_policy
from mohawk.attestation.reasons import ApprovalExpiredError, AttestationRefusedError, EvidenceError, Reason
from mohawk.crypto.primitives import sha256
from mohawk.identity.names import NodeName, Role
from tests.support.attestation_samples import evidence, record, vendor
from tests.support.endorsements import NOW, Maker
from tests.support.machines import policy_document

KEY = b"an HPKE public key"
CHALLENGE = Challenge(b"n" * 32, sha256(KEY), record().name, b"e" * 32, b"m" * 32, NOW)
OPEN = Policy(EvidenceClass.SOFTWARE, None)


def test_software_where_software_is_enough() -> None:
    verdict = appraise(OPEN, SoftwareEvidence(), None, CHALLENGE, NOW)
    approval = verdict.require()
    assert approval.evidence_class is EvidenceClass.SOFTWARE
    assert verdict.digest() == SoftwareEvidence().digest()
    assert verdict.policy == OPEN.digest()
    for known in (None, record()):  # an enrolment that the approval does not rest on
        approval.check(record().name, KEY, known, NOW)
    with pytest.raises(AttestationRefusedError):
        approval.check(NodeName("mesh.example", Role.WORKER, "w2"), KEY, None, NOW)
    with pytest.raises(ApprovalExpiredError):
        approval.check(record().name, KEY, None, NOW + timedelta(minutes=5))


def test_a_refusal_tells_all_reasons() -> None:
    policy = parse_policy(policy_document(vendor().pem.decode()))
    verdict = appraise(policy, evidence(), record(), CHALLENGE, NOW)
    assert {Reason.SIGNER, Reason.CHALLENGE, Reason.SELECTION, Reason.PCR_VALUE} < set(verdict.reasons)
    assert len(verdict.reasons) == len(verdict.findings)
    with pytest.raises(AttestationRefusedError) as refusal:
        verdict.require()
    assert refusal.value.reasons == verdict.reasons
    for finding in verdict.findings:
        assert finding.message in refusal.value.message
    assert (verdict.record, refusal.value.http_status, refusal.value.exit_code) == (None, 403, 4)


def test_firmware_of_the_tpm() -> None:
    policy = parse_policy(policy_document(vendor().pem.decode(), firmware=["00" * 7 + "02"]))
    assert Reason.FIRMWARE in appraise(policy, evidence(), record(), CHALLENGE, NOW).reasons
    policy = parse_policy(policy_document(vendor().pem.decode(), firmware=["00" * 7 + "02", "00" * 7 + "01"]))
    assert Reason.FIRMWARE not in appraise(policy, evidence(), record(), CHALLENGE, NOW).reasons


def test_a_vendor_that_left_the_policy() -> None:
    """The record was good when it was made; who is trusted is asked each time."""
    policy = parse_policy(policy_document(Maker().pem.decode()))
    assert Reason.VENDOR in appraise(policy, evidence(), record(), CHALLENGE, NOW).reasons
    policy = parse_policy(policy_document(vendor().pem.decode()))
    assert Reason.VENDOR not in appraise(policy, evidence(), record(), CHALLENGE, NOW).reasons
    later = replace(CHALLENGE, issued=NOW + timedelta(days=400))
    assert Reason.VENDOR in appraise(policy, evidence(), record(), later, later.issued).reasons


def test_reasons_are_words_for_programs() -> None:
    assert len({str(reason) for reason in Reason}) == len(Reason)
    assert all(reason.isascii() and reason.replace("_", "").isalpha() for reason in Reason)
    assert EvidenceError(Reason.MAGIC, "x").http_status == 403
