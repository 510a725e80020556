"""Keeping the chain whole: whoever is lost is replaced by a spare, and every sequence goes on from its tokens.

Lost is a worker whose connection ended, or that answers no heartbeat, or holds steps back, or has become much slower
than the others. A spare holds a stage ready, with its own sealed slices and keys: then a repair is a new route, and no
more. One that holds another stage, or none, loads the lost one first. Without a spare every request hears why, at once,
and the first worker that comes back, or another that was named, heals the chain.

Rules, and what each stops:
- A worker takes a stage only by the gate that every key goes through: a repair is no way round attestation.
- After a repair no stage remembers a sequence: what a lost step left half-written is never attended to.
- What workers say of themselves decides who is replaced, never what is believed: a liar gains a replacement, its own or
  its neighbour's.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable

from mohawk.audit.events import AuditEvent, EventKind
from mohawk.controller.blame import Blame
from mohawk.controller.cluster import Cluster, StageUnroutedError
from mohawk.controller.engine import Engine
from mohawk.controller.member import Member, Quiet
from mohawk.controller.pipeline import NeighbourSilentError, Pipeline, StepOverdueError
from mohawk.controller.speed import WATCH_SECONDS, Speed
from mohawk.controller.standby import TEND_SECONDS, Hooks, Standby
from mohawk.controller.tasks import until_next
from mohawk.errors import ChainBrokenError, MohawkError, NotFoundError, UnavailableError, WorkerLostError
from mohawk.nouns.model import LayerRange
from mohawk.transport.dial import Target

log = logging.getLogger(__name__)

RETRY_SECONDS = 0.25
HOPELESS_SECONDS = 1.1
"""For so long requests wait for a chain that nobody stands by for: whom a busy machine kept from answering is back by
then. With the silence that came before it is the two seconds within which they are told.
"""
REPAIRS_IN_VAIN = 3
"""Repairs in a row after which no step came back: then requests are told, though each route could be set."""


class Failover:
    """`targets`: every worker there is, in the chain or not. `turn` is held while the chain is being changed."""

    def __init__(
        self, cluster: Cluster, engine: Engine, pipeline: Pipeline, targets: tuple[Target, ...], hooks: Hooks
    ) -> None:
        self.turn = asyncio.Lock()
        self._cluster = cluster
        self._engine = engine
        self._pipeline = pipeline
        self._hooks = hooks
        self._blame = Blame(cluster)
        self._standby = Standby(cluster, targets, hooks, self.turn)
        self._repair: asyncio.Task[None] | None = None
        self._is_broken = False
        """Since the last route was set."""
        self._is_filling = False
        """Somebody is about to take a stage that was lost, until the route is set or cannot be."""
        self._has_turn = False
        """A repair is at work, and does not wait for who else changes the chain."""
        self._tasks: list[asyncio.Task[None]] = []
        self._in_vain = 0
        self._speed = Speed(cluster)

    def start(self) -> None:
        """From now on the chain is kept whole."""
        loop = asyncio.get_running_loop()
        self._engine.repair = self.on_broken
        self._engine.can_replace = self._standby.can_replace
        self._standby.start()
        self._tasks = [loop.create_task(self._tend()), loop.create_task(self._watch_speed())]

    async def close(self) -> None:
        tasks = [*self._tasks, *([self._repair] if self._repair is not None else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._standby.close()

    @property
    def is_repairing(self) -> bool:
        return self._repair is not None and not self._repair.done()

    def on_broken(self, worker: str | None, error: MohawkError) -> None:
        """The engine holds already."""
        if isinstance(error, NeighbourSilentError) and not self._blame.hear(error) and self.is_repairing:
            return  # of a route that is being replaced
        self._blame.look_again()
        log.warning("the chain is broken%s: %s", f" at {worker}" if worker else "", error.message)
        self._is_broken = True
        if worker is None:
            self._blame_overdue(error)
        if not self.is_repairing:  # else it is the same loss, heard twice
            self._in_vain = 0 if self._pipeline.take_progress() else self._in_vain + 1
            if self._in_vain >= REPAIRS_IN_VAIN:
                self._engine.give_up(error)
                self._leave_named(worker, error)
            self._repair = asyncio.get_running_loop().create_task(self._mend_until_whole(error))

    async def drain(self, name: str) -> str:
        """Move a worker's stage to a spare, between two steps; what was done, in a sentence. No request fails.

        Raises NotFoundError, UnavailableError: there is no spare.
        """
        self._standby.make_way(name)
        async with self.turn:
            if name in self._standby.drained:
                return f"{name} is drained already"
            self._standby.drained.add(name)
            try:
                return await self._drain(name)
            except MohawkError:
                self._standby.drained.discard(name)
                raise

    def take_back(self, name: str) -> str:
        """A worker that was drained may stand by again. Raises NotFoundError."""
        if name not in self._standby.drained:
            raise NotFoundError("no worker of this name was drained", field="name")
        self._standby.drained.discard(name)
        return f"{name} stands by again as soon as it is there"

    # ---- repair -----------------------------------------------------------------------------------------------------

    async def _mend_until_whole(self, error: MohawkError) -> None:
        """Its outermost edge: a repair that goes wrong in itself is told, and tried again."""
        despair = asyncio.get_running_loop().call_later(HOPELESS_SECONDS, self._despair, error)
        try:
            await self._try_to_mend(error)
        finally:
            despair.cancel()

    def _despair(self, error: MohawkError) -> None:
        """Requests hear it, and the repair goes on."""
        if not self._is_filling and not (self._standby.has_ready and self._has_turn):
            lost = next((member for member in self._cluster.members if member.is_gone), None)
            self._engine.give_up(error if lost is None else _nobody_for(lost))

    async def _try_to_mend(self, error: MohawkError) -> None:
        begin = time.monotonic()
        while True:
            is_whole = not any(member.is_gone for member in self._cluster.members)
            self._standby.make_way(at_any_cost=is_whole)  # then a new route is all that is needed
            try:
                async with self.turn:
                    self._has_turn = True
                    await self._mend(error)
                log.info("the chain is whole again after %.2f s", time.monotonic() - begin)
                return
            except MohawkError as failure:
                log.warning("the repair failed: %s", failure.message)
                error = failure
            except Exception:
                log.exception("the repair failed")
                error = UnavailableError("internal error while the chain was repaired")
            finally:
                self._is_filling = self._has_turn = False
            self._in_vain += 1
            if self._in_vain >= REPAIRS_IN_VAIN:
                self._engine.give_up(error)
            if not self._knows_better():
                await asyncio.sleep(RETRY_SECONDS)

    def _knows_better(self) -> bool:
        """The attempt failed because somebody was gone of whom it was not known yet, and a spare is there."""
        return self._standby.has_ready and any(member.is_gone for member in self._cluster.members)

    async def _mend(self, error: MohawkError) -> None:
        cluster = self._cluster
        cluster.leave_chain()
        for member in (await self._blame.judge())[: len(cluster.spares)]:
            self._standby.leave(member, error)
        while (stage := next((i for i, member in enumerate(cluster.members) if member.is_gone), None)) is not None:
            await self._fill(stage, error)
        self._is_broken = False
        try:
            await cluster.reroute(self._pipeline, fresh=True)
        except StageUnroutedError as unrouted:
            members, stage = cluster.members, unrouted.stage
            at_fault = members[stage] if unrouted.is_alone else self._blame.in_the_way(stage)
            self._standby.leave(at_fault, unrouted)
            raise
        if self._is_broken:
            raise ChainBrokenError("the chain broke again while it was repaired")
        self._hooks.rekey()
        self._speed.forget()
        self._engine.resume()

    async def _fill(self, stage: int, error: MohawkError) -> None:
        """Somebody else for a stage that is lost; without anybody, requests hear why, and it is waited for."""
        cluster = self._cluster
        lost, layers = cluster.members[stage], cluster.plan.stages[stage].layers
        if (spare := self._standby.take(layers, self._blame.is_cut_off)) is None:
            self._engine.give_up(error if isinstance(error, WorkerLostError) else _nobody_for(lost))
            self._standby.came.clear()
            await self._standby.came.wait()
            return
        self._is_filling = True
        if spare.layers != layers:
            try:
                await self._hooks.load(spare, layers)
            except MohawkError as failure:
                self._is_filling = False
                self._standby.leave(spare, failure)
                return
        log.warning("%s takes over %s from %s", spare.name, layers.slice_id, lost.name)
        self._note_move(spare, layers, lost.name)
        spare.events = self._pipeline
        self._standby.fail(lost.name)
        cluster.replace(stage, spare)
        await lost.close()

    def _blame_overdue(self, error: MohawkError) -> None:
        """Nobody is gone, yet no step comes back: whoever holds it back goes, if somebody could take its place."""
        if isinstance(error, StepOverdueError) and self._standby.can_replace():
            self._standby.leave(self._blame.find_holdup(error.number), error)

    def _leave_named(self, worker: str | None, error: MohawkError) -> None:
        """One at which the chain breaks again and again, though it is there."""
        member = next((one for one in self._cluster.members if one.name == worker), None)
        if member is not None and not member.is_gone and self._standby.has_ready:
            self._standby.leave(member, error)

    def _note_move(self, to: Member, layers: LayerRange, lost: str) -> None:
        self._hooks.note(AuditEvent(EventKind.STAGE_MOVED, str(to.node), {"run": layers.slice_id, "from": lost}))

    async def _drain(self, name: str) -> str:
        cluster = self._cluster
        stage = next((index for index, member in enumerate(cluster.members) if member.name == name), None)
        if stage is None:
            spare = next((one for one in cluster.spares if one.name == name), None)
            if spare is None and not self._standby.knows(name):
                raise NotFoundError("no worker of this name is here", hint="see `mohawk status`", field="name")
            if spare is None:
                return f"{name} is not here, and is left alone when it comes"
            cluster.spares.remove(spare)
            await spare.close()
            return f"{name} stood by, and was let go"
        old, layers = cluster.members[stage], cluster.plan.stages[stage].layers
        spare = self._standby.take(layers, self._blame.is_cut_off)
        if spare is None:
            raise UnavailableError(f"no spare could take the stage of {name}", hint="start one with --spare")
        try:
            if spare.layers != layers:
                await self._hooks.load(spare, layers)
            await self._engine.between_steps(lambda: self.rebuild(lambda: cluster.replace(stage, spare)))
        except MohawkError:
            if spare in cluster.members:
                await self.let_go(old)
            elif spare.layers == layers and not spare.is_gone:
                self._standby.give_back(spare)  # a chain that broke meanwhile may need it
            else:
                await self.let_go(spare)
            raise
        self._note_move(spare, layers, name)
        await self.let_go(old)
        return f"{spare.name} took over {layers.slice_id} from {name}"

    async def rebuild(self, change: Callable[[], None]) -> None:
        """Between two steps: `change` who is in the chain; every sequence then goes on from its tokens."""
        self._cluster.leave_chain()
        change()
        for member in self._cluster.members:
            member.events = self._pipeline
        self._is_broken = False
        try:
            await self._cluster.reroute(self._pipeline, fresh=True)
            if self._is_broken:
                raise ChainBrokenError("the chain broke while its route was set")
        except MohawkError as error:
            self._engine.on_broken(None, error)
            raise
        self._hooks.rekey()
        self._speed.forget()
        self._engine.resume()

    async def let_go(self, member: Member) -> None:
        """Whoever had a stage and has none: its process begins anew, without a key, and is found again."""
        member.events = Quiet()
        await member.close()

    # ---- watching ---------------------------------------------------------------------------------------------------

    async def _tend(self) -> None:
        """Look for whoever is not there, and have those who stand by hold a stage ready."""
        while True:
            await asyncio.sleep(until_next(TEND_SECONDS, time.monotonic()))
            try:
                self._standby.find_missing()
                self._standby.make_ready()
                if self._pipeline.take_progress():
                    self._in_vain = 0
                    self._standby.forget_failures()
            except Exception:  # the outermost edge: a fault of ours must not be the end of all repairs
                log.exception("tending the spares failed")

    async def _watch_speed(self) -> None:
        while True:
            await asyncio.sleep(until_next(WATCH_SECONDS, time.monotonic()))
            slow = self._speed.find_slow()
            if slow is not None and self._cluster.spares and not self.turn.locked():
                log.warning("%s has become slow, and is replaced", slow.name)
                self._standby.fail(slow.name)
                try:
                    await self.drain(slow.name)
                except MohawkError as error:
                    log.warning("%s could not be replaced: %s", slow.name, error.message)
                self._standby.drained.discard(slow.name)


def _nobody_for(lost: Member) -> WorkerLostError:
    return WorkerLostError(f"worker {lost.name} is gone, and no spare is there", hint="start it again")
