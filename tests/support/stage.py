"""A real worker that holds the second half of a model, with the test as its controller and as its predecessor."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from mohawk.channel.frames import step_limits
from mohawk.channel.profile import NodeContext
from mohawk.contract.admission import admit_from_listener
from mohawk.contract.messages import Purpose
from mohawk.contract.steps import NeighbourSilent, StepFailure, StepResult
from mohawk.controller.delivery import deliver_slices
from mohawk.controller.keys import KeyRelease
from mohawk.controller.member import Member
from mohawk.controller.tickets import TicketWriter, new_connection_id
from mohawk.errors import WorkerLostError
from mohawk.identity.names import Role
from mohawk.nouns.model import DataType
from mohawk.transport.dial import Target, dial
from mohawk.transport.link import Link
from tests.e2e.inside import Site
from tests.support.approvals import open_attestation
from tests.support.audit import Heard
from tests.support.models import build_model
from tests.support.orders import make_order
from tests.support.tickets import make_route

WIDTH = 128
ROW = WIDTH * 4
"""Bytes of one row of the tiny model, computed in float32."""


@dataclass
class Answers:
    """What a worker reports of the steps it was sent."""

    heard: list[StepResult | StepFailure] = field(default_factory=list)
    refused_tickets: int = 0
    happened: asyncio.Event = field(default_factory=asyncio.Event)

    def on_result(self, _worker: str, result: StepResult) -> None:
        self.heard.append(result)
        self.happened.set()

    def on_failure(self, _worker: str, failure: StepFailure) -> None:
        self.heard.append(failure)
        self.happened.set()

    def on_silence(self, _worker: str, silence: NeighbourSilent) -> None:
        raise AssertionError(silence)

    def on_refused_tickets(self, _worker: str, count: int) -> None:
        self.refused_tickets += count
        self.happened.set()

    def on_lost(self, worker: str, error: WorkerLostError) -> None:
        raise error

    async def next(self) -> StepResult | StepFailure:
        """The next answer to a step."""
        while not self.heard:
            await self._wait()
        return self.heard.pop(0)

    async def refusals(self, count: int) -> None:
        """Until so many tickets were refused in all, as heartbeats tell."""
        while self.refused_tickets < count:
            await self._wait()

    async def _wait(self) -> None:
        self.happened.clear()
        await asyncio.wait_for(self.happened.wait(), 5)


@dataclass
class SecondStage:
    """`writer` seals what the controller asks of this stage; `connect` dials it as the stage before it."""

    answers: Answers
    member: Member
    context: NodeContext
    target: Target
    writer: TicketWriter | None = None

    async def route(self, epoch: int = 1, plan: bytes = bytes(32)) -> TicketWriter:
        """Give it its place, under fresh ticket keys."""
        name = str(self.context.credentials.name)
        place = {"previous": name, "plan": plan, "connection_id": new_connection_id()}
        route = make_route(epoch, 1, run_id="slice_1_1", **place)
        await self.member.route(route)
        tensor = (WIDTH, DataType.FLOAT32)
        self.writer = TicketWriter(self.member.link.session, route, tensor)
        return self.writer

    async def connect(self) -> Link:
        link = await dial(self.context, self.target, Purpose.STEP)
        link.carry(step_limits(1 << 20), partial(admit_from_listener, Purpose.STEP))
        return link


@asynccontextmanager
async def second_stage(home: Path) -> AsyncIterator[SecondStage]:
    """Loaded, and not yet routed."""
    site = Site(home / "home")
    folder = site.seal(build_model(home / "model", "llama", layers=2), 2)
    part, keyring = folder.manifest.slices[1], folder.keyring()
    context = site.context(Role.CONTROLLER, "controller")
    model_key = site.provider.unwrap(keyring.model_key)
    keys = KeyRelease(keyring, model_key, folder.envelope, open_attestation(site.authority), Heard().record)
    async with site.workers(1) as (target,):
        await deliver_slices(context, target, folder, (part,), lambda done: None)
        answers = Answers()
        member = await Member.connect(context, target, answers)
        try:
            await member.load(
                make_order(folder.envelope, part.context.layers, folder.side_files()["config.json"]), (part,), keys
            )
            yield SecondStage(answers, member, context, target)
        finally:
            await member.close()
