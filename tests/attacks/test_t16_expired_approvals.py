"""T16: a key is asked for with an approval that is more than five minutes old.

Expected: 401, and a fresh quote is needed.

Defence: attestation/appraisal.py:Approval.check; removed, a machine that was good once gets keys for ever.
"""

from __future__ import annotations

from datetime import timedelta

import pytest

from mohawk.attestation.policy import Policy
from mohawk.attestation.reasons import ApprovalExpiredError
from tests.support.machines import HPKE_KEY, Machine


def test_five_minutes(machine: Machine, policy: Policy) -> None:
    verdict = machine.attest(policy)
    approval = verdict.require()
    assert approval.expires == verdict.decided + timedelta(minutes=5)
    approval.check(machine.name, HPKE_KEY, machine.record, approval.expires - timedelta(seconds=1))
    for late in (timedelta(0), timedelta(seconds=1), timedelta(days=1)):
        with pytest.raises(ApprovalExpiredError) as refusal:
            approval.check(machine.name, HPKE_KEY, machine.record, approval.expires + late)
        assert refusal.value.http_status == 401
