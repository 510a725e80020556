"""T02: the challenge has no nonce, an empty or a short one; or the quote carries none.

Expected: such a challenge cannot be built, such a quote is refused.

Defence: attestation/challenge.py:Challenge.__post_init__; removed, "no nonce was sent, so none is compared" comes back,
and yesterday's quote answers today's question.
"""

from __future__ import annotations

import pytest

from mohawk.attestation.policy import Policy
from mohawk.attestation.reasons import EvidenceError, Reason
from tests.support.machines import Machine


@pytest.mark.parametrize("size", [0, 1, 16, 31, 33, 64])
def test_a_challenge_without_a_whole_nonce(machine: Machine, size: int) -> None:
    with pytest.raises(EvidenceError) as refusal:
        machine.challenge(nonce=b"n" * size)
    assert refusal.value.reason is Reason.NONCE


@pytest.mark.parametrize("kept", [0, 16, 31])
def test_a_quote_that_carries_less(machine: Machine, policy: Policy, kept: int) -> None:
    """The TPM signs whatever it is given, nothing included."""
    assert policy.tpm is not None
    challenge = machine.challenge()
    shortened = challenge.qualifying_data()[:kept]
    evidence = machine.attester.quote(shortened, policy.tpm.bank, policy.tpm.selection)
    assert machine.appraise(policy, evidence, challenge).reasons == (Reason.CHALLENGE,)
