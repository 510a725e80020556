"""Bringing a plan to life: every worker holds its slice, passed its self-test, and knows its place in the chain."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

from mohawk.channel.frames import PARSER_MAXIMUM, FrameKind, step_limits
from mohawk.channel.profile import NodeContext
from mohawk.contract.admission import admit_from_listener
from mohawk.contract.evidence import SOFTWARE
from mohawk.contract.messages import ElementType, Hop, LoadStage, Purpose, Route
from mohawk.contract.steps import Step
from mohawk.controller.delivery import deliver_slice
from mohawk.controller.keys import KeyRelease
from mohawk.controller.member import Member, StepEvents, ignore
from mohawk.controller.tasks import gather_or_cancel
from mohawk.controller.tickets import TicketWriter, new_connection_id, plan_digest
from mohawk.errors import UnavailableError, UsageError, WorkerLostError
from mohawk.host.sealed_folder import SealedFolder
from mohawk.nouns.model import DataType
from mohawk.transport.dial import Target, dial
from mohawk.transport.link import Link

log = logging.getLogger(__name__)

START_PATIENCE_SECONDS = 60.0
RETRY_SECONDS = 0.25
Progress = Callable[[str, int, int], None]
"""Told a worker's name, the bytes of its slice that it holds, and the slice's size."""
Waiting = Callable[[Target], None]
"""Told which worker does not answer yet."""


@dataclass(frozen=True, slots=True)
class ServingOptions:
    """How the stages compute. `kv_tokens`: tokens that each stage's KV pool holds; `token_budget`: most rows in a step;
    `hidden_size`: width of the activations between stages.
    """

    compute: DataType
    kv_tokens: int
    token_budget: int
    hidden_size: int


def check_token_budget(hidden_size: int, compute: DataType, wanted: int) -> int:
    """At most `wanted` rows, fewer when a step's tensor would exceed what a frame holds."""
    return max(1, min(wanted, PARSER_MAXIMUM[FrameKind.STEP] // (hidden_size * compute.size)))


class Cluster:
    """The workers of one plan, connected and routed. `send` puts a step on the first worker's connection."""

    def __init__(self, context: NodeContext, folder: SealedFolder, options: ServingOptions) -> None:
        self.context = context
        self.folder = folder
        self.options = options
        self.epoch = 0
        self.tickets: tuple[TicketWriter, ...] = ()
        """One writer per stage, for the epoch that is routed."""
        self.members: list[Member] = []
        self._steps: Link | None = None

    async def connect(self, targets: tuple[Target, ...], events: StepEvents, waiting: Waiting | None = None) -> None:
        """Dial one worker per slice, in order; with `waiting`, for as long as it takes until each answers. Raises
        MohawkError; `close` then leaves those that did.
        """
        slices = self.folder.manifest.slices
        if len(targets) != len(slices):
            raise UsageError(
                f"this model is sealed in {len(slices)} slices, for as many workers, not {len(targets)}",
                hint=f"give {len(slices)} workers, or seal it again with --slices {len(targets)}",
            )
        for target in targets:
            self.members.append(await self._connect(target, events, waiting))

    async def load(self, keys: KeyRelease, progress: Progress) -> None:
        """Every connected worker gets its slice and its key, opens it and tests it; all at once. Raises MohawkError."""
        await gather_or_cancel(self._load(index, keys, progress) for index in range(len(self.members)))

    async def reconnect(self) -> None:
        """New control connections, all at once; the stages stay. `reroute` must follow. Raises MohawkError."""
        await gather_or_cancel(member.reconnect(self.context) for member in self.members)

    async def reroute(self, events: StepEvents) -> None:
        """Give every worker its place in the chain, under the next epoch and with fresh ticket keys. Only while no step
        is under way. Raises MohawkError: the chain is broken then.
        """
        self.epoch += 1
        old = self._steps
        if old is not None:
            old.on_closed = ignore
        plan = plan_digest(self.folder.manifest, [str(member.link.peer.name) for member in self.members])
        routes = [self._route(index, plan) for index in range(len(self.members))]
        for member, route in reversed(list(zip(self.members, routes, strict=True))):
            await member.route(route)  # a stage must know its predecessor before that one dials it
        self.tickets = tuple(map(self._writer, self.members, routes))
        self._steps = await self._dial_first(events)
        if old is not None:
            old.close()

    def send(self, step: Step) -> None:
        """Raises UnavailableError when the first worker's connection is gone."""
        assert self._steps is not None  # set by `reroute`
        self._steps.send(step)

    async def close(self) -> None:
        """Leave all workers: each drops its stage."""
        if self._steps is not None:
            self._steps.on_closed = ignore
            self._steps.abort()
        await asyncio.gather(*(member.close() for member in self.members))

    async def _connect(self, target: Target, events: StepEvents, waiting: Waiting | None) -> Member:
        """A worker that is not there yet may be starting: one whose last controller left begins anew."""
        deadline = time.monotonic() + START_PATIENCE_SECONDS
        while True:
            try:
                return await Member.connect(self.context, target, events)
            except UnavailableError as error:
                if waiting is not None:
                    waiting(target)
                elif time.monotonic() > deadline:
                    raise
                log.info("waiting for %s: %s", target.name, error.message)
                await asyncio.sleep(RETRY_SECONDS)

    async def _load(self, index: int, keys: KeyRelease, progress: Progress) -> None:
        member, part = self.members[index], self.folder.manifest.slices[index]
        member.sent_bytes = await deliver_slice(
            self.context, member.target, self.folder, part, lambda done: progress(member.name, done, part.sealed_bytes)
        )
        order = LoadStage(
            manifest=self.folder.envelope,
            slice_id=part.slice_id,
            config=self.folder.side_files()["config.json"],
            compute=ElementType[self.options.compute.value],
            kv_tokens=self.options.kv_tokens,
            token_budget=self.options.token_budget,
            epoch=self.epoch + 1,
        )
        await member.load(order, part, keys)

    def _writer(self, member: Member, route: Route) -> TicketWriter:
        evidence = member.approval.evidence if member.approval is not None else SOFTWARE
        return TicketWriter(member.link.session, route, (self.options.hidden_size, self.options.compute), evidence)

    def _route(self, index: int, plan: bytes) -> Route:
        before = self.context.credentials.name if index == 0 else self.members[index - 1].link.peer.name
        if index + 1 == len(self.members):
            following = None
        else:
            target = self.members[index + 1].target
            following = Hop(target.name, target.host, target.port)
        return Route(self.epoch, following, str(before), plan, index, new_connection_id())

    async def _dial_first(self, events: StepEvents) -> Link:
        """The connection that steps leave on. Without it the plan is as lost as without the worker."""
        target = self.members[0].target
        link = await dial(self.context, target, Purpose.STEP)
        link.on_closed = lambda _link, _error: events.on_lost(
            WorkerLostError(f"worker {target.name} takes no more steps")
        )
        link.carry(step_limits(0), lambda header, length: admit_from_listener(Purpose.STEP, header, length))
        return link
