"""T10: the quote vouches for one HPKE key, and the data key is asked for with another.

Expected: no release; and what is sealed to the attested key opens with no other.

Defence: attestation/appraisal.py:Approval.check; removed, an attested machine's approval has the data key sealed to
whatever key the request names.
"""

from __future__ import annotations

import pytest

from mohawk.attestation.policy import Policy
from mohawk.attestation.reasons import AttestationRefusedError, Reason
from mohawk.crypto.primitives import sha256
from mohawk.crypto.seal import RecipientKey, seal_to
from mohawk.errors import RemoteError
from tests.support.machines import Machine
from tests.support.tls import utc_now


def test_a_request_with_another_key(machine: Machine, policy: Policy) -> None:
    attested, other = RecipientKey.generate(), RecipientKey.generate()
    challenge = machine.challenge(recipient=sha256(attested.public_bytes()))
    approval = machine.appraise(policy, machine.answer(challenge, policy), challenge).require()
    approval.check(machine.name, attested.public_bytes(), machine.record, utc_now())
    with pytest.raises(AttestationRefusedError) as refusal:
        approval.check(machine.name, other.public_bytes(), machine.record, utc_now())
    assert refusal.value.reasons == (Reason.CHALLENGE,)

    sealed = seal_to(attested.public_bytes(), b"k" * 32, b"context")
    with pytest.raises(RemoteError):
        other.open(sealed, b"context")


def test_a_quote_for_another_key(machine: Machine, policy: Policy) -> None:
    attested, other = RecipientKey.generate(), RecipientKey.generate()
    challenge = machine.challenge(recipient=sha256(attested.public_bytes()))
    evidence = machine.answer(challenge, policy)
    asked = machine.challenge(nonce=challenge.nonce, issued=challenge.issued, recipient=sha256(other.public_bytes()))
    assert machine.appraise(policy, evidence, asked).reasons == (Reason.CHALLENGE,)
