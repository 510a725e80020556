"""T01: a quote that was good once is shown again: to the next challenge, or to its own when that is over.

Expected: refused with the reason, and nothing approved.

Defence: attestation/quote.py:_check_challenge; removed, one recorded quote of a good boot serves for ever, whatever the
machine has booted since.
"""

from __future__ import annotations

from datetime import timedelta

import pytest

from mohawk.attestation.appraisal import appraise
from mohawk.attestation.policy import Policy
from mohawk.attestation.reasons import AttestationRefusedError, Reason
from tests.support.machines import Machine
from tests.support.tls import utc_now


def test_the_answer_to_an_earlier_challenge(machine: Machine, policy: Policy) -> None:
    challenge = machine.challenge()
    recorded = machine.answer(challenge, policy)
    assert machine.appraise(policy, recorded, challenge).require().name == machine.name

    verdict = machine.appraise(policy, recorded, machine.challenge())
    assert verdict.reasons == (Reason.CHALLENGE,)
    with pytest.raises(AttestationRefusedError):
        verdict.require()


def test_the_answer_to_a_challenge_that_is_over(machine: Machine, policy: Policy) -> None:
    challenge = machine.challenge()
    recorded = machine.answer(challenge, policy)
    later = utc_now() + timedelta(seconds=61)
    assert appraise(policy, recorded, machine.record, challenge, later).reasons == (Reason.STALE,)


def test_a_quote_from_before_a_bad_boot_shows_in_its_counters_too(machine: Machine, policy: Policy) -> None:
    """Even a verifier that issued the same challenge twice would notice once it has seen a later quote."""
    challenge = machine.challenge()
    recorded = machine.answer(challenge, policy)
    machine.boot()
    seen = machine.attest(policy).record
    assert seen is not None
    assert appraise(policy, recorded, seen, challenge, utc_now()).reasons == (Reason.COUNTER,)
