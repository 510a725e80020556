"""A stage whose compute hangs while its worker answers every heartbeat: a spare takes over within seconds."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from mohawk.controller.service import Controller
from mohawk.generation.session import GenerationRequest
from mohawk.host.files import make_private_folder
from mohawk.host.identity import write_node_identity
from mohawk.identity.names import Role
from mohawk.transport.dial import Target
from tests.e2e.inside import GREEDY, Site, generate
from tests.e2e.processes import Mohawk
from tests.support.models import build_model
from tests.support.nodes import run

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("up")]

HANGING = """
import pathlib, sys, time
from mohawk.cli.main import main
from mohawk.worker.runner import Runner
place, compute = pathlib.Path(sys.argv[1]), Runner.run
def hang(runner, part, body):
    while place.exists():
        time.sleep(0.05)
    return compute(runner, part, body)
Runner.run = hang
del sys.argv[1:5]  # the place, and what starts an honest worker
main()
"""
"""A worker that computes nothing while there is a file of this name."""
PROMPT = [5, 6, 7, 8]
TOKENS = 120
LIMIT_SECONDS = 5.0
"""The promise is 3 s on a machine that has time; the test prints what it took."""


@contextmanager
def worker(site: Site, name: str, *before: str) -> Iterator[Target]:
    """A process of its own, with `before` put before its command."""
    folder = site.home / "identities" / name
    make_private_folder(folder.parent)
    write_node_identity(folder, site.credentials(Role.WORKER, name), site.authority.pins())
    where = ("--identity", str(folder), "--store", str(site.home / "stores" / name))
    process = Mohawk(
        site.home / name, "worker", "run", *where, "--port", "0", "--threads", "1", "--json", inside=before
    )
    try:
        port = json.loads(process.read_until("\n"))["port"]
        yield Target("127.0.0.1", port, Role.WORKER, name)
    finally:
        process.kill()


async def wait_for_spare(controller: Controller) -> None:
    """Until one stands by with a stage."""
    for _ in range(600):
        if any(spare.layers for spare in controller.cluster.spares):
            return
        await asyncio.sleep(0.1)
    raise AssertionError("nobody stands by")


async def interrupt(controller: Controller, hang: Callable[[], None]) -> tuple[list[int], float]:
    """An answer during which a stage begins to hang; the longest wait for a token after that, in seconds."""
    tokens: list[int] = []
    hung = gap = 0.0
    last = time.monotonic()
    async for delta in controller.engine.generate(GenerationRequest(tuple(PROMPT), TOKENS, GREEDY)):
        if delta.token is None:
            continue
        now = time.monotonic()
        if hung:
            gap = max(gap, now - max(last, hung))
        last = now
        tokens.append(delta.token)
        if len(tokens) == TOKENS // 3:
            hang()
            hung = time.monotonic()
    return tokens, gap


def test_a_stage_that_hangs_is_replaced(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    site = Site(tmp_path / "home")
    sealed = site.seal(build_model(tmp_path / "tiny", "llama"), 2)
    place = tmp_path / "hangs"

    async def main(targets: list[Target]) -> None:
        options = replace(site.options(sealed, tuple(targets[:2])), spares=(targets[2],))
        controller = Controller(options)
        try:
            await controller.start(lambda what, done, total: None)
            expected = await generate(controller, PROMPT, TOKENS)
            await wait_for_spare(controller)
            tokens, gap = await interrupt(controller, place.touch)
            assert tokens == expected
            assert "w2" not in [member.name for member in controller.cluster.members]
            with capsys.disabled():
                print(f"\na stage that hangs: {gap:.2f} s until the next token")
            assert gap < LIMIT_SECONDS
        finally:
            place.unlink(missing_ok=True)
            await controller.stop()

    with ExitStack() as stack:
        targets = [stack.enter_context(worker(site, "w1"))]
        targets.append(stack.enter_context(worker(site, "w2", sys.executable, "-c", HANGING, str(place))))
        targets.append(stack.enter_context(worker(site, "w3")))
        run(lambda: main(targets), seconds=90)
