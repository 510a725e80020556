"""Workers that are not in the chain: found again when they were lost, and held ready for whoever is lost next.

Rules, and what each stops:
- A worker that fails again and again is left alone for longer each time (`planning.breaker`). What is our own fault is
  not counted against it, or it would stay away long after we are well again.
- Nobody holds two places of a chain: one that was lost and came back before anybody took its stage takes that one.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from mohawk.audit.events import NoteEvent
from mohawk.controller.attestation import is_ours
from mohawk.controller.cluster import Cluster
from mohawk.controller.member import Member, Quiet
from mohawk.errors import MohawkError, UnavailableError, WorkerLostError
from mohawk.nouns.model import LayerRange
from mohawk.planning.breaker import Breaker
from mohawk.planning.repair import Spare, choose_readiness, choose_replacement
from mohawk.transport.dial import Target

log = logging.getLogger(__name__)

TEND_SECONDS = 0.5
"""How often those who are not there are looked for."""
STEADY_SECONDS = 60.0
"""Of serving, after which a worker's earlier failures are forgotten."""
OWN_FAULT_SECONDS = 5.0
"""After a fault of this controller's own, such as keys that it cannot get, nobody new is asked to hold a stage for so
long: each attempt may cost a login, or a second of a processor.
"""

LoadStage = Callable[[Member, LayerRange], Awaitable[None]]
"""Has a worker hold these layers, through the gate of every key. Raises MohawkError (`is_ours`: the fault is)."""


@dataclass(frozen=True, slots=True)
class Hooks:
    """What the controller does for a repair. `welcome`: to a worker that has just connected; `rekey`: after each
    route; `note`: the audit log.
    """

    load: LoadStage
    welcome: Callable[[Member], None]
    rekey: Callable[[], None]
    note: NoteEvent


class Standby:
    """`targets`: every worker there is, in the chain or not. `turn` is held while the chain is being changed."""

    def __init__(self, cluster: Cluster, targets: tuple[Target, ...], hooks: Hooks, turn: asyncio.Lock) -> None:
        self.drained: set[str] = set()
        """Who is not asked until an operator takes it back."""
        self.came = asyncio.Event()
        """Somebody who can take a stage is there."""
        self._cluster = cluster
        self._targets = {target.name: target for target in targets}
        self._hooks = hooks
        self._turn = turn
        self._breakers = {target.name: Breaker() for target in targets}
        self._greeting: dict[str, asyncio.Task[None]] = {}
        self._greets_from = 0.0
        """Until then whoever is not there is not looked for."""
        self._loading: Member | None = None
        """Who is being made ready, under `turn`."""
        self._load: asyncio.Task[None] | None = None
        self._steady: Counter[str] = Counter()
        """For how many looks each worker has served without a failure."""

    def start(self) -> None:
        for member in self._cluster.everyone:
            member.can_replace = self.can_replace

    async def close(self) -> None:
        tasks = [*self._greeting.values(), *([self._load] if self._load is not None else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def knows(self, name: str) -> bool:
        return name in self._targets

    @property
    def has_ready(self) -> bool:
        """Whether somebody stands by, and is not only about to."""
        return any(not spare.is_gone and spare is not self._loading for spare in self._cluster.spares)

    def can_replace(self) -> bool:
        """Whether somebody could take a stage at once."""
        if any(member.is_preparing for member in self._cluster.members):
            return False  # a step that waits for a turn of its worker is long in coming, not lost
        return self.has_ready

    def take(self, layers: LayerRange, is_cut_off: Callable[[str, int], bool]) -> Member | None:
        """Out of those who stand by, for the stage of these layers: `is_cut_off` of it by name and stage only if nobody
        else is there.
        """
        cluster = self._cluster
        cluster.spares = [spare for spare in cluster.spares if not spare.is_gone]
        elsewhere = {stage.worker for stage in cluster.plan.stages if stage.layers != layers}
        ready = (spare for spare in cluster.spares if spare is not self._loading)
        free = [Spare(spare.name, spare.layers) for spare in ready if spare.name not in elsewhere]
        stage = next(index for index, stage in enumerate(cluster.plan.stages) if stage.layers == layers)
        reached = [spare for spare in free if not is_cut_off(spare.name, stage)]
        chosen = choose_replacement(layers, reached or free)
        if chosen is None:
            return None
        member = next(spare for spare in cluster.spares if spare.name == chosen.name)
        cluster.spares.remove(member)
        return member

    def give_back(self, member: Member) -> None:
        """One that was taken, holds its stage, and was not needed."""
        self._cluster.spares.append(member)
        self.came.set()

    def leave(self, member: Member, error: MohawkError) -> None:
        """Its connection is ended: it begins anew, and may come back."""
        log.warning("%s is left: %s", member.name, error.message)
        if is_ours(error):
            self._greets_from = time.monotonic() + OWN_FAULT_SECONDS
        elif member not in self._cluster.members:  # whose failure counts when its stage goes to another
            self.fail(member.name)
        member.events = Quiet()
        member.link.abort(WorkerLostError(f"worker {member.name} was left: {error.message}"))

    def fail(self, name: str) -> None:
        self._breakers[name].fail(time.monotonic())
        self._steady[name] = 0

    def forget_failures(self) -> None:
        """Steps come back: whoever serves for long does what it is there for. To be called every TEND_SECONDS."""
        for member in self._cluster.members:
            self._steady[member.name] += 1
            if self._steady[member.name] * TEND_SECONDS >= STEADY_SECONDS:
                self._breakers[member.name].succeed()

    def find_missing(self) -> None:
        cluster, now = self._cluster, time.monotonic()
        if now < self._greets_from:
            return
        cluster.spares = [spare for spare in cluster.spares if not spare.is_gone]
        here = {member.name for member in cluster.everyone if not member.is_gone} | self.drained
        self._greeting = {name: task for name, task in self._greeting.items() if not task.done()}
        for name, target in self._targets.items():
            if name not in here and name not in self._greeting and self._breakers[name].allows(now):
                self._greeting[name] = asyncio.get_running_loop().create_task(self._greet(target))

    def make_ready(self) -> None:
        """Have one of those who stand by hold a stage, beside what else is done. Never while a repair needs them."""
        is_busy = self._turn.locked() or (self._load is not None and not self._load.done())
        if not is_busy and self._find_idle() is not None:
            self._load = asyncio.get_running_loop().create_task(self._make_ready())

    def make_way(self, name: str = "", *, at_any_cost: bool = False) -> None:
        """Whoever needs `turn` waits for no load that somebody else who is ready makes needless, nor for that of the
        worker `name`: a worker that loads for ever keeps no repair from being done, and nobody from being drained.
        `at_any_cost`: for no load at all.
        """
        if self._loading is None or self._load is None:
            return
        if at_any_cost or self.has_ready or self._loading.name == name:
            self._load.cancel()

    def _find_idle(self) -> Member | None:
        """Who stands by and could hold a stage, in a chain that is whole."""
        if any(member.is_gone for member in self._cluster.members):
            return None
        return next((spare for spare in self._cluster.spares if spare.layers is None and not spare.is_gone), None)

    async def _make_ready(self) -> None:
        async with self._turn:
            idle = self._find_idle()
            if idle is None:  # whoever had the turn before needed it
                return
            self._loading = idle
            try:
                await self._hooks.load(idle, self._choose_stage())
            except MohawkError as error:
                self.leave(idle, error)
            except asyncio.CancelledError:
                await idle.close()  # what it holds of a stage is unknown: it begins anew
                raise
            except Exception:  # the outermost edge: a fault of ours must not be the end of all repairs
                log.exception("preparing a spare failed")
                await idle.close()
            finally:
                self._loading = None
                self._cluster.spares = [
                    spare for spare in self._cluster.spares if spare is not idle or not spare.is_gone
                ]
        self.came.set()

    def _choose_stage(self) -> LayerRange:
        """The one that a spare is needed for most."""
        cluster = self._cluster
        held = [Spare(spare.name, spare.layers) for spare in cluster.spares if spare.layers is not None]
        stages = [
            (stage.layers, sum(part.sealed_bytes for part in run))
            for stage, run in zip(cluster.plan.stages, cluster.runs, strict=True)
        ]
        return choose_readiness(stages, held)

    async def _greet(self, target: Target) -> None:
        """One that does not answer is no failure: it may be starting."""
        try:
            member = await Member.connect(self._cluster.context, target, Quiet())
        except UnavailableError:
            self._breakers[target.name].release()
            return
        except MohawkError as error:  # it is not who it should be, or revoked
            log.info("%s is not taken: %s", target.name, error.message)
            self.fail(target.name)
            return
        self._breakers[target.name].release()  # what it does from here on is what counts
        member.can_replace = self.can_replace
        self._hooks.welcome(member)
        self._cluster.spares.append(member)
        if any(one.is_gone for one in self._cluster.members):
            self.make_way()  # a repair may be waiting for a load that this one makes needless
        log.info("%s stands by", member.name)
        self.came.set()
