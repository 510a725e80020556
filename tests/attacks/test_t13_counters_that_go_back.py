"""T13: a virtual machine's TPM is set back to an earlier state: its keys are the same, its counters are those of then.

Expected: refused, with the reason that opens an incident.

Defence: attestation/structures.py:Counters.require_not_before; removed, whoever can restore a snapshot undoes what
happened since: a key that was destroyed in the TPM is back, and the past's good state is the present.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from mohawk.attestation.policy import Policy
from mohawk.attestation.reasons import EvidenceError, Reason
from mohawk.attestation.structures import Counters
from tests.support.machines import Machine


def test_a_snapshot_restored(machine: Machine, policy: Policy, tmp_path: Path) -> None:
    state = machine.tpm.folder / "tpm2-00.permall"
    machine.tpm.stop()
    shutil.copy(state, tmp_path / "snapshot")
    machine.tpm.start()
    machine.boot()
    machine.boot()
    seen = machine.attest(policy).record
    assert seen is not None
    machine.record = seen

    machine.tpm.stop()
    shutil.copy(tmp_path / "snapshot", state)
    machine.tpm.start()
    machine.boot()
    assert machine.attest(policy).reasons == (Reason.COUNTER,)


@pytest.mark.parametrize("resets", [4, 5])
@pytest.mark.parametrize("restarts", [0, 1, 2])
@pytest.mark.parametrize("clock", [999, 1000, 1001])
def test_which_counters_can_follow(resets: int, restarts: int, clock: int) -> None:
    """A power cut may set the clock back, and a reset the restarts: both raise what stands before them."""
    last, now = Counters(4, 1, 1000), Counters(resets, restarts, clock)
    if resets > 4 or restarts > 1 or (restarts == 1 and clock >= 1000):
        now.require_not_before(last)
    else:
        with pytest.raises(EvidenceError) as refusal:
            now.require_not_before(last)
        assert refusal.value.reason is Reason.COUNTER
