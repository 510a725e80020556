"""T12: between appraisal and release the node's record is exchanged for another TPM's (CVE-2022-1053: one store told
the verifier, another the releaser).

Expected: refused; counters are not written to it either.

Defence: attestation/appraisal.py:Approval.check and host/enrolments.py:Enrolments.advance; removed, a key goes to a
machine that was never appraised.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from mohawk.attestation.policy import Policy
from mohawk.attestation.reasons import AttestationRefusedError, Reason
from mohawk.errors import PolicyError
from mohawk.host.enrolments import Enrolments
from tests.support.audit import Heard
from tests.support.machines import HPKE_KEY, Machine
from tests.support.tls import utc_now


def test_swapped_between_check_and_release(
    machine: Machine, other_machine: Machine, policy: Policy, tmp_path: Path
) -> None:
    enrolments = Enrolments(tmp_path / "enrolments")
    enrolments.add(machine.record)
    verdict = machine.attest(policy)
    approval = verdict.require()
    approval.check(machine.name, HPKE_KEY, enrolments.find(machine.name), utc_now())

    enrolments.remove(machine.name, Heard().record)
    enrolments.add(replace(other_machine.record, name=machine.name))
    with pytest.raises(AttestationRefusedError) as refusal:
        approval.check(machine.name, HPKE_KEY, enrolments.find(machine.name), utc_now())
    assert refusal.value.reasons == (Reason.OTHER_NODE,)
    assert verdict.record is not None
    with pytest.raises(PolicyError, match="changed"):
        enrolments.advance(verdict.record)


def test_removed_between_check_and_release(machine: Machine, policy: Policy, tmp_path: Path) -> None:
    enrolments = Enrolments(tmp_path / "enrolments")
    enrolments.add(machine.record)
    approval = machine.attest(policy).require()
    enrolments.remove(machine.name, Heard().record)
    with pytest.raises(AttestationRefusedError):
        approval.check(machine.name, HPKE_KEY, enrolments.find(machine.name), utc_now())


def test_only_the_attestation_key_swapped(machine: Machine, other_machine: Machine, policy: Policy) -> None:
    """The verdict's own record, with one of two keys exchanged."""
    approval = machine.attest(policy).require()
    mixed = replace(machine.record.identity, ak_public=other_machine.record.identity.ak_public)
    with pytest.raises(AttestationRefusedError):
        approval.check(machine.name, HPKE_KEY, replace(machine.record, identity=mixed), utc_now())
