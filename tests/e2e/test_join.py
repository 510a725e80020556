"""A machine joins by a token and serves: the controller runs here, `mohawk worker join` and `mohawk worker run` are processes
of their own. The controller is started first, and waits.
"""

from __future__ import annotations

import asyncio
import json
import socket
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from mohawk.audit.events import AuditEvent, EventKind
from mohawk.controller import trust
from mohawk.controller.service import Controller
from mohawk.crypto.signing import is_encrypted
from mohawk.host.identity import IdentityFolder
from mohawk.host.identity_files import IdentityFiles
from mohawk.host.join_book import JoinBook
from mohawk.host.rotation import rotate_issuing
from mohawk.identity.join_token import JoinToken, encode_token
from mohawk.identity.names import Role
from mohawk.transport.dial import Target
from tests.e2e.inside import Site, generate, now
from tests.e2e.processes import Mohawk, command
from tests.support.audit import Heard
from tests.support.joining import until
from tests.support.models import build_model
from tests.support.nodes import run

pytestmark = pytest.mark.e2e
SECONDS = 180
PROMPT = [5, 6, 7]


class Cluster:
    """A controller that waits for w1, and what it wrote into the audit log."""

    def __init__(self, site: Site, source: Path) -> None:
        self.site = site
        self.events: list[AuditEvent] = []
        self.waited: list[str] = []
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.worker_port = int(free.getsockname()[1])
        target = Target("127.0.0.1", self.worker_port, Role.WORKER, "w1")
        options = replace(
            site.options(site.seal(source, 1), (target,)),
            record=self.events.append,
            join_port=0,
            waiting=lambda one: self.waited.append(one.name),
        )
        self.controller = Controller(options)

    def token(self) -> JoinToken:
        address = f"127.0.0.1:{self.controller.join_port}"
        return JoinBook(self.site.authority).issue(Role.WORKER, "w1", address, now(), self.events.append)

    def kinds(self, *wanted: EventKind) -> list[str]:
        return [event.subject.rpartition("/")[2] for event in self.events if event.kind in wanted]

    def run_worker(self, *arguments: str) -> Mohawk:
        store = self.site.home / "store"
        words = ["--store", str(store), "--port", str(self.worker_port), "--json", "--threads", "1"]
        return Mohawk(self.site.home / "w1", "worker", "run", *words, *arguments)


@asynccontextmanager
async def waiting(site: Site, source: Path) -> AsyncIterator[tuple[Cluster, asyncio.Task[int]]]:
    """A cluster whose join port is open and whose worker is not there yet."""
    cluster = Cluster(site, source)
    starting = asyncio.create_task(cluster.controller.start(lambda what, done, total: None))
    try:
        await until(lambda: cluster.waited or starting.done())
        yield cluster, starting
    finally:
        starting.cancel()
        await asyncio.gather(starting, return_exceptions=True)
        await cluster.controller.stop()


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_model(tmp_path_factory.mktemp("models") / "llama", "llama")


def test_a_machine_joins_and_serves(source: Path, tmp_path: Path) -> None:
    site, folder = Site(tmp_path / "home"), tmp_path / "identity"

    async def main() -> None:
        async with waiting(site, source) as (cluster, starting):
            text = encode_token(cluster.token())
            joined = await asyncio.to_thread(
                command, site.home / "w1", "worker", "join", "-", "--identity", str(folder), "--json", input=text
            )
            assert joined.returncode == 0, joined.stderr
            assert json.loads(joined.stdout)["name"] == "spiffe://mesh.example/worker/w1"
            assert cluster.kinds(EventKind.JOIN_ACCEPTED) == ["w1"]
            files = {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}
            assert files == dict.fromkeys(("identity.json", "publisher.json", "requirements.yaml", "trust.json"), 0o600)

            again = await asyncio.to_thread(
                command, site.home / "w1", "worker", "join", text, "--identity", str(tmp_path / "other")
            )
            assert again.returncode == 4
            assert not (tmp_path / "other").exists()

            worker = cluster.run_worker("--identity", str(folder))
            try:
                await starting
                assert len(await generate(cluster.controller, PROMPT, 16)) == 16
                await cluster.controller.stop()
                assert await asyncio.to_thread(worker.stop) == 0
            finally:
                worker.kill()

    run(main(), seconds=SECONDS)
    credentials = IdentityFolder(folder).read().credentials
    assert credentials.roots == site.authority.roots()


def test_two_files_under_a_password_are_renewed_and_used_again(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As MIE_WORKER_CERT_PATH and MIE_WORKER_KEY_PATH name them; MIE_KEY_PASSWORD opens the key."""
    monkeypatch.setattr(trust, "LOOK_SECONDS", 0.05)
    certificate, key = tmp_path / "etc" / "worker.crt", tmp_path / "etc" / "worker.key"
    password = "correct horse battery staple"
    monkeypatch.setenv("MIE_WORKER_CERT_PATH", str(certificate))
    monkeypatch.setenv("MIE_WORKER_KEY_PATH", str(key))
    monkeypatch.setenv("MIE_KEY_PASSWORD", password)
    site = Site(tmp_path / "home")

    async def main() -> None:
        async with waiting(site, source) as (cluster, starting):
            text = encode_token(cluster.token())
            joined = await asyncio.to_thread(command, site.home / "w1", "worker", "join", text)
            assert joined.returncode == 0, joined.stderr
            first = certificate.read_bytes()
            assert is_encrypted(key.read_bytes())
            worker = cluster.run_worker()
            try:
                await starting
                answer = await generate(cluster.controller, PROMPT, 16)
                rotate_issuing(site.authority, now(), Heard().record)
                await until(lambda: cluster.kinds(EventKind.LEAF_RENEWED) == ["w1"], 30)
                await until(lambda: certificate.read_bytes() != first, 30)
                assert await generate(cluster.controller, PROMPT, 16) == answer
                await cluster.controller.stop()
                assert await asyncio.to_thread(worker.stop) == 0
            finally:
                worker.kill()

        found = IdentityFiles(certificate, key, password.encode()).read().credentials
        assert found.chain[1] == site.authority.issuing_certificate()
        assert is_encrypted(key.read_bytes())
        assert b"BEGIN PRIVATE KEY" not in key.read_bytes()
        async with waiting(site, source) as (cluster, starting):
            worker = cluster.run_worker()
            try:
                await starting
                assert await generate(cluster.controller, PROMPT, 16) == answer
                await cluster.controller.stop()
                assert await asyncio.to_thread(worker.stop) == 0
            finally:
                worker.kill()

    run(main(), seconds=SECONDS)
