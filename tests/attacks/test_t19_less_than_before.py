"""T19: a policy takes machines without a TPM, too. A worker shows its TPM, gets its key as such, and from then on answers
each question with nothing: `software`.

Expected: denied. The key was released to a machine that was known; it is asked for as long as the key is held.

Defence: controller/attestation.py:Attestation._judge (no less than before); removed, whoever takes the machine over
keeps its key, and status goes on saying `tpm`.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from mohawk.attestation.evidence import SoftwareEvidence
from mohawk.audit.events import EventKind
from mohawk.contract.attesting import AttestReply
from mohawk.controller.attestation_watch import AttestationWatch
from mohawk.host.release_policy import ReleasePolicy
from mohawk.host.revocations import Revocations
from mohawk.worker.attesting import MachineWitness
from tests.e2e.inside import Site
from tests.support.attested import boot_machine, node, policy_text, require_tpm, serving_w1
from tests.support.audit import Heard
from tests.support.models import build_model
from tests.support.nodes import run
from tests.support.swtpm import Swtpm


async def nothing(*_arguments: object, **_named: object) -> AttestReply:
    """A service that was told to show nothing."""
    return AttestReply(SoftwareEvidence().encode())


def test_it_is_denied(tmp_path: Path, first_tpm: Swtpm, monkeypatch: pytest.MonkeyPatch) -> None:
    site, heard = Site(tmp_path / "home"), Heard()
    require_tpm(site, first_tpm)
    lenient = policy_text(first_tpm).replace(b'"class": "tpm"', b'"class": "software"')
    ReleasePolicy(site.authority).replace(lenient)
    attester = boot_machine(site, "w1", first_tpm)

    async def main() -> None:
        async with serving_w1(site, build_model(tmp_path / "model", "llama", layers=2), attester, heard) as controller:
            members = controller.cluster.members
            assert members[0].evidence == "tpm"
            watch = AttestationWatch(controller.gate.attestation, lambda: members, controller._deny)
            await watch.look()
            assert Revocations(site.authority).denials() == ()
            monkeypatch.setattr(MachineWitness, "answer", nothing)
            await watch.look()

    run(main, seconds=120)
    assert [denial.subject for denial in Revocations(site.authority).denials()] == [str(node("w1"))]
    assert heard.of(EventKind.ATTESTATION_FAILED)[0].details["reasons"] == "class_too_low"
