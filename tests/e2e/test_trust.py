"""Trust changes under a running cluster: nothing is lost when it is renewed, and everything ends when it is taken back."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from mohawk.audit.events import AuditEvent, EventKind
from mohawk.controller import trust
from mohawk.controller.service import Controller
from mohawk.errors import MohawkError
from mohawk.generation.session import GenerationRequest
from mohawk.host.revocations import Revocations
from mohawk.host.rotation import activate_root, introduce_root, retire_root, rotate_issuing
from tests.e2e.inside import GREEDY, Site, generate, now
from tests.support.audit import Heard
from tests.support.models import build_model
from tests.support.nodes import run

SECONDS = 120


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_model(tmp_path_factory.mktemp("models") / "llama", "llama")


@asynccontextmanager
async def serving(
    site: Site, source: Path, monkeypatch: pytest.MonkeyPatch, *, quiet: bool = True
) -> AsyncIterator[tuple[Controller, list[AuditEvent]]]:
    """Two worker processes, and a controller that looks at its authority twenty times a second."""
    monkeypatch.setattr(trust, "LOOK_SECONDS", 0.05)
    heard = Heard()
    with site.worker_processes(2, quiet=quiet, ended=(0, 4, -2)) as targets:
        # 4: it was revoked; -2: and was told to end while it did
        async with site.serving(source, targets, record=heard.record, note=heard.note) as controller:
            yield controller, heard.events


class Traffic:
    """Greedy streams one after the other; each must be the same, and the longest silence is kept."""

    def __init__(self, controller: Controller) -> None:
        self._controller = controller
        self.answers: list[list[int | None]] = []
        self.longest_gap = 0.0

    async def run(self) -> None:
        while True:
            tokens, last = [], time.monotonic()
            request = GenerationRequest((1, 2, 3), 200, GREEDY)
            async for delta in self._controller.engine.generate(request):
                self.longest_gap = max(self.longest_gap, time.monotonic() - last)
                last = time.monotonic()
                tokens.append(delta.token)
            self.answers.append(tokens)
            await asyncio.sleep(0)


async def until(condition: Callable[[], object], seconds: float = 30) -> None:
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - processes and files give no event to wait for
            await asyncio.sleep(0.02)


def test_a_root_and_every_leaf_are_replaced_under_running_requests(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = Site(tmp_path / "home")

    async def main() -> None:
        async with serving(site, source, monkeypatch) as (controller, events):
            traffic = Traffic(controller)
            streams = asyncio.create_task(traffic.run())
            await until(lambda: traffic.answers)
            old = site.authority.issuing().certificate
            introduce_root(site.authority, now(), Heard().record)
            await until(lambda: all(m.trust and m.trust.roots_number == 1 for m in controller.cluster.members))
            activate_root(site.authority, Heard().record)
            await until(lambda: renewed(events) == {"w1", "w2"})
            epoch = controller.cluster.epoch
            retire_root(site.authority, Heard().record)
            await until(lambda: all(m.trust and m.trust.roots_number == 2 for m in controller.cluster.members))
            await controller.reconnect()  # every connection is now made under the new root alone
            assert controller.cluster.epoch > epoch
            count = len(traffic.answers)
            await until(lambda: len(traffic.answers) > count + 1)
            assert not streams.done()
            streams.cancel()
            assert all(answer == traffic.answers[0] for answer in traffic.answers)
            assert site.authority.issuing().certificate != old
            print(f"longest silence of a stream: {traffic.longest_gap * 1000:.0f} ms")

    run(main(), seconds=SECONDS)


def renewed(events: list[AuditEvent]) -> set[str]:
    return {event.subject.rsplit("/")[-1] for event in events if event.kind is EventKind.LEAF_RENEWED}


def test_an_issuing_authority_is_replaced_under_running_requests(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = Site(tmp_path / "home")

    async def main() -> None:
        async with serving(site, source, monkeypatch) as (controller, events):
            before = await generate(controller, [1, 2, 3], 16)
            rotate_issuing(site.authority, now(), Heard().record)
            await until(lambda: renewed(events) == {"w1", "w2"})
            epoch = controller.cluster.epoch
            await until(lambda: controller.cluster.epoch > epoch or controller.cluster.epoch > 1)
            assert await generate(controller, [1, 2, 3], 16) == before

    run(main(), seconds=SECONDS)


def test_a_revoked_worker_is_cut_within_five_seconds_and_gets_nothing_more(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = Site(tmp_path / "home")

    async def main() -> None:
        async with serving(site, source, monkeypatch, quiet=False) as (controller, events):
            stream = asyncio.create_task(Traffic(controller).run())
            await asyncio.sleep(0.5)
            began = time.monotonic()
            Revocations(site.authority).deny("spiffe://mesh.example/worker/w2", "stolen", now())
            with pytest.raises(MohawkError, match=r"worker w2|w2"):
                await asyncio.wait_for(stream, 5)
            print(f"cut after {time.monotonic() - began:.2f} s")
            assert [e.subject for e in events if e.kind is EventKind.NODE_REVOKED] == [
                "spiffe://mesh.example/worker/w2"
            ]
            with pytest.raises(MohawkError):
                await controller.cluster.members[1].reconnect(controller.cluster.context)

    run(main(), seconds=SECONDS)


def test_a_worker_keeps_its_renewed_identity_for_its_next_start(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = Site(tmp_path / "home", leaf=timedelta(minutes=4))  # half of its life is over at once: it is backdated

    async def main() -> None:
        # Not quiet: every fresh leaf is due again at once, and the controller stops in the middle of a renewal.
        async with serving(site, source, monkeypatch, quiet=False) as (_, events):
            files = [site.home / "identities" / name / "identity.json" for name in ("w1", "w2")]
            before = [path.read_bytes() for path in files]
            await until(lambda: renewed(events) == {"w1", "w2"})
            await until(lambda: all(path.read_bytes() != old for path, old in zip(files, before, strict=True)))

    run(main(), seconds=SECONDS)
