"""T07: a valid, fresh, signed quote of a machine whose firmware measured nothing: PCRs of zeros.

Expected: refused by policy, whatever the policy; no policy can allow the value.

Defence: attestation/measurements.py:_check_value; removed, a machine with measured boot switched off, or a fresh
virtual TPM behind any firmware at all, is approved by whoever lists the value.
"""

from __future__ import annotations

import pytest

from mohawk.attestation.policy import Policy
from mohawk.attestation.reasons import Reason
from mohawk.errors import UsageError
from tests.support.machines import CODE, Machine, policy_for
from tests.support.swtpm import Vendor


def test_zeros(machine: Machine, vendor: Vendor) -> None:
    machine.tpm.reset()
    machine.attester.begin(CODE)
    (machine.folder / "binary_bios_measurements").unlink()
    verdict = machine.attest(policy_for(vendor, event_log="optional"))
    assert verdict.reasons == (Reason.PCR_UNMEASURED,) * 4


@pytest.mark.parametrize("value", ["00" * 32, "ff" * 32])
def test_no_policy_allows_them(vendor: Vendor, policy: Policy, value: str) -> None:
    assert policy.tpm is not None
    pcrs = [{"allowed": ["aa" * 32, value], "index": index} for index in (0, 2, 4, 7)]
    with pytest.raises(UsageError, match="nothing was measured"):
        policy_for(vendor, pcrs=pcrs)
