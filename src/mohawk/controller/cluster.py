"""Bringing a plan to life: every worker holds its stage, passed its self-test, and knows its place in the chain."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping

from mohawk.artifact.sealed_slice import Run
from mohawk.channel.frames import PARSER_MAXIMUM, FrameKind, step_limits
from mohawk.channel.profile import NodeContext
from mohawk.contract.admission import admit_from_listener
from mohawk.contract.evidence import SOFTWARE
from mohawk.contract.messages import Hop, Purpose, Route
from mohawk.contract.steps import Step
from mohawk.controller.keys import KeyRelease
from mohawk.controller.loading import Progress, ServingOptions, StageLoader
from mohawk.controller.member import Member, StepEvents, ignore
from mohawk.controller.tasks import gather_or_cancel
from mohawk.controller.tickets import TicketWriter, new_connection_id, plan_digest
from mohawk.errors import ChainBrokenError, MohawkError, UnavailableError, UsageError, WorkerLostError
from mohawk.host.sealed_folder import SealedFolder
from mohawk.nouns.model import DataType
from mohawk.nouns.plan import Plan, PlannedStage
from mohawk.transport.dial import Target, dial
from mohawk.transport.link import Link

log = logging.getLogger(__name__)

START_PATIENCE_SECONDS = 60.0
RETRY_SECONDS = 0.25
Waiting = Callable[[Target], None]
"""Told which worker does not answer yet."""


def check_token_budget(hidden_size: int, compute: DataType, wanted: int) -> int:
    """At most `wanted` rows, fewer when a step's tensor would exceed what a frame holds."""
    return max(1, min(wanted, PARSER_MAXIMUM[FrameKind.STEP] // (hidden_size * compute.size)))


class StageUnroutedError(ChainBrokenError):
    """A stage could not take its place in the chain: it is gone, or does not reach the next one. `stage`: its
    number; `is_alone`: no other can be at fault.
    """

    def __init__(self, stage: int, cause: MohawkError, *, is_alone: bool = False) -> None:
        super().__init__(f"stage {stage + 1} has no place in the chain: {cause.message}", hint=cause.hint)
        self.stage = stage
        self.is_alone = is_alone


class Cluster:
    """The workers of one plan, connected and routed, and those that stand by. `send` puts a step on the first worker's
    connection.
    """

    def __init__(self, context: NodeContext, folder: SealedFolder, options: ServingOptions, plan: Plan) -> None:
        self.context = context
        self.folder = folder
        self.options = options
        self.plan = plan
        self.loader = StageLoader(context, folder, options, folder.side_files()["config.json"])
        self.epoch = 0
        self.tickets: tuple[TicketWriter, ...] = ()
        """One writer per stage, for the epoch that is routed."""
        self.members: list[Member] = []
        """The chain, in order."""
        self.spares: list[Member] = []
        """Workers without a place in it."""
        self._steps: Link | None = None

    @property
    def runs(self) -> tuple[Run, ...]:
        """Each stage's slices. Raises ArtifactError when a stage of the plan is no run of the model's slices."""
        return tuple(self.folder.manifest.find_run(stage.layers) for stage in self.plan.stages)

    async def connect(self, targets: tuple[Target, ...], events: StepEvents, waiting: Waiting | None = None) -> None:
        """Dial the plan's workers, in order; with `waiting`, for as long as it takes until each answers. Raises
        MohawkError; `close` then leaves those that did.
        """
        named = {target.name: target for target in targets}
        for worker in self.plan.workers:
            self.members.append(await self._connect(find_target(named, worker), events, waiting))

    async def lay_out(self, plan: Plan) -> None:
        """Before anything is loaded: this plan instead, of workers that are connected. Those without a stage are let
        go; who keeps the chain whole finds them again.
        """
        members = {member.name: member for member in self.members}
        self.members = [members.pop(worker) for worker in plan.workers]
        self.plan = plan
        await asyncio.gather(*(member.close() for member in members.values()))

    async def load(self, keys: KeyRelease, progress: Progress) -> None:
        """Every connected worker gets its slices and their keys, opens and tests them; all at once. Raises
        MohawkError.
        """
        await gather_or_cancel(
            self.loader.load(member, stage.layers, self.epoch + 1, keys, progress)
            for member, stage in zip(self.members, self.plan.stages, strict=True)
        )

    @property
    def machines(self) -> int:
        """That the chain's stages run on, by their addresses: those that share one take turns anyway, and one step of
        all sequences takes less time there than two of half of them each.
        """
        return len({member.target.host for member in self.members})

    @property
    def everyone(self) -> tuple[Member, ...]:
        return (*self.members, *self.spares)

    async def reconnect(self) -> None:
        """New control connections, all at once; the stages stay. `reroute` must follow. Raises MohawkError.

        Nobody's is broken off because another's fails, half of it done: that would cost it its stage. A spare that
        cannot have a new one goes.
        """
        everyone = self.everyone
        results = await asyncio.gather(*(one.reconnect(self.context) for one in everyone), return_exceptions=True)
        failed = [(one, result) for one, result in zip(everyone, results, strict=True) if result is not None]
        for member, error in reversed(failed):
            if not (isinstance(error, MohawkError) and member in self.spares):
                raise error
            self.spares.remove(member)
            member.link.abort(WorkerLostError(f"worker {member.name} could not be reached anew"))

    def replace(self, stage: int, member: Member) -> None:
        """`member`, which holds this stage's layers, takes its place. `reroute` must follow."""
        self.members[stage] = member
        stages = list(self.plan.stages)
        stages[stage] = PlannedStage(member.name, stages[stage].layers)
        self.plan = Plan(tuple(stages))

    def adopt(self, plan: Plan) -> None:
        """Another plan, of members and spares that hold their stages of it, if only beside others. Whoever has none is
        a spare then. `reroute` must follow.
        """
        everyone = {member.name: member for member in self.everyone}
        self.members = [everyone.pop(worker) for worker in plan.workers]
        self.spares = list(everyone.values())
        self.plan = plan

    async def reroute(self, events: StepEvents, *, fresh: bool = False) -> None:
        """Give every worker its place in the chain, under the next epoch and with fresh ticket keys. Only while no step
        is under way. `fresh`: the stages forget all sequences. Raises MohawkError: the chain is broken then;
        StageUnroutedError where a stage is known to be in the way.
        """
        self.epoch += 1
        old = self._steps
        if old is not None:
            old.on_closed = ignore
        names = [str(member.link.peer.name) for member in self.members]
        plan = plan_digest(self.folder.manifest, list(zip(names, self.runs, strict=True)))
        routes = [self._route(index, plan, fresh=fresh) for index in range(len(self.members))]
        for member, route in reversed(list(zip(self.members, routes, strict=True))):
            try:
                await member.route(route)  # a stage must know its predecessor before that one dials it
            except MohawkError as error:
                raise StageUnroutedError(route.stage, error) from error
        self.tickets = tuple(map(self._writer, self.members, routes))
        try:
            self._steps = await self._dial_first(events)
        except MohawkError as error:
            raise StageUnroutedError(0, error, is_alone=True) from error
        if old is not None:
            old.close()

    def send(self, step: Step) -> None:
        """Raises UnavailableError when the first worker's connection is gone."""
        assert self._steps is not None  # set by `reroute`
        self._steps.send(step)

    def leave_chain(self) -> None:
        """Before a stage is replaced: its worker ends the connections of the old one, and that is no loss. `reroute`
        must follow.
        """
        if self._steps is not None:
            self._steps.on_closed = ignore
            self._steps.abort()

    async def close(self) -> None:
        """Leave all workers: each drops its stage."""
        self.leave_chain()
        await asyncio.gather(*(member.close() for member in self.everyone))

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

    def _writer(self, member: Member, route: Route) -> TicketWriter:
        evidence = member.approval.evidence if member.approval is not None else SOFTWARE
        return TicketWriter(member.link.session, route, (self.options.hidden_size, self.options.compute), evidence)

    def _route(self, index: int, plan: bytes, *, fresh: bool) -> Route:
        before = self.context.credentials.name if index == 0 else self.members[index - 1].link.peer.name
        if index + 1 == len(self.members):
            following = None
        else:
            target = self.members[index + 1].target
            following = Hop(target.name, target.host, target.port)
        run_id = self.plan.stages[index].layers.slice_id
        return Route(self.epoch, following, str(before), plan, index, new_connection_id(), run_id, fresh)

    async def _dial_first(self, events: StepEvents) -> Link:
        """The connection that steps leave on. Without it the plan is as lost as without the worker."""
        target = self.members[0].target
        link = await dial(self.context, target, Purpose.STEP)
        link.on_closed = lambda _link, _error: events.on_lost(
            target.name, WorkerLostError(f"worker {target.name} takes no more steps")
        )
        link.carry(step_limits(0), lambda header, length: admit_from_listener(Purpose.STEP, header, length))
        return link


def find_target(targets: Mapping[str, Target], worker: str) -> Target:
    """Where a worker of the plan is. Raises UsageError when nobody said."""
    if worker not in targets:
        raise UsageError(f"the plan gives a stage to {worker}, which is not among the workers", field="worker")
    return targets[worker]
