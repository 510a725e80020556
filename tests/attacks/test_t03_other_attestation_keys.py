"""T03: a quote by a key that was never enrolled, by a key in software, or by another worker's attestation key.

Expected: refused, at enrolment and at appraisal.

Defence: attestation/quote.py:_check_signature; removed, whoever can read a node's public keys writes quotes in its
name. At enrolment: attestation/enrolment.py:Offer.complete.
"""

from __future__ import annotations

from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from mohawk.attestation.enrolment import TpmIdentity, activation_proof, offer_enrolment
from mohawk.attestation.policy import Policy
from mohawk.attestation.reasons import EvidenceError, Reason
from mohawk.attestation.structures import Selection, parse_quote, qualified_name
from mohawk.crypto.primitives import random_bytes
from mohawk.host.attester import Attester
from mohawk.host.tpm_device import TpmError
from mohawk.host.tpm_session import sized
from tests.support.forged_quotes import sign_in_software, software_key_area, statement
from tests.support.machines import EXPORTER, Machine
from tests.support.tls import utc_now

KEYS = [ec.generate_private_key(ec.SECP256R1()), rsa.generate_private_key(65537, 2048)]
Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
named = pytest.mark.parametrize("key", KEYS, ids=["P-256", "RSA-2048"])


def test_a_second_key_of_the_same_tpm(machine: Machine, policy: Policy) -> None:
    second = machine.folder / "second"
    second.mkdir(mode=0o700)
    attester = Attester(machine.tpm.path, second)
    attester.identity()
    (second / "tpm-history.json").write_bytes((machine.folder / "tpm-history.json").read_bytes())
    assert policy.tpm is not None
    challenge = machine.challenge()
    evidence = attester.quote(challenge.qualifying_data(), policy.tpm.bank, policy.tpm.selection)
    reasons = machine.appraise(policy, evidence, challenge).reasons
    assert reasons == (Reason.SIGNER, Reason.SIGNATURE, Reason.LOG_MISSING)


def test_another_workers_key(machine: Machine, other_machine: Machine, policy: Policy) -> None:
    challenge = machine.challenge()
    evidence = other_machine.answer(challenge, policy)
    assert set(machine.appraise(policy, evidence, challenge).reasons) >= {Reason.SIGNER, Reason.SIGNATURE}


@named
def test_a_key_in_software_that_signs_all_the_right_words(machine: Machine, policy: Policy, key: Key) -> None:
    """Signer, challenge, registers, digest, counters: everything but the signature is as the verifier wants it."""
    challenge = machine.challenge()
    good = machine.answer(challenge, policy)
    identity = machine.record.identity
    forged = statement(
        signer=qualified_name(identity.endorsement, identity.attestation),
        extra=challenge.qualifying_data(),
        selection=Selection(good.bank, frozenset(index for index, _ in good.values)),
        values=[value for _, value in good.values],
    )
    parse_quote(forged)
    evidence = replace(good, quote=forged, signature=sign_in_software(key, forged))
    assert machine.appraise(policy, evidence, challenge).reasons == (Reason.SIGNATURE,)


@named
def test_a_key_in_software_cannot_be_enrolled(machine: Machine, policy: Policy, key: Key) -> None:
    """Its public area claims all attributes. The TPM that the credential is for does not know it."""
    assert policy.tpm is not None
    genuine = machine.record.identity
    claimed = TpmIdentity(genuine.ek_certificate, genuine.ek_public, sized(software_key_area(key)))
    offer = offer_enrolment(machine.name, claimed, policy.tpm.roots, random_bytes(32), utc_now())
    with pytest.raises(TpmError):
        machine.attester.activate(offer.credential)
    guess = activation_proof(random_bytes(32), machine.name, EXPORTER, claimed)
    with pytest.raises(EvidenceError) as refusal:
        offer.complete(guess, EXPORTER, utc_now())
    assert refusal.value.reason is Reason.PROOF
