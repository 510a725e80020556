"""Stages move under running streams: loaded while the old plan serves, and no token is lost, repeated or changed."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from mohawk.controller.member import Member
from mohawk.controller.service import Controller
from mohawk.errors import MohawkError
from mohawk.nouns.model import LayerRange
from mohawk.nouns.plan import Plan, PlannedStage
from tests.e2e.inside import Site, generate
from tests.e2e.processes import Up
from tests.e2e.streams import Streams, build_endless, wait_for_spares
from tests.model.opening import decode_alone
from tests.support.models import build_model
from tests.support.nodes import run

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("up")]

SPARES = 2
LAYERS = 24
"""So many that computing decides, and not what a busy machine measures of its links."""
CONTEXT = 2048
TOKENS = 2000
"""More than anybody reads here."""
PROMPTS = [[5, 6, 7, 8], [6, 6, 7, 9]]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return build_endless(tmp_path / "endless", CONTEXT, LAYERS)


@pytest.fixture
def up(source: Path, tmp_path: Path) -> Iterator[Up]:
    """One worker has all layers, and two more have come."""
    running = Up(tmp_path / "home", str(source), "--dtype", "float32", "--workers", "1", "--spares", str(SPARES))
    wait_for_spares(running, SPARES)
    yield running
    running.kill()


def chain(up: Up) -> list[tuple[str, str]]:
    return [(worker["name"], worker["run_id"]) for worker in up.status()["workers"] if not worker["is_spare"]]


def test_stages_move_to_workers_that_came_later(source: Path, up: Up, capsys: pytest.CaptureFixture[str]) -> None:
    at = ("--controller", f"controller@127.0.0.1:{up.ready['operator_port']}", "--json")
    before = chain(up)
    shown = up.command("operator", "replan", "--dry-run", *at)
    assert shown.returncode == 0, shown.stderr
    assert json.loads(shown.stdout)["moved"] is False
    assert chain(up) == before, "only looking moves nothing"

    running = Streams(up, PROMPTS, TOKENS)
    running.wait_for(5)
    done = up.command("operator", "replan", *at)
    assert done.returncode == 0, done.stderr
    counts = [len(stream.tokens) for stream in running.streams]
    running.wait_for(max(counts) + 10)
    streams = running.leave()
    assert [stream.error for stream in streams] == [None] * len(PROMPTS)
    expected = decode_alone(source, PROMPTS, max(len(stream.tokens) for stream in streams))
    for stream, tokens in zip(streams, expected, strict=True):
        assert stream.tokens == tokens[: len(stream.tokens)]

    report = json.loads(done.stdout)
    assert report["moved"] is True, report
    assert [(stage["worker"], stage["layers"]) for stage in report["stages"]] == chain(up)
    assert report["tokens_per_second"] > 1.25 * report["old_tokens_per_second"]
    assert len(report["stages"]) > 1
    with capsys.disabled():
        print(f"\nloaded for {report['load_milliseconds']} ms, held for {report['hold_milliseconds']} ms; ", end="")
        print(f"longest gap {max(stream.longest_gap for stream in streams):.2f} s")


def test_a_worker_that_is_lost_while_stages_load_is_replaced_and_the_old_plan_goes_on(tmp_path: Path) -> None:
    source, site = build_model(tmp_path / "plain", "llama", layers=LAYERS), Site(tmp_path / "site")
    (expected,) = decode_alone(source, PROMPTS[:1], 100)
    lopsided = Plan(
        (PlannedStage("w1", LayerRange(0, LAYERS - 2)), PlannedStage("w2", LayerRange(LAYERS - 1, LAYERS - 1)))
    )

    with site.worker_processes(3, quiet=False, ended=(0, -signal.SIGKILL)) as targets:
        options = replace(site.options(site.seal(source, LAYERS), targets[:2], plan=lopsided), spares=targets[2:])

        async def main() -> None:
            controller = Controller(options)
            load, is_killed = controller._load, False

            async def kill_and_load(member: Member, layers: LayerRange, *, beside: bool) -> None:
                nonlocal is_killed
                if not is_killed:
                    is_killed = True
                    os.kill(site.processes[1], signal.SIGKILL)
                await load(member, layers, beside=beside)

            controller._replanner._means = replace(controller._replanner._means, load=kill_and_load)
            try:
                await controller.start(lambda _name, _done, _size: None)
                while not controller.cluster.spares:
                    await generate(controller, PROMPTS[0], 1)
                answer = asyncio.create_task(generate(controller, PROMPTS[0], 100))
                with pytest.raises(MohawkError):
                    await controller._replanner.replan(only_show=False)
                assert await answer == expected
                layers = [stage.layers for stage in controller.cluster.plan.stages]
                assert layers == [stage.layers for stage in lopsided.stages]
                assert controller.cluster.plan.workers == ("w1", "w3")
            finally:
                await controller.stop()

        run(main, seconds=120)
