"""T18: an attestation key of RSA-1024, or one that signs with SHA-1; and keys whose attributes let them sign anything.

Expected: not enrolled; and refused at appraisal even if a record says that they were.

Defence: attestation/enrolment.py:TpmIdentity.check_keys and attestation/structures.py:_hash; removed, a key that can be
factored, or a collision, is a machine.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from mohawk.attestation.policy import Policy
from mohawk.attestation.reasons import EvidenceError, Reason
from mohawk.attestation.structures import Selection
from mohawk.crypto.tpm_primitives import TpmHash
from mohawk.host.tpm_keys import load_key, open_endorsement, quote
from tests.support.forged_quotes import SHA1, SHA256, SIGNING, create_key, ecc_area, enrolled_with, rsa_area
from tests.support.machines import Machine

UNRESTRICTED, DECRYPTING, MOVABLE = SIGNING & ~(1 << 16), SIGNING | 1 << 17, SIGNING & ~(1 << 4)


def area_of(machine: Machine, template: bytes) -> bytes:
    """The public area of such a key, made by the machine's TPM."""
    with machine.tpm.open() as tpm:
        return create_key(tpm, template).public[2:]


@pytest.mark.parametrize(
    ("template", "reason"),
    [
        (rsa_area(bits=1024), Reason.WEAK_KEY),
        (ecc_area(attributes=UNRESTRICTED), Reason.KEY_ATTRIBUTES),
    ],
    ids=["RSA-1024", "unrestricted"],
)
def test_not_enrolled(machine: Machine, template: bytes, reason: Reason) -> None:
    identity = enrolled_with(machine.record, area_of(machine, template)).identity
    with pytest.raises(EvidenceError) as refusal:
        identity.check_keys()
    assert refusal.value.reason is reason


@pytest.mark.parametrize("attributes", [DECRYPTING, MOVABLE, SIGNING & ~2, SIGNING & ~(1 << 5), SIGNING & ~(1 << 18)])
def test_attributes_that_no_attestation_key_has(machine: Machine, attributes: int) -> None:
    """Not every one of these would be made by a TPM; here the area is the attacker's word."""
    identity = enrolled_with(machine.record, ecc_area(bytes(32), bytes(32), attributes)).identity
    with pytest.raises(EvidenceError) as refusal:
        identity.check_keys()
    assert refusal.value.reason is Reason.KEY_ATTRIBUTES


@pytest.mark.parametrize("digest", [SHA1, SHA256], ids=["SHA-1", "SHA-256"])
@pytest.mark.parametrize("bits", [1024, 2048])
def test_quotes_by_such_keys(machine: Machine, policy: Policy, bits: int, digest: bytes) -> None:
    """A record that should not exist names the key; the quote is genuine. Only RSA-2048 with SHA-256 passes."""
    template = rsa_area(bits=bits).replace(b"\x00\x14" + SHA256, b"\x00\x14" + digest)
    challenge = machine.challenge()
    good = machine.answer(challenge, policy)
    selection = Selection(TpmHash.SHA256, frozenset(index for index, _ in good.values))
    with machine.tpm.open() as tpm:
        blob = create_key(tpm, template)
        with load_key(tpm, open_endorsement(tpm).entity, blob, b"") as key:
            statement, signature = quote(tpm, key, challenge.qualifying_data(), selection)
    machine.record = enrolled_with(machine.record, blob.public[2:])
    reasons = machine.appraise(policy, replace(good, quote=statement, signature=signature), challenge).reasons
    assert (Reason.WEAK_KEY in reasons) == (bits == 1024 or digest == SHA1)
    assert bool(reasons) == (Reason.WEAK_KEY in reasons)
