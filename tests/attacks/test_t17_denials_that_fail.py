"""T17, when something is broken on our side: a worker's machine has changed, and the deny-list, or the audit log, takes no
more entries; or our own policy file is gone.

Expected: the worker loses its connection, hence its key, all the same, and the watch goes on. Where it is we who cannot
judge, nobody is revoked for it: no key is released meanwhile.

Defence: controller/attestation_watch.py:AttestationWatch._look_at (cut when denying fails); removed, one full disk ends
the watch over all machines, for ever and unsaid.
Defence: controller/attestation.py:Attestation._record_refusal; removed, who fills the audit log is no longer refused.
Defence: controller/attestation_watch.py:AttestationWatch.look (the policy first); removed, one slip of an editor revokes
the whole cluster, and two operators have to lift each.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from mohawk.audit.events import AuditEvent, EventKind
from mohawk.controller.attestation_watch import AttestationWatch
from mohawk.controller.service import Controller
from mohawk.errors import HostError
from mohawk.host.release_policy import NAME
from mohawk.host.revocations import Revocations
from tests.e2e.inside import Site
from tests.support.attested import boot_machine, node, require_tpm, serving_w1
from tests.support.audit import Heard
from tests.support.models import build_model
from tests.support.nodes import run
from tests.support.swtpm import Swtpm


class Log(Heard):
    """An audit log whose disk can be full."""

    is_full = False

    def record(self, event: AuditEvent) -> None:
        if self.is_full:
            raise HostError("writing the audit log failed: No space left on device")
        super().record(event)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_model(tmp_path_factory.mktemp("models") / "llama", "llama", layers=2)


def watch(controller: Controller) -> AttestationWatch:
    members = controller.cluster.members
    return AttestationWatch(controller.gate.attestation, lambda: members, controller._deny)


def change(tpm: Swtpm) -> None:
    with tpm.open() as open_tpm:
        open_tpm.measure(4, b"a boot module that nobody expected")


def test_a_denial_that_cannot_be_entered_cuts_all_the_same(tmp_path: Path, source: Path, first_tpm: Swtpm) -> None:
    site, heard = Site(tmp_path / "home"), Heard()
    require_tpm(site, first_tpm)
    attester = boot_machine(site, "w1", first_tpm)

    async def main() -> None:
        async with serving_w1(site, source, attester, heard) as controller:
            controller.trust.close()  # it could not read the file either, and would say so every second
            (site.authority.folder / "denials.json").write_bytes(b"half a fi")
            change(first_tpm)
            (member,) = controller.cluster.members
            await watch(controller).look()
            await asyncio.wait_for(member.link.closed, 5)
            await watch(controller).look()

    run(main, seconds=120)
    assert "pcr_value" in heard.of(EventKind.ATTESTATION_FAILED)[0].details["reasons"]


def test_a_refusal_that_cannot_be_recorded_is_one(tmp_path: Path, source: Path, first_tpm: Swtpm) -> None:
    site, heard = Site(tmp_path / "home"), Log()
    require_tpm(site, first_tpm)
    attester = boot_machine(site, "w1", first_tpm)

    async def main() -> None:
        async with serving_w1(site, source, attester, heard) as controller:
            heard.is_full = True
            change(first_tpm)
            await watch(controller).look()

    run(main, seconds=120)
    assert [denial.subject for denial in Revocations(site.authority).denials()] == [str(node("w1"))]


@pytest.mark.parametrize("fault", ["no policy", "another policy", "full audit log"])
def test_what_fails_on_our_side_revokes_nobody(tmp_path: Path, source: Path, first_tpm: Swtpm, fault: str) -> None:
    site, heard = Site(tmp_path / "home"), Log()
    require_tpm(site, first_tpm)
    attester = boot_machine(site, "w1", first_tpm)
    path = site.authority.folder / NAME

    async def main() -> None:
        async with serving_w1(site, source, attester, heard) as controller:
            whole, heard.is_full = path.read_bytes(), fault == "full audit log"
            if fault == "no policy":
                path.unlink()
            elif fault == "another policy":
                path.write_bytes(whole + b" ")
            await watch(controller).look()
            assert not controller.cluster.members[0].is_gone
            path.write_bytes(whole)
            heard.is_full = False
            change(first_tpm)
            await watch(controller).look()  # and once it can be judged again, it is

    run(main, seconds=120)
    (denial,) = Revocations(site.authority).denials()
    assert "pcr_value" in denial.reason
