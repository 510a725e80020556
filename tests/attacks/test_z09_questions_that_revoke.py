"""Z09: an auditor, who may only look, asks about a worker again and again: until the challenges of one worker are used up,
so that the next honest look at it fails and it is denied; and so that the watch over it never gets its turn.

Expected: one question in ten seconds is asked, the others are refused; the worker is looked at, stays, and serves.

Defence: controller/gate.py:ReleaseGate.ask (a pause between two questions); removed, who may only read writes as much
audit log as he likes, and his questions crowd out the watch's.
Defence: controller/attestation_watch.py:AttestationWatch._look_at (want of nonces is our fault); removed too, reading
becomes revoking.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from mohawk.audit.events import EventKind
from mohawk.controller.attestation_watch import AttestationWatch
from mohawk.controller.service import Controller
from mohawk.errors import MohawkError
from mohawk.host.revocations import Revocations
from tests.e2e.inside import Site
from tests.support.attested import boot_machine, require_tpm, serving_w1
from tests.support.audit import Heard
from tests.support.models import build_model
from tests.support.nodes import run
from tests.support.swtpm import Swtpm

QUESTIONS = 100


async def ask(controller: Controller) -> str:
    """`accepted`, or how the question was refused."""
    try:
        return "accepted" if (await controller.gate.ask("w1")).accepted else "refused"
    except MohawkError as error:
        return error.code


@pytest.mark.parametrize("at_once", [True, False])
def test_questions_crowd_nobody_out(tmp_path: Path, first_tpm: Swtpm, at_once: bool) -> None:
    site, heard = Site(tmp_path / "home"), Heard()
    require_tpm(site, first_tpm)
    attester = boot_machine(site, "w1", first_tpm)

    async def main() -> list[str]:
        async with serving_w1(site, build_model(tmp_path / "model", "llama", layers=2), attester, heard) as controller:
            if at_once:
                answers = await asyncio.gather(*(ask(controller) for _ in range(QUESTIONS)))
            else:
                answers = [await ask(controller) for _ in range(QUESTIONS)]
            members = controller.cluster.members
            await AttestationWatch(controller.gate.attestation, lambda: members, controller._deny).look()
            assert not members[0].is_gone
            return answers

    answers = run(main, seconds=120)
    assert sorted(set(answers)) == ["accepted", "unavailable"]
    assert answers.count("accepted") == 1
    assert Revocations(site.authority).denials() == ()
    assert len(heard.of(EventKind.ATTESTED)) == 3, "at its start, for the auditor, for the watch"
