"""Attested workers for end-to-end tests: each with a software TPM, a booted machine, and what a policy knows of it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from mohawk.controller.service import Controller
from mohawk.host.attester import Attester
from mohawk.host.code_digest import code_digest
from mohawk.host.enrolments import open_enrolments
from mohawk.host.files import make_private_folder
from mohawk.host.release_policy import ReleasePolicy
from mohawk.host.slice_store import SliceStore
from mohawk.identity.names import NodeName, Role
from mohawk.nouns.model import DataType
from mohawk.transport.dial import Target
from mohawk.worker.service import Worker, WorkerSettings
from tests.e2e.inside import QUOTA, Site
from tests.support.audit import Heard
from tests.support.boot_log import Recorded, boot, encode
from tests.support.machines import policy_document
from tests.support.swtpm import Swtpm


def policy_text(tpm: Swtpm, **changed: Any) -> bytes:
    """What an operator lays down for machines that boot as our test machines do. JSON is YAML."""
    code = {"allowed": [code_digest().hex()], "boot": [bytes(32).hex()]}
    return json.dumps(policy_document(tpm.vendor.roots, **{"code": code} | changed)).encode()


def require_tpm(site: Site, tpm: Swtpm, **changed: Any) -> None:
    ReleasePolicy(site.authority).initialise(policy_text(tpm, **changed), Heard().record)


def boot_machine(site: Site, name: str, tpm: Swtpm, events: Sequence[Recorded] = boot()) -> Attester:
    """The machine of worker `name`, freshly booted; its service has not begun."""
    folder = site.home / "machines" / name
    make_private_folder(folder)
    tpm.boot(events)
    (folder / "binary_bios_measurements").write_bytes(encode(events))
    (folder / "tpm-history.json").unlink(missing_ok=True)
    return Attester(tpm.path, folder, folder / "binary_bios_measurements")


def name_tpm(site: Site, name: str, attester: Attester) -> None:
    """An operator says which TPM is this worker's, having read it on that machine."""
    open_enrolments(site.authority).expect(node(name), attester.identity().ek_hash, Heard().record)


def node(name: str) -> NodeName:
    return NodeName("mesh.example", Role.WORKER, name)


@asynccontextmanager
async def attested_workers(site: Site, attesters: dict[str, Attester | None]) -> AsyncIterator[tuple[Target, ...]]:
    """Empty workers that listen, in this process; with None, one without a TPM."""
    async with AsyncExitStack() as stack:
        targets = []
        for name, attester in attesters.items():
            store = SliceStore(site.home / "stores" / name, QUOTA)
            settings = WorkerSettings(
                site.credentials(Role.WORKER, name),
                site.authority.pins(),
                host="127.0.0.1",
                port=0,
                attester=attester,
            )
            worker = Worker(settings, store)
            if attester is not None:
                attester.begin(code_digest())
            stack.callback(store.close)
            stack.push_async_callback(worker.close)
            targets.append(Target("127.0.0.1", await worker.open(), Role.WORKER, name))
        yield tuple(targets)


@asynccontextmanager
async def serving_w1(site: Site, source: Path, attester: Attester, heard: Heard) -> AsyncIterator[Controller]:
    """A controller that serves `source` on w1, whose TPM it was told, in this process too."""
    name_tpm(site, "w1", attester)
    async with attested_workers(site, {"w1": attester}) as (target,):
        options = site.options(site.seal(source, 1), (target,), DataType.FLOAT32)
        controller = Controller(replace(options, record=heard.record, note=heard.note))
        try:
            await controller.start(lambda what, done, total: None)
            yield controller
        finally:
            await controller.stop()
