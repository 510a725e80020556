"""Plans from measurements, over real processes: probed before any key is released, refused where there is no room."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from mohawk.controller.layout import Layout
from mohawk.controller.service import Controller, ControllerOptions
from mohawk.errors import UsageError
from mohawk.nouns.model import LayerRange
from mohawk.nouns.plan import Plan, PlannedStage
from mohawk.transport.dial import Target
from tests.e2e.inside import Site, generate
from tests.model.opening import decode_alone, seeded_prompts
from tests.support.models import build_model
from tests.support.nodes import run

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("up")]

NEW_TOKENS = 16
SECONDS = 120
PROMPTS = seeded_prompts(1, 20)


def silent(_name: str, _done: int, _total: int) -> None:
    pass


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_model(tmp_path_factory.mktemp("models") / "plain", "llama")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    return Site(tmp_path_factory.mktemp("site") / "home")


@pytest.fixture(scope="module")
def workers(site: Site) -> Iterator[tuple[Target, ...]]:
    with site.worker_processes(2) as targets:
        yield targets


def test_measured_workers_serve_what_the_model_says(source: Path, site: Site, workers: tuple[Target, ...]):
    (expected,) = decode_alone(source, PROMPTS[:1], NEW_TOKENS)
    options = replace(site.options(site.seal(source, 6), workers), layout=Layout.MEASURED)

    async def main() -> None:
        controller = Controller(options)
        try:
            await controller.start(silent)
            choice = controller.choice
            assert choice is not None
            assert {profile.name for profile in choice.profiles} == {"w1", "w2"}
            for profile in choice.profiles:
                assert [rows for rows, _ in profile.layer.points] == [1, 2, 4, 8, 16, 32, 128]
                assert all(seconds > 0 for _, seconds in profile.layer.points)
                assert profile.head is not None
                assert profile.embedding is not None
                assert 0 < profile.round_trip < 1
                assert profile.memory > 1 << 20
            assert controller.cluster.plan == choice.plan
            assert [member.layers for member in controller.cluster.members] == [
                stage.layers for stage in choice.plan.stages
            ]
            assert await generate(controller, PROMPTS[0], NEW_TOKENS) == expected
        finally:
            await controller.stop()

    run(main, seconds=SECONDS)


def test_two_workers_trade_layers_under_a_running_answer(tmp_path: Path, site: Site, workers: tuple[Target, ...]):
    """Without anybody free: each loads its new stage beside the one that it serves. Of so many layers that computing
    decides, and not what a busy machine measures of its links.
    """
    source = build_model(tmp_path / "deep", "llama", layers=24)
    lopsided = Plan((PlannedStage("w1", LayerRange(0, 22)), PlannedStage("w2", LayerRange(23, 23))))
    options = site.options(site.seal(source, 24), workers, plan=lopsided)
    expected = decode_alone(source, PROMPTS[:1], 100)[0]

    async def main() -> None:
        controller = Controller(options)
        try:
            await controller.start(silent)
            answer = asyncio.create_task(generate(controller, PROMPTS[0], 100))
            found = await controller._replanner.replan(only_show=False)
            assert found.moved
            assert await answer == expected
            plan = controller.cluster.plan
            assert plan != lopsided
            assert [(stage.name, stage.run_id) for stage in found.new] == [
                (stage.worker, stage.layers.slice_id) for stage in plan.stages
            ]
            assert [member.layers for member in controller.cluster.members] == [stage.layers for stage in plan.stages]
            assert await generate(controller, PROMPTS[0], NEW_TOKENS) == expected[:NEW_TOKENS]
        finally:
            await controller.stop()

    run(main, seconds=SECONDS)


def refused(options: ControllerOptions) -> tuple[UsageError, list[str]]:
    """The error that ends the start, and what the audit log was told until then."""
    recorded: list[str] = []

    async def main() -> None:
        controller = Controller(replace(options, record=lambda event: recorded.append(event.kind)))
        try:
            await controller.start(silent)
        finally:
            await controller.stop()

    with pytest.raises(UsageError) as error:
        run(main, seconds=SECONDS)
    return error.value, recorded


@pytest.mark.parametrize("layout", Layout)
def test_without_room_nothing_starts_and_no_key_leaves(
    source: Path, site: Site, workers: tuple[Target, ...], layout: Layout
):
    options = replace(site.options(site.seal(source, 6), workers), layout=layout, kv_tokens=(1 << 32) - 16)
    error, recorded = refused(options)
    assert "w1 needs" in error.message
    assert "MiB are missing" in error.message
    assert not any("key" in kind for kind in recorded)


def test_ends_stay_with_whom_the_policy_names(source: Path, site: Site, workers: tuple[Target, ...]):
    options = replace(site.options(site.seal(source, 6), workers), may_hold_ends=("w2",))
    assert "w1 may not hold" in refused(options)[0].message
