"""T17: a worker's machine changes while it serves: something unknown is measured into its boot path, so that its next
quote is not the one that its key was released for.

Expected: it is denied, requests end with a typed error, and its process, with keys and weights, is gone within 10 s of
the look that found it (once a minute); it does not come back.

Defence: controller/attestation_watch.py:AttestationWatch._look_at; removed, a machine shows once what it must and is
trusted for as long as it stays connected.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from mohawk.audit.events import EventKind
from mohawk.controller import attestation_watch
from mohawk.controller.service import Controller
from mohawk.errors import MohawkError
from mohawk.host.attester import Attester
from mohawk.host.identity import write_node_identity
from mohawk.host.revocations import Revocations
from mohawk.identity.names import Role
from mohawk.nouns.model import DataType
from mohawk.transport.dial import Target
from tests.e2e.inside import Site, generate
from tests.e2e.processes import Mohawk, wait_until_gone
from tests.support.attested import name_tpm, node, require_tpm
from tests.support.audit import Heard
from tests.support.boot_log import boot, encode
from tests.support.models import build_model
from tests.support.nodes import run
from tests.support.swtpm import Swtpm

LIMIT_SECONDS = 10.0


@contextmanager
def attested_process(site: Site, tpm: Swtpm) -> Iterator[tuple[Mohawk, Target]]:
    """w1 as `mohawk worker run --tpm` starts it, on a machine that has just booted."""
    folder = site.home / "identity"
    write_node_identity(folder, site.credentials(Role.WORKER, "w1"), site.authority.pins())
    log = site.home / "firmware.log"
    log.write_bytes(encode(boot()))
    tpm.boot()
    name_tpm(site, "w1", Attester(tpm.path, folder, log))
    arguments = ["--identity", folder, "--store", site.home / "store", "--port", "0", "--threads", "1", "--json"]
    arguments += ["--tpm", tpm.path, "--firmware-log", log]
    worker = Mohawk(site.home / "w1", "worker", "run", *map(str, arguments))
    try:
        port = json.loads(worker.read_until("\n"))["port"]
        yield worker, Target("127.0.0.1", port, Role.WORKER, "w1")
    finally:
        worker.kill()


def test_a_machine_that_changes_loses_its_key_and_its_process(
    tmp_path: Path, first_tpm: Swtpm, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attestation_watch, "EVERY_SECONDS", 0.5)  # what follows the look is in real time
    site, heard = Site(tmp_path / "home"), Heard()
    source = build_model(tmp_path / "model", "llama", layers=2)
    require_tpm(site, first_tpm)

    with attested_process(site, first_tpm) as (worker, target):

        async def main() -> float:
            options = site.options(site.seal(source, 1), (target,), DataType.FLOAT32)
            controller = Controller(replace(options, record=heard.record, note=heard.note))
            await controller.start(lambda what, done, total: None)
            try:
                assert len(await generate(controller, [1, 2, 3], 4)) == 4
                with first_tpm.open() as tpm:
                    tpm.measure(4, b"a boot module that nobody expected")
                begin = time.monotonic()
                running = asyncio.create_task(generate(controller, [1, 2, 3], 2000))
                assert await asyncio.to_thread(wait_until_gone, [worker.pid], LIMIT_SECONDS) == []
                taken = time.monotonic() - begin
                with pytest.raises(MohawkError):
                    await running
                return taken
            finally:
                await controller.stop()

        print(f"gone {run(main, seconds=120):.1f} s after its machine changed")
        assert worker.wait() == 4, "it does not begin anew"

    assert "was revoked" in worker.errors.read_text()
    assert "pcr_value" in heard.of(EventKind.ATTESTATION_FAILED)[0].details["reasons"].split()
    assert [event.subject for event in heard.of(EventKind.NODE_REVOKED)] == [str(node("w1"))]
    (denial,) = Revocations(site.authority).denials()
    assert denial.reason.startswith("attestation failed")
