"""A worker is asked again what its machine is, while its connections are renewed: neither is the worse for it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from mohawk.worker.attesting import MachineWitness
from tests.e2e.inside import Site, generate
from tests.support.attested import boot_machine, require_tpm, serving_w1
from tests.support.audit import Heard
from tests.support.models import build_model
from tests.support.nodes import run
from tests.support.swtpm import Swtpm


def test_a_slow_answer_and_fresh_connections(tmp_path: Path, first_tpm: Swtpm, monkeypatch: pytest.MonkeyPatch) -> None:
    site = Site(tmp_path / "home")
    require_tpm(site, first_tpm)
    attester = boot_machine(site, "w1", first_tpm)
    quote = MachineWitness.answer

    async def main() -> None:
        asked, may_answer = asyncio.Event(), asyncio.Event()

        async def answer(*arguments: object, **named: object) -> object:
            asked.set()
            await may_answer.wait()
            return await quote(*arguments, **named)  # type: ignore[arg-type]

        model = build_model(tmp_path / "model", "llama", layers=2)
        async with serving_w1(site, model, attester, Heard()) as controller:
            monkeypatch.setattr(MachineWitness, "answer", answer)
            question = asyncio.create_task(controller.cluster.members[0].attest_again(controller.gate.attestation))
            await asked.wait()
            renewal = asyncio.create_task(controller.reconnect())
            await asyncio.wait({renewal}, timeout=0.3)
            may_answer.set()
            assert (await question).verdict.findings == ()
            await renewal
            assert len(await generate(controller, [1, 2, 3], 4)) == 4

    run(main, seconds=120)
