"""T05: a genuine statement of the enrolled key about something else: TPM2_Certify (0x8017), with the right challenge.

Expected: refused by its type.

Defence: attestation/structures.py:parse_quote; removed, whatever else the key may be asked to sign is read as if it
were a quote, and that the layouts differ is luck.
"""

from __future__ import annotations

from dataclasses import replace

from mohawk.attestation.policy import Policy
from mohawk.attestation.reasons import Reason
from tests.support.forged_quotes import certify
from tests.support.machines import Machine


def test_a_certification_in_a_quotes_place(machine: Machine, policy: Policy) -> None:
    challenge = machine.challenge()
    good = machine.answer(challenge, policy)
    with machine.tpm.open() as tpm, machine.loaded_key(tpm) as key:
        statement, signature = certify(tpm, key, challenge.qualifying_data())
    assert statement[4:6] == b"\x80\x17"
    evidence = replace(good, quote=statement, signature=signature)
    assert machine.appraise(policy, evidence, challenge).reasons == (Reason.TYPE,)


def test_a_quote_relabelled(machine: Machine, policy: Policy) -> None:
    challenge = machine.challenge()
    good = machine.answer(challenge, policy)
    relabelled = good.quote[:4] + b"\x80\x17" + good.quote[6:]
    evidence = replace(good, quote=relabelled)
    assert machine.appraise(policy, evidence, challenge).reasons == (Reason.TYPE,)
