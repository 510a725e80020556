"""Who may drive a worker, over real connections: one controller, the named predecessor, nobody else; and what a controller
that goes away leaves behind.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from mohawk.channel.profile import NodeContext
from mohawk.contract.messages import Hop, Purpose, RouteReady
from mohawk.controller.service import Controller
from mohawk.errors import IdentityError, MohawkError, RemoteError, UnavailableError
from mohawk.host.sealed_folder import SealedFolder
from mohawk.identity.names import Role
from mohawk.transport.dial import Target, dial
from mohawk.worker import station
from mohawk.worker.loader import LoadedStage
from tests.e2e.inside import Site, generate
from tests.support.models import build_model
from tests.support.nodes import run
from tests.support.tickets import make_route

SECONDS = 60


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    return Site(tmp_path_factory.mktemp("site") / "home")


@pytest.fixture(scope="module")
def sealed(site: Site, tmp_path_factory: pytest.TempPathFactory) -> SealedFolder:
    return site.seal(build_model(tmp_path_factory.mktemp("models") / "tiny", "llama"), 1)


def context(site: Site, role: Role, name: str) -> NodeContext:
    return site.context(role, name)


async def start(site: Site, sealed: SealedFolder, targets: tuple[Target, ...], **changes: object) -> Controller:
    """A started controller; one that cannot start is stopped, and its error raised."""
    controller = Controller(replace(site.options(sealed, targets), **changes))
    try:
        await controller.start(lambda what, done, total: None)
    except BaseException:
        await controller.stop()
        raise
    return controller


def test_a_second_controller_waits_until_the_first_is_gone(site: Site, sealed: SealedFolder):
    async def main() -> None:
        async with site.workers(1) as targets:
            first = await start(site, sealed, targets)
            with pytest.raises(UnavailableError, match="another controller drives this worker"):
                await dial(context(site, Role.CONTROLLER, "second"), targets[0], Purpose.CONTROL)
            assert len(await generate(first, [5, 6], 4)) == 4, "the first is not disturbed"
            await first.stop()
            second = await start(site, sealed, targets)
            assert second.cluster.members[0].sent_bytes == 0
            await second.stop()

    run(main, seconds=SECONDS)


@pytest.mark.parametrize(
    ("role", "purpose"),
    [
        (Role.OPERATOR, Purpose.CONTROL),
        (Role.OPERATOR, Purpose.OPERATOR),
        (Role.CLIENT, Purpose.STEP),
        (Role.WORKER, Purpose.CONTROL),
        (Role.WORKER, Purpose.SLICE),
        (Role.CONTROLLER, Purpose.OPERATOR),
    ],
)
def test_no_other_role_may_use_a_worker_s_port(site: Site, role: Role, purpose: Purpose):
    async def main() -> None:
        async with site.workers(1) as targets:
            with pytest.raises(RemoteError, match="refused|not open to"):
                await dial(context(site, role, "stranger"), targets[0], purpose)

    run(main, seconds=SECONDS)


def test_a_controller_aborts_when_another_worker_answers(site: Site, sealed: SealedFolder):
    async def main() -> None:
        async with site.workers(1) as targets:
            with pytest.raises(IdentityError):
                await start(site, sealed, (replace(targets[0], name="w9"),))

    run(main, seconds=SECONDS)


def test_steps_come_from_the_named_predecessor_only(site: Site):
    """Neither a worker of the same domain nor another controller can put a step into the chain."""

    async def main() -> None:
        async with site.workers(2) as targets:
            worker, controller = (context(site, *who) for who in ((Role.WORKER, "w1"), (Role.CONTROLLER, "controller")))
            with pytest.raises(RemoteError, match="predecessor"):
                await dial(worker, targets[1], Purpose.STEP)  # no route yet: nobody is
            control = await dial(controller, targets[1], Purpose.CONTROL)
            route = make_route(previous="spiffe://mesh.example/worker/w1")
            await control.request(route, RouteReady, 5)
            for stranger in (context(site, Role.WORKER, "w7"), controller):
                with pytest.raises(RemoteError, match="predecessor"):
                    await dial(stranger, targets[1], Purpose.STEP)
            (await dial(worker, targets[1], Purpose.STEP)).close()
            control.close()
            await control.closed

    run(main, seconds=SECONDS)


def test_a_worker_does_not_send_activations_to_whoever_listens_there(site: Site):
    """The route names the next stage; another node at its address is refused inside the handshake."""

    async def main() -> None:
        async with site.workers(2) as targets:
            control = await dial(context(site, Role.CONTROLLER, "controller"), targets[0], Purpose.CONTROL)
            previous = "spiffe://mesh.example/controller/controller"
            route = make_route(previous=previous, next=Hop("w3", "127.0.0.1", targets[1].port))
            with pytest.raises(RemoteError, match="refused"):
                await control.request(route, RouteReady, 5)
            control.close()
            await control.closed

    run(main, seconds=SECONDS)


def test_a_manifest_of_another_publisher_is_refused_before_any_byte(site: Site, sealed: SealedFolder, tmp_path: Path):
    """The controller is trusted to transport; what it transports is the publisher's, or nothing."""
    other = Site(tmp_path / "other")
    foreign = other.seal(build_model(tmp_path / "tiny", "llama"), 1)

    async def main() -> None:
        async with site.workers(1) as targets:
            with pytest.raises(RemoteError, match="publisher"):
                await start(site, foreign, targets, provider=other.provider)
            assert not list((site.home / "stores").rglob("*.part"))

    run(main, seconds=SECONDS)


def test_a_pool_larger_than_memory_is_an_error_and_not_a_wait(site: Site, sealed: SealedFolder):
    async def main() -> None:
        async with site.workers(1) as targets:
            with pytest.raises(MohawkError):
                await start(site, sealed, targets, kv_tokens=1 << 40)
            controller = await start(site, sealed, targets)
            assert len(await generate(controller, [5], 2)) == 2, "the worker is as good as before"
            await controller.stop()

    run(main, seconds=SECONDS)


def test_what_a_load_opened_is_overwritten_when_its_controller_leaves(
    site: Site, sealed: SealedFolder, monkeypatch: pytest.MonkeyPatch
):
    """Even when it leaves in the middle of the load, which then ends with nobody waiting for it."""
    loads: list[LoadedStage] = []
    begun, left = asyncio.Event(), asyncio.Event()
    real = station.load_stage

    async def main() -> None:
        loop = asyncio.get_running_loop()

        def load_slowly(*arguments: object) -> LoadedStage:
            loop.call_soon_threadsafe(begun.set)
            asyncio.run_coroutine_threadsafe(left.wait(), loop).result(SECONDS)
            loads.append(real(*arguments))
            assert any(loads[0].memories[0].view)
            return loads[0]

        monkeypatch.setattr(station, "load_stage", load_slowly)
        async with site.workers(1) as targets:
            starting = asyncio.create_task(start(site, sealed, targets))
            await begun.wait()
            starting.cancel()
            await asyncio.gather(starting, return_exceptions=True)
            left.set()
            monkeypatch.setattr(station, "load_stage", real)
            link = None
            while link is None:  # busy until the load has ended and its memory was overwritten
                try:
                    link = await dial(context(site, Role.CONTROLLER, "next"), targets[0], Purpose.CONTROL)
                except UnavailableError:
                    continue
            assert not any(loads[0].memories[0].view)
            link.close()
            await link.closed

    run(main, seconds=SECONDS)
