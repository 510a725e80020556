"""T14: a TPM's quote under a TEE's label; and a policy that demands a TEE, shown a TPM's quote, or nothing.

Expected: refused. A TPM never satisfies `tee`, and no evidence never satisfies `tpm`.

Defence: attestation/appraisal.py:_check_class and attestation/evidence.py:parse_evidence; removed, root on a measured
machine reads what the policy kept for closed memory.
"""

from __future__ import annotations

import pytest

from mohawk.attestation.evidence import EvidenceClass, SoftwareEvidence, parse_evidence
from mohawk.attestation.policy import Policy
from mohawk.attestation.reasons import EvidenceError, Reason
from tests.support.machines import Machine


@pytest.mark.parametrize("label", [b"sgx/1", b"snp/1", b"tdx/1", b"tee/1", b"tpm/2", b"TPM/1", b"software/1", b""])
def test_a_quote_under_another_label(machine: Machine, policy: Policy, label: bytes) -> None:
    encoded = machine.answer(machine.challenge(), policy).encode()
    _, _, document = encoded.partition(b"\n")
    with pytest.raises(EvidenceError) as refusal:
        parse_evidence(label + b"\n" + document)
    assert refusal.value.reason is Reason.UNREADABLE


def test_a_policy_that_demands_a_tee(machine: Machine, policy: Policy) -> None:
    verdict = machine.attest(Policy(EvidenceClass.TEE, policy.tpm))
    assert verdict.reasons == (Reason.CLASS,)


@pytest.mark.parametrize("required", [EvidenceClass.TPM, EvidenceClass.TEE])
def test_no_evidence(machine: Machine, policy: Policy, required: EvidenceClass) -> None:
    verdict = machine.appraise(Policy(required, policy.tpm), SoftwareEvidence(), machine.challenge())
    assert verdict.reasons == (Reason.CLASS,)


def test_a_quote_where_there_are_no_rules_for_quotes(machine: Machine, policy: Policy) -> None:
    challenge = machine.challenge()
    evidence = machine.answer(challenge, policy)
    for required, reasons in ((EvidenceClass.SOFTWARE, 1), (EvidenceClass.TEE, 2)):
        verdict = machine.appraise(Policy(required, None), evidence, challenge)
        assert len(verdict.reasons) == reasons
        assert verdict.reasons[-1] is Reason.NO_RULES
