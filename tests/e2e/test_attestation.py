"""Keys go to machines that show what the policy asks for, over real connections and with a real (software) TPM."""

from __future__ import annotations

import asyncio
import statistics
from dataclasses import replace
from pathlib import Path

import pytest

from mohawk.attestation.reasons import AttestationRefusedError, EvidenceError
from mohawk.audit.events import EventKind
from mohawk.controller import attestation_watch, trust
from mohawk.controller.service import Controller
from mohawk.errors import HostError, MohawkError, PolicyError, UsageError
from mohawk.host.attester import Attester
from mohawk.host.enrolments import open_enrolments
from mohawk.host.release_policy import NAME
from mohawk.host.revocations import Revocations
from mohawk.nouns.model import DataType
from mohawk.transport.dial import Target
from tests.e2e.inside import Site, generate
from tests.e2e.test_trust import until
from tests.support.attested import attested_workers, boot_machine, name_tpm, node, require_tpm
from tests.support.audit import Heard
from tests.support.boot_log import boot
from tests.support.models import build_model
from tests.support.nodes import run
from tests.support.swtpm import Swtpm

SECONDS = 120
LIMIT_MILLISECONDS = 500


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_model(tmp_path_factory.mktemp("models") / "llama", "llama", layers=2)


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path / "home")


def start(site: Site, source: Path, targets: tuple[Target, ...], heard: Heard, **changes: object):
    """A controller that is not up yet."""
    options = site.options(site.seal(source, len(targets)), targets, DataType.FLOAT32)
    return Controller(replace(options, record=heard.record, note=heard.note, **changes))


async def refusal(controller: Controller) -> MohawkError:
    """The error that its start ends with."""
    try:
        await controller.start(lambda what, done, total: None)
    except MohawkError as error:
        return error
    finally:
        await controller.stop()
    raise AssertionError("it started")


def kinds(heard: Heard) -> list[EventKind]:
    return [event.kind for event in heard.events]


def test_a_machine_that_shows_the_right_registers_gets_its_key(site: Site, source: Path, first_tpm: Swtpm) -> None:
    require_tpm(site, first_tpm)
    attester = boot_machine(site, "w1", first_tpm)
    name_tpm(site, "w1", attester)
    heard = Heard()

    async def main() -> None:
        async with attested_workers(site, {"w1": attester}) as targets:
            controller = start(site, source, targets, heard)
            await controller.start(lambda what, done, total: None)
            assert len(await generate(controller, [1, 2, 3], 4)) == 4, "tickets are bound to the evidence at both ends"
            (worker,) = controller.status().workers
            assert worker.evidence == "tpm"
            member = controller.cluster.members[0]
            times = [(await member.attest_again(controller.gate.attestation)).milliseconds for _ in range(5)]
            print(f"challenge, quote, appraisal over the wire: {statistics.median(times)} ms")
            verdict = await controller.gate.ask("w1")
            assert verdict.accepted
            assert verdict.tpm == attester.identity().ek_hash
            assert statistics.median(times) < LIMIT_MILLISECONDS
            await controller.stop()

    run(main, seconds=SECONDS)
    assert kinds(heard)[:2] == [EventKind.NODE_ENROLLED, EventKind.ATTESTED]
    record = open_enrolments(site.authority).find(node("w1"))
    assert record is not None
    assert record.counters.clock > 0, "the counters of the newest quote are kept"


def test_the_next_start_asks_the_enrolled_tpm(site: Site, source: Path, first_tpm: Swtpm) -> None:
    require_tpm(site, first_tpm)
    attester = boot_machine(site, "w1", first_tpm)
    name_tpm(site, "w1", attester)
    heard = Heard()

    async def main() -> None:
        async with attested_workers(site, {"w1": attester}) as targets:
            for _ in range(2):
                controller = start(site, source, targets, heard)
                await controller.start(lambda what, done, total: None)
                await controller.stop()

    run(main, seconds=SECONDS)
    assert kinds(heard).count(EventKind.NODE_ENROLLED) == 1
    assert kinds(heard).count(EventKind.ATTESTED) == 2


@pytest.mark.parametrize(
    ("case", "reason"),
    [
        ("another boot loader", "pcr_value"),
        ("unmeasured", "pcr_unmeasured"),
        ("not named by an operator", "not_enrolled"),
        ("no tpm", ""),
        ("not named by an operator", "class_too_low"),
        ("another tpm than was named", "endorsement_key"),
    ],
)
def test_what_gets_no_key(
    site: Site, source: Path, first_tpm: Swtpm, second_tpm: Swtpm, case: str, reason: str
) -> None:
    require_tpm(site, first_tpm, event_log="optional")
    events = boot(loader=b"a boot kit") if case == "another boot loader" else boot()
    attester: Attester | None = boot_machine(site, "w1", first_tpm, () if case == "unmeasured" else events)
    assert attester is not None
    if case == "another tpm than was named":
        name_tpm(site, "w1", boot_machine(site, "w2", second_tpm))
    elif case != "not named by an operator":
        name_tpm(site, "w1", attester)
    heard = Heard()

    async def main() -> MohawkError:
        async with attested_workers(site, {"w1": None if case == "no tpm" else attester}) as targets:
            return await refusal(start(site, source, targets, heard))

    error = run(main, seconds=SECONDS)
    failed = heard.of(EventKind.ATTESTATION_FAILED)
    if case == "no tpm":
        assert "without a TPM" in error.message
        assert len(failed) == 1
        return
    assert isinstance(error, AttestationRefusedError | EvidenceError)
    assert [reason in event.details["reasons"] for event in failed] == [True]
    assert EventKind.KEY_RELEASED not in kinds(heard)


def test_a_worker_whose_machine_changes_is_denied_and_cut(
    site: Site, source: Path, first_tpm: Swtpm, monkeypatch: pytest.MonkeyPatch
) -> None:
    """T17: the next look after the machine has measured something else ends it."""
    monkeypatch.setattr(attestation_watch, "EVERY_SECONDS", 0.2)
    monkeypatch.setattr(trust, "LOOK_SECONDS", 0.05)
    require_tpm(site, first_tpm)
    attester = boot_machine(site, "w1", first_tpm)
    name_tpm(site, "w1", attester)
    heard = Heard()

    async def main() -> None:
        async with attested_workers(site, {"w1": attester}) as targets:
            controller = start(site, source, targets, heard)
            await controller.start(lambda what, done, total: None)
            assert len(await generate(controller, [1, 2, 3], 4)) == 4
            await until(lambda: kinds(heard).count(EventKind.ATTESTED) > 2)
            with first_tpm.open() as tpm:
                tpm.measure(4, b"a boot module that nobody expected")
            await until(lambda: EventKind.NODE_REVOKED in kinds(heard), 10)
            assert [denial.subject for denial in Revocations(site.authority).denials()] == [str(node("w1"))]
            with pytest.raises(MohawkError):
                await generate(controller, [1, 2, 3], 4)
            await controller.stop()

    run(main, seconds=SECONDS)


def test_without_its_policy_file_nothing_is_released(site: Site, source: Path, first_tpm: Swtpm) -> None:
    """T15: gone, or changed by somebody with the disk: not a reason to ask for less."""
    require_tpm(site, first_tpm)
    path = site.authority.folder / NAME
    whole = path.read_bytes()

    async def main() -> None:
        async with attested_workers(site, {"w1": None}) as targets:
            path.write_bytes(b'{"class": "software", "format": "mie-attestation-policy-1"}')
            assert isinstance(await refusal(start(site, source, targets, Heard())), PolicyError)
            path.unlink()
            assert isinstance(await refusal(start(site, source, targets, Heard())), HostError)
            path.write_bytes(whole)
            assert isinstance(await refusal(start(site, source, targets, Heard())), AttestationRefusedError)

    run(main, seconds=SECONDS)


def test_a_tpm_may_be_made_mandatory(site: Site, source: Path, first_tpm: Swtpm) -> None:
    """MIE_TPM_ATTESTATION_REQUIRED: no start without a policy that asks for one."""

    async def main() -> None:
        async with attested_workers(site, {"w1": None}) as targets:
            error = await refusal(start(site, source, targets, Heard(), must_have_hardware=True))
            assert isinstance(error, UsageError)
            assert error.field == "MIE_TPM_ATTESTATION_REQUIRED"

    run(main, seconds=SECONDS)


def test_a_worker_that_does_not_answer_gets_nothing(
    site: Site, source: Path, first_tpm: Swtpm, monkeypatch: pytest.MonkeyPatch
) -> None:
    """T15: slow is no reason either."""
    monkeypatch.setattr("mohawk.controller.attestation.ANSWER_SECONDS", 0.3)
    require_tpm(site, first_tpm)
    attester = boot_machine(site, "w1", first_tpm)
    name_tpm(site, "w1", attester)
    waiting = asyncio.Event()

    async def never(*_arguments: object, **_named: object) -> None:
        await waiting.wait()

    monkeypatch.setattr("mohawk.worker.attesting.MachineWitness.answer", never)

    async def main() -> MohawkError:
        async with attested_workers(site, {"w1": attester}) as targets:
            return await refusal(start(site, source, targets, Heard()))

    assert "in time" in run(main, seconds=SECONDS).message
