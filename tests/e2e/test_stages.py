"""Stages of several slices, over real processes: any layout of one sealed model says what the model says unsplit, and
layers move between workers that serve.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from mohawk.controller.keys import KeyRelease
from mohawk.controller.service import Controller
from mohawk.errors import UsageError
from mohawk.host.keys import open_model_key
from mohawk.nouns.plan import Plan
from mohawk.transport.dial import Target
from tests.e2e.inside import Site, generate, generate_all
from tests.model.opening import decode_alone, seeded_prompts
from tests.nouns.test_plan import make_plan
from tests.support.models import build_model
from tests.support.nodes import run

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("up")]

NEW_TOKENS = 24
SECONDS = 120
PROMPTS = seeded_prompts(3, 20)
UNEVEN = make_plan(("w2", 0, 0), ("w1", 1, 5))
OTHER = make_plan(("w1", 0, 3), ("w3", 4, 5))


def silent(_name: str, _done: int, _total: int) -> None:
    pass


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six layers, and a head that is tied to the embedding."""
    return build_model(tmp_path_factory.mktemp("models") / "tied", "llama_tied")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    return Site(tmp_path_factory.mktemp("site") / "home")


@pytest.fixture(scope="module")
def workers(site: Site) -> Iterator[tuple[Target, ...]]:
    with site.worker_processes(3) as targets:
        yield targets


def test_layouts_that_nobody_sealed_for(source: Path, site: Site, workers: tuple[Target, ...]):
    expected = decode_alone(source, PROMPTS, NEW_TOKENS)

    async def serve(plan: Plan) -> list[list[int]]:
        async with site.serving(source, workers, plan=plan) as controller:
            chain = [worker for worker in controller.status().workers if not worker.is_spare]
            assert [worker.name for worker in chain] == list(plan.workers)
            assert [worker.run_id for worker in chain] == [stage.layers.slice_id for stage in plan.stages]
            assert [len(worker.slices) for worker in chain] == [len(stage.layers) for stage in plan.stages]
            return await generate_all(controller, PROMPTS, NEW_TOKENS)

    for plan in (UNEVEN, OTHER, make_plan(("w3", 0, 5))):
        assert run(lambda plan=plan: serve(plan), seconds=SECONDS) == expected  # type: ignore[misc]


def test_layers_move_while_it_serves(source: Path, site: Site, workers: tuple[Target, ...]):
    """What repair is made of: sealed slices ahead, then keys, in place of the stage that is there; a new route."""
    (expected,) = decode_alone(source, PROMPTS[1:], NEW_TOKENS)
    moved = make_plan(("w2", 0, 3), ("w1", 4, 5))

    async def move(controller: Controller) -> None:
        cluster, folder = controller.cluster, controller.cluster.folder
        cluster.leave_chain()
        with open_model_key(site.provider, folder.keyring()) as model_key:
            keys = KeyRelease(
                folder.keyring(), model_key, folder.envelope, controller.gate.attestation, lambda _event: None
            )
            for member, stage in zip(cluster.members, moved.stages, strict=True):
                await cluster.loader.load(member, stage.layers, cluster.epoch + 1, keys, silent)
                assert member.sent_bytes == 0, "they were there already"
        cluster.plan = moved
        await cluster.reroute(controller.pipeline, fresh=True)
        controller.pipeline.rekey(cluster.epoch, cluster.tickets, cluster.members[-1].name)
        controller.engine.resume()

    async def main() -> None:
        async with site.serving(source, workers, plan=UNEVEN) as controller:
            assert await generate(controller, PROMPTS[1], NEW_TOKENS) == expected
            for member, stage in zip(controller.cluster.members, moved.stages, strict=True):
                await controller.cluster.loader.deliver_run(member.target, stage.layers, silent)
            assert await generate(controller, PROMPTS[1], NEW_TOKENS) == expected, "spare slices disturb nobody"
            await controller.engine.between_steps(lambda: move(controller))
            assert [one.run_id for one in controller.status().workers if not one.is_spare] == ["slice_0_3", "slice_4_5"]
            assert await generate(controller, PROMPTS[1], NEW_TOKENS) == expected

    run(main, seconds=SECONDS)


@pytest.mark.parametrize("plan", [make_plan(("w1", 0, 6)), make_plan(("w1", 0, 1), ("w9", 2, 5))])
def test_a_plan_that_does_not_fit_ends_the_start(source: Path, site: Site, workers: tuple[Target, ...], plan: Plan):
    async def main() -> None:
        folder = site.seal(source, 3)
        controller = Controller(site.options(folder, workers, plan=plan))
        try:
            await controller.start(silent)
        finally:
            await controller.stop()

    with pytest.raises(UsageError):
        run(main, seconds=SECONDS)
