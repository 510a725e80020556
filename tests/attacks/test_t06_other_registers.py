"""T06: a genuine quote over fewer or more registers than the policy asks for, or over another bank, SHA-1's among them.

Expected: refused; and a policy cannot be written that asks for a register which software can reset.

Defence: attestation/quote.py:_check_selection; removed, a machine leaves out the register that would betray it.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from mohawk.attestation.policy import Policy
from mohawk.attestation.reasons import Reason
from mohawk.attestation.structures import Selection
from mohawk.crypto.tpm_primitives import TpmHash
from mohawk.errors import UsageError
from mohawk.host.tpm_keys import quote
from tests.support.boot_log import BOOT_SERVICES_APPLICATION, Recorded
from tests.support.machines import Machine, policy_for
from tests.support.swtpm import Vendor

SHA1 = 0x0004


@pytest.mark.parametrize("pcrs", [{0}, {0, 2, 4}, {2, 4, 7}, {0, 2, 4, 7, 16}, {0, 1, 2, 4, 7}, {0, 2, 4, 7, 23}])
def test_fewer_or_more(machine: Machine, policy: Policy, pcrs: set[int]) -> None:
    challenge = machine.challenge()
    evidence = machine.attester.quote(challenge.qualifying_data(), TpmHash.SHA256, frozenset(pcrs))
    assert Reason.SELECTION in machine.appraise(policy, evidence, challenge).reasons


def test_the_bad_register_left_out(machine: Machine, vendor: Vendor) -> None:
    """A boot loader that the policy does not allow; the quote leaves PCR 4 out, and the log is left out too."""
    policy = policy_for(vendor, event_log="optional")
    with machine.tpm.open() as tpm:
        machine.tpm.extend(tpm, 4, Recorded(4, BOOT_SERVICES_APPLICATION, b"a boot kit").digest)
    challenge = machine.challenge()
    evidence = machine.attester.quote(challenge.qualifying_data(), TpmHash.SHA256, frozenset({0, 2, 7}))
    evidence = replace(evidence, log=b"", log_absent="unavailable")
    assert machine.appraise(policy, evidence, challenge).reasons == (Reason.SELECTION,)


def test_the_bank_of_sha1(machine: Machine, policy: Policy) -> None:
    """The values shown are SHA-256's and good; what was signed is the other bank."""
    challenge = machine.challenge()
    good = machine.answer(challenge, policy)
    selection = Selection(SHA1, frozenset(index for index, _ in good.values))
    with machine.tpm.open() as tpm, machine.loaded_key(tpm) as key:
        statement, signature = quote(tpm, key, challenge.qualifying_data(), selection)
    evidence = replace(good, quote=statement, signature=signature)
    assert machine.appraise(policy, evidence, challenge).reasons == (Reason.BANK, Reason.PCR_DIGEST)


def test_the_bank_of_sha384_where_the_other_is_asked_for(machine: Machine, policy: Policy) -> None:
    challenge = machine.challenge()
    assert policy.tpm is not None
    evidence = machine.attester.quote(challenge.qualifying_data(), TpmHash.SHA384, policy.tpm.selection)
    assert machine.appraise(policy, evidence, challenge).reasons == (Reason.BANK,)


@pytest.mark.parametrize("index", [14, *range(16, 24)])
def test_a_policy_of_registers_that_can_be_reset(vendor: Vendor, index: int) -> None:
    pcrs = [{"allowed": ["aa" * 32], "index": one} for one in (0, 2, 4, 7, index)]
    with pytest.raises(UsageError, match="0 to 13 and 15"):
        policy_for(vendor, pcrs=pcrs)
