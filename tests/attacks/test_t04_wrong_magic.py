"""T04: a statement that no TPM made, signed all the same by the enrolled attestation key.

A restricted key signs foreign bytes too, if its TPM hashed them and they do not begin with the TPM's magic. So the
attacker lets it sign a whole quote of his own words, but for the magic.

Expected: refused, before anything else in it is looked at.

Defence: attestation/structures.py:parse_quote; removed, the signature is genuine and all else is the attacker's words.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from mohawk.attestation.policy import Policy
from mohawk.attestation.reasons import Reason
from mohawk.attestation.structures import Selection, qualified_name
from mohawk.host.tpm_device import TpmError
from tests.support.forged_quotes import sign_with_tpm, statement
from tests.support.machines import Machine


def forged_reasons(machine: Machine, policy: Policy, magic: bytes) -> tuple[Reason, ...]:
    challenge = machine.challenge()
    good = machine.answer(challenge, policy)
    identity = machine.record.identity
    forged = statement(
        signer=qualified_name(identity.endorsement, identity.attestation),
        extra=challenge.qualifying_data(),
        selection=Selection(good.bank, frozenset(index for index, _ in good.values)),
        values=[value for _, value in good.values],
        magic=magic,
    )
    with machine.tpm.open() as tpm, machine.loaded_key(tpm) as key:
        evidence = replace(good, quote=forged, signature=sign_with_tpm(tpm, key, forged))
    return machine.appraise(policy, evidence, challenge).reasons


@pytest.mark.parametrize("magic", [b"\xffTCH", b"\0\0\0\0", b"GCT\xff"])
def test_the_enrolled_key_signed_it(machine: Machine, policy: Policy, magic: bytes) -> None:
    assert forged_reasons(machine, policy, magic) == (Reason.MAGIC,)


def test_with_the_right_magic_the_tpm_does_not_sign(machine: Machine, policy: Policy) -> None:
    """What the check rests on."""
    with pytest.raises(TpmError):
        forged_reasons(machine, policy, b"\xffTCG")
