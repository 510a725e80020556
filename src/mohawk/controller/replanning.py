"""Another plan under running streams: stages are loaded while the old plan serves, then the route is changed
(docs/adr/0017, docs/spec/planning.md 5).

Rules, and what each stops:
- Keys go through the same gate as at the start: replanning is no way round attestation.
- Until every new stage has passed its self-test nothing of the old plan is touched: whoever fails, or lies about its
  memory, fails alone (D18).
- What workers say of themselves decides who gets which layers, and nothing else; `may_hold_ends` holds here too.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass, replace
from typing import Protocol

from mohawk.audit.events import AuditEvent, EventKind, NoteEvent
from mohawk.contract.operating import PlannedWorker, Replanned
from mohawk.controller.cluster import Cluster
from mohawk.controller.engine import Engine
from mohawk.controller.failover import Failover
from mohawk.controller.layout import PLANNED_ROWS, describe_probe
from mohawk.controller.member import Member
from mohawk.controller.probing import probe_worker
from mohawk.errors import ChainBrokenError, MohawkError, UnavailableError, WorkerLostError
from mohawk.nouns.model import LayerRange
from mohawk.nouns.plan import Plan
from mohawk.planning.cost import CostModel, WorkerProfile
from mohawk.planning.measured import predict
from mohawk.planning.replanning import replan

log = logging.getLogger(__name__)


class LoadStage(Protocol):
    """Has a worker hold these layers, through the gate of every key. Raises MohawkError."""

    def __call__(self, member: Member, layers: LayerRange, *, beside: bool) -> Awaitable[None]: ...


@dataclass(frozen=True, slots=True)
class Means:
    """What the controller does for a new plan. `reroute`: the plan that serves, once more, between two steps; `note`:
    the audit log.
    """

    load: LoadStage
    reroute: Callable[[], Awaitable[None]]
    note: NoteEvent


@dataclass(frozen=True, slots=True)
class _Survey:
    """`profiles`: whoever may get a stage; `unmeasured`: spares that may not, because they were not measured."""

    profiles: tuple[WorkerProfile, ...]
    unmeasured: tuple[str, ...]


class Replanner:
    """`model`: what serving takes; `may_hold_ends`: as at the start."""

    def __init__(
        self,
        cluster: Cluster,
        engine: Engine,
        failover: Failover,
        model: CostModel,
        may_hold_ends: Collection[str],
        means: Means,
    ) -> None:
        self._cluster = cluster
        self._engine = engine
        self._failover = failover
        self._model = model
        self._may_hold_ends = may_hold_ends
        self._means = means
        self._is_under_way = False

    async def replan(self, *, only_show: bool) -> Replanned:
        """Measure everybody who is here, and move to the plan that suits them, if it is worth it. No request fails.

        Raises ChainBrokenError: the chain is being repaired; UnavailableError, RemoteError: it is being replanned, a
        worker of the chain could not be measured, or a stage not loaded. The old plan goes on then.
        """
        if self._is_under_way:
            raise UnavailableError("the model is being laid out anew already", hint="see `mohawk status`")
        self._is_under_way = True
        try:
            async with self._failover.turn:
                return await self._replan(only_show=only_show)
        finally:
            self._is_under_way = False

    async def _replan(self, *, only_show: bool) -> Replanned:
        old = self._cluster.plan
        self._require_whole(old)
        ready = {spare.name: spare.layers for spare in self._cluster.spares if spare.layers is not None}
        survey = await self._survey()
        new = replan(self._model, survey.profiles, old, ready)
        load_seconds = hold_seconds = 0.0
        is_moving = new != old and not only_show
        if is_moving:
            load_seconds, hold_seconds = await self._move(old, new)
        return Replanned(
            rows=self._model.load.rows,
            old=self._describe(survey, old),
            new=self._describe(survey, new),
            moved=is_moving,
            load_milliseconds=int(load_seconds * 1000),
            hold_milliseconds=int(hold_seconds * 1000),
            unmeasured=survey.unmeasured,
        )

    async def _survey(self) -> _Survey:
        """All at once, while they serve. Each is heard to its end: what nobody waits for ends a connection."""
        cluster = self._cluster
        members = [member for member in cluster.everyone if not member.is_gone]
        order = describe_probe(cluster, (PLANNED_ROWS,))
        results = await asyncio.gather(*(probe_worker(member, order) for member in members), return_exceptions=True)
        profiles, unmeasured = [], []
        for member, result in zip(members, results, strict=True):
            if isinstance(result, WorkerProfile):
                profiles.append(self._adjust(member, result))
            elif isinstance(result, MohawkError) and member in cluster.spares:
                log.warning("%s is left out of the new plan: %s", member.name, result.message)
                unmeasured.append(member.name)
            else:
                raise result
        return _Survey(tuple(profiles), tuple(unmeasured))

    def _adjust(self, member: Member, profile: WorkerProfile) -> WorkerProfile:
        """A spare gives up what it holds ready before it takes another stage."""
        given_up = member.ready.weight_bytes if member in self._cluster.spares and member.ready is not None else 0
        may_hold_ends = not self._may_hold_ends or member.name in self._may_hold_ends
        return replace(profile, memory=profile.memory + given_up, may_hold_ends=may_hold_ends)

    async def _move(self, old: Plan, new: Plan) -> tuple[float, float]:
        """Seconds of loading, and of holding."""
        begin = time.monotonic()
        held: list[float] = []
        try:
            await self._load(new)
            loaded = time.monotonic()
            await self._engine.between_steps(lambda: self._switch(new, held))
        except MohawkError:
            await self._forget_loaded()
            raise
        self._note_moves(old, new)
        await self._let_go(old, new)
        return loaded - begin, held[0]

    async def _load(self, new: Plan) -> None:
        """All new stages at once, each to its end: a worker that is told something else while it loads refuses it."""
        here = {member.name: member for member in self._cluster.everyone}
        changes = [
            (here[stage.worker], stage.layers) for stage in new.stages if here[stage.worker].layers != stage.layers
        ]
        results = await asyncio.gather(*(self._load_one(*change) for change in changes), return_exceptions=True)
        for result in results:
            if isinstance(result, BaseException):
                raise result

    async def _load_one(self, member: Member, layers: LayerRange) -> None:
        is_spare = member in self._cluster.spares
        try:
            await self._means.load(member, layers, beside=not is_spare)
        except MohawkError as error:
            if is_spare:  # what it holds is unknown now: it begins anew
                await self._failover.let_go(member)
            error.hint = error.hint or f"{member.name} could not load {layers.slice_id}; the old plan goes on"
            raise

    async def _switch(self, new: Plan, held: list[float]) -> None:
        """No step is under way. Whoever was lost meanwhile would break the new chain: then the old one stays."""
        self._require_whole(new)
        begin = time.monotonic()
        await self._failover.rebuild(lambda: self._cluster.adopt(new))
        held.append(time.monotonic() - begin)

    async def _forget_loaded(self) -> None:
        """A route of the old plan has every worker overwrite what it holds beside its stage. A chain that is broken
        gets one when it is repaired.
        """
        try:
            await self._engine.between_steps(self._means.reroute)
        except MohawkError as error:
            log.warning("the old plan is routed anew by the next repair: %s", error.message)

    async def _let_go(self, old: Plan, new: Plan) -> None:
        """Workers without a stage now, and spares that stand by for one that is no more, come back empty: then they
        hold ready what may be needed.
        """
        cluster = self._cluster
        runs = [stage.layers for stage in new.stages]
        stale = [
            spare
            for spare in cluster.spares
            if spare.name in old.workers or (spare.layers is not None and spare.layers not in runs)
        ]
        cluster.spares = [spare for spare in cluster.spares if spare not in stale]
        await asyncio.gather(*(self._failover.let_go(spare) for spare in stale))

    def _note_moves(self, old: Plan, new: Plan) -> None:
        nodes = {member.name: str(member.node) for member in self._cluster.members}
        for stage in new.stages:
            if stage not in old.stages:
                before = next(one.worker for one in old.stages if stage.layers.first in one.layers)
                details = {"run": stage.layers.slice_id, "from": before}
                self._means.note(AuditEvent(EventKind.STAGE_MOVED, nodes[stage.worker], details))

    def _require_whole(self, plan: Plan) -> None:
        """Raises ChainBrokenError, WorkerLostError."""
        if self._failover.is_repairing:
            raise ChainBrokenError("the chain is being repaired", hint="try again when `mohawk status` shows it whole")
        here = {member.name for member in self._cluster.everyone if not member.is_gone}
        for worker in plan.workers:
            if worker not in here:
                raise WorkerLostError(f"worker {worker} is gone", hint="the old plan goes on")

    def _describe(self, survey: _Survey, plan: Plan) -> tuple[PlannedWorker, ...]:
        stages = predict(self._model, survey.profiles, plan).stages
        return tuple(
            PlannedWorker(stage.worker, stage.layers.slice_id, int(cost.busy * 1e9))
            for stage, cost in zip(plan.stages, stages, strict=True)
        )
