"""Protects a machine's word about itself: its key is its service's alone, and PCR 14 says what ran, kills and restarts
included.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mohawk.attestation.code_history import CodeEvent
from mohawk.attestation.evidence import MAXIMUM_EVIDENCE
from mohawk.attestation.policy import Policy, draft_policy
from mohawk.attestation.reasons import Reason
from mohawk.crypto.tpm_primitives import TpmHash
from mohawk.errors import HostError, PolicyError, UsageError
from mohawk.host.attester import Attester
from mohawk.host.release_policy import parse
from mohawk.host.tpm_device import TpmError
from tests.support.boot_log import Recorded, boot, encode
from tests.support.machines import CODE, Machine, measured_code, policy_for
from tests.support.swtpm import Vendor
from tests.support.tls import utc_now

OLD = b"o" * 32


def register(machine: Machine) -> bytes:
    with machine.tpm.open() as tpm:
        return tpm.read_pcrs(TpmHash.SHA256, [14])[14]


def test_a_machine_that_is_as_the_policy_wants(machine: Machine, policy: Policy) -> None:
    verdict = machine.attest(policy)
    assert verdict.reasons == ()
    assert verdict.record is not None
    assert verdict.record.counters.resets > 0
    assert verdict.digest() == verdict.require().evidence


@pytest.mark.parametrize("bank", list(TpmHash), ids=lambda bank: bank.name)
def test_both_banks(machine: Machine, bank: TpmHash) -> None:
    evidence = machine.attester.quote(b"q" * 32, bank, frozenset({0, 7}))
    assert [index for index, _ in evidence.values] == [0, 7, 14]
    assert evidence.history.replay(bank, evidence.boot) == dict(evidence.values)[14]
    assert evidence.log


def test_its_files_are_the_services_alone(machine: Machine) -> None:
    for name in ("tpm-key.json", "tpm-history.json"):
        assert (machine.folder / name).stat().st_mode & 0o777 == 0o600
    (machine.folder / "tpm-key.json").chmod(0o640)
    with pytest.raises(PolicyError, match="others may read"):
        machine.attester.quote(b"q" * 32, TpmHash.SHA256, frozenset({0}))


def test_its_identity_stays(machine: Machine, policy: Policy) -> None:
    before = machine.attester.identity()
    machine.tpm.stop()
    machine.tpm.start()
    machine.boot()
    assert machine.attester.identity() == before == machine.record.identity
    assert machine.attest(policy).reasons == ()


def test_a_key_of_another_machine(machine: Machine, other_machine: Machine) -> None:
    key = (other_machine.folder / "tpm-key.json").read_bytes()
    (machine.folder / "tpm-key.json").write_bytes(key)
    with pytest.raises(TpmError) as refusal:
        machine.attester.quote(b"q" * 32, TpmHash.SHA256, frozenset({0}))
    assert "another TPM" in refusal.value.hint


def test_before_enrolment_and_with_damaged_files(machine: Machine, tmp_path: Path) -> None:
    with pytest.raises(HostError, match="no attestation key yet"):
        Attester(machine.tpm.path, tmp_path).quote(b"q" * 32, TpmHash.SHA256, frozenset({0}))
    history = machine.folder / "tpm-history.json"
    history.write_bytes(history.read_bytes()[:-1])
    with pytest.raises(HostError, match="history"):
        machine.attester.quote(b"q" * 32, TpmHash.SHA256, frozenset({0}))
    (machine.folder / "tpm-key.json").write_bytes(b"{}")
    with pytest.raises(HostError, match="damaged"):
        machine.attester.identity()


# ---- the service's life ---------------------------------------------------------------------------------------------


def test_stopped_and_started_again(machine: Machine, policy: Policy) -> None:
    """Stopped, nothing is approved: a key on disk and a TPM are not a service."""
    attester = machine.attester
    attester.begin(CODE)
    attester.end()
    assert machine.attest(policy).reasons == (Reason.STOPPED,)
    machine.attester.begin(CODE)
    assert machine.attest(policy).reasons == ()
    assert register(machine) == measured_code(
        CodeEvent(CODE), CodeEvent(CODE), CodeEvent(CODE, is_stop=True), CodeEvent(CODE)
    )


def test_ended_without_having_begun(machine: Machine) -> None:
    before = register(machine)
    machine.attester.end()
    assert register(machine) == before


def test_killed_and_started_again(machine: Machine, policy: Policy) -> None:
    for _ in range(5):
        machine.attester.begin(CODE)
    assert machine.attest(policy).reasons == ()


def test_old_code_since_boot(machine: Machine, vendor: Vendor, policy: Policy) -> None:
    """Whatever runs now: what ran before had the same key. A restart of the machine clears it."""
    machine.boot(code=OLD)
    machine.attester.begin(CODE)
    assert machine.attest(policy).reasons == (Reason.CODE,)
    both = policy_for(vendor, code={"allowed": [CODE.hex(), OLD.hex()], "boot": [bytes(32).hex()]})
    assert machine.attest(both).reasons == ()
    machine.boot()
    assert machine.attest(policy).reasons == ()


def test_a_crash_between_writing_down_and_measuring(machine: Machine, policy: Policy) -> None:
    history = machine.folder / "tpm-history.json"
    before = history.read_bytes()
    machine.attester.begin(CODE)
    after = history.read_bytes()
    machine.boot()
    assert history.read_bytes() == before
    history.write_bytes(after)  # the second start was written down, and never measured
    assert machine.attest(policy).reasons == ()
    machine.attester.begin(CODE)
    assert machine.attest(policy).reasons == ()
    assert register(machine) == measured_code(CodeEvent(CODE), CodeEvent(CODE))


def test_a_lost_history_asks_for_a_restart(machine: Machine, policy: Policy) -> None:
    (machine.folder / "tpm-history.json").unlink()
    machine.attester.begin(CODE)
    verdict = machine.attest(policy)
    assert verdict.reasons == (Reason.CODE_BOOT,)
    assert "restart the machine" in verdict.findings[0].hint
    machine.boot()
    assert machine.attest(policy).reasons == ()


def test_something_else_measured_into_our_register(machine: Machine, policy: Policy) -> None:
    with machine.tpm.open() as tpm:
        tpm.measure(14, b"not ours")
    assert set(machine.attest(policy).reasons) == {Reason.CODE_BOOT, Reason.STOPPED}
    machine.attester.begin(CODE)
    assert machine.attest(policy).reasons == (Reason.CODE_BOOT,)


def test_a_register_that_shim_measured_into(machine: Machine, vendor: Vendor) -> None:
    """Most Linux machines: PCR 14 holds shim's MOK list before we start. The policy lists that value."""
    mok = Recorded(14, 0xD, b"MokList\0")
    machine.boot((*boot(), mok))
    begun = TpmHash.SHA256.digest(bytes(32) + mok.digest(TpmHash.SHA256))
    assert machine.attest(policy_for(vendor)).reasons == (Reason.CODE_BOOT,)
    policy = policy_for(vendor, code={"allowed": [CODE.hex()], "boot": [begun.hex()]})
    assert machine.attest(policy).reasons == ()


def test_more_starts_than_a_history_holds(machine: Machine) -> None:
    for number in range(63):
        machine.attester.begin(bytes([number]) * 32)
    with pytest.raises(HostError, match="more starts and stops") as refusal:
        machine.attester.begin(bytes([63]) * 32)
    assert "restart this machine" in refusal.value.hint


# ---- the log --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "why"), [(None, "unavailable"), (b"", "unreadable"), (b"x" * 100, "unreadable"), ("long", "too-large")]
)
def test_logs_that_cannot_come_along(machine: Machine, vendor: Vendor, content: bytes | str | None, why: str) -> None:
    path = machine.folder / "binary_bios_measurements"
    path.unlink()
    if content is not None:
        path.write_bytes(encode([Recorded(0, 1, b"x")] * 600) if isinstance(content, str) else content)
    challenge = machine.challenge()
    evidence = machine.answer(challenge, policy_for(vendor))
    assert (evidence.log, evidence.log_absent) == (b"", why)
    assert machine.appraise(policy_for(vendor), evidence, challenge).reasons == (Reason.LOG_MISSING,)
    optional = policy_for(vendor, event_log="optional")
    assert machine.appraise(optional, evidence, challenge).reasons == ()


def test_a_large_log_is_condensed_until_it_fits(machine: Machine, policy: Policy) -> None:
    """100 KiB of the boot loader's events, as GRUB leaves them, in registers that nobody asks for."""
    many = tuple(Recorded(8, 0xD, b"grub_cmd: " + bytes(90)) for _ in range(800))
    machine.boot((*boot(), *many))
    assert (machine.folder / "binary_bios_measurements").stat().st_size > 100_000
    challenge = machine.challenge()
    evidence = machine.answer(challenge, policy)
    assert len(evidence.encode()) < 4096 < MAXIMUM_EVIDENCE
    assert machine.appraise(policy, evidence, challenge).reasons == ()


def test_a_policy_drafted_from_a_good_machine(machine: Machine, vendor: Vendor) -> None:
    """What `mohawk attest policy` starts from: the machine passes it, and a change does not."""
    evidence = machine.attester.quote(b"q" * 32, TpmHash.SHA256, frozenset({0, 2, 4, 7}))
    draft = draft_policy(evidence, vendor.roots, is_log_required=True)
    assert parse(json.dumps(draft.document()).encode()) == draft == policy_for(vendor)
    assert machine.attest(draft).reasons == ()
    with pytest.raises(UsageError, match="boot loader"):
        draft_policy(
            machine.attester.quote(b"q" * 32, TpmHash.SHA256, frozenset({0})), vendor.roots, is_log_required=True
        )


def test_all_reasons_are_told_at_once(machine: Machine, policy: Policy) -> None:
    machine.boot(boot(firmware=b"older", loader=b"other"), code=OLD)
    verdict = machine.attest(policy)
    assert verdict.reasons == (Reason.PCR_VALUE, Reason.PCR_VALUE, Reason.CODE)
    assert [finding.message.split()[1] for finding in verdict.findings[:2]] == ["0", "4"]
    assert verdict.record is None
    assert verdict.decided <= utc_now()
