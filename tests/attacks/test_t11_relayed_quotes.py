"""T11: worker A, whose machine would not pass, shows worker B's quote; with and without B's help.

Expected: identity mismatch, refused. At enrolment too: A cannot enrol B's TPM under its own name.

Defence: attestation/quote.py:_check_signer and attestation/appraisal.py:_judge_tpm (whose record it is); removed, one
good machine vouches for all. At enrolment: attestation/enrolment.py:activation_proof.
"""

from __future__ import annotations

import pytest

from mohawk.attestation.appraisal import appraise
from mohawk.attestation.enrolment import activation_proof, offer_enrolment
from mohawk.attestation.policy import Policy
from mohawk.attestation.reasons import EvidenceError, Reason
from mohawk.crypto.primitives import random_bytes
from tests.support.machines import EXPORTER, Machine
from tests.support.tls import utc_now


def test_what_b_showed_for_itself(machine: Machine, other_machine: Machine, policy: Policy) -> None:
    """B answered its own challenge; A shows that answer. The challenge names A."""
    theirs = other_machine.challenge()
    evidence = other_machine.answer(theirs, policy)
    ours = machine.challenge(nonce=theirs.nonce, issued=theirs.issued)
    assert machine.appraise(policy, evidence, ours).reasons == (Reason.SIGNER, Reason.SIGNATURE, Reason.CHALLENGE)


def test_b_helps(machine: Machine, other_machine: Machine, policy: Policy) -> None:
    """B's service quotes for A's challenge."""
    challenge = machine.challenge()
    evidence = other_machine.answer(challenge, policy)
    assert machine.appraise(policy, evidence, challenge).reasons == (Reason.SIGNER, Reason.SIGNATURE)


def test_judged_by_bs_record(machine: Machine, other_machine: Machine, policy: Policy) -> None:
    """Somebody hands the verifier B's record for A's question."""
    challenge = machine.challenge()
    evidence = other_machine.answer(challenge, policy)
    verdict = appraise(policy, evidence, other_machine.record, challenge, utc_now())
    assert verdict.reasons == (Reason.OTHER_NODE,)


def test_a_node_that_is_not_enrolled(machine: Machine, policy: Policy) -> None:
    challenge = machine.challenge()
    verdict = appraise(policy, machine.answer(challenge, policy), None, challenge, utc_now())
    assert verdict.reasons == (Reason.NOT_ENROLLED,)


@pytest.mark.parametrize("what", ["name", "exporter"])
def test_a_relayed_enrolment(machine: Machine, other_machine: Machine, policy: Policy, what: str) -> None:
    """A passes B's identity on as its own, and the credential to B. B's proof names B and B's connection."""
    assert policy.tpm is not None
    identity = other_machine.record.identity
    offer = offer_enrolment(machine.name, identity, policy.tpm.roots, random_bytes(32), utc_now())
    secret = other_machine.attester.activate(offer.credential)
    name = other_machine.name if what == "name" else machine.name
    exporter = b"x" * 32 if what == "exporter" else EXPORTER
    with pytest.raises(EvidenceError) as refusal:
        offer.complete(activation_proof(secret, name, exporter, identity), EXPORTER, utc_now())
    assert refusal.value.reason is Reason.PROOF
