"""What befalls a cluster, seeded: when, whom, and how long."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from random import Random

from tests.simulation.cluster import CONTROLLER, SimulatedController
from tests.simulation.worker import Worker

log = logging.getLogger(__name__)


class Kind(StrEnum):
    KILLED = "killed"
    FROZEN = "frozen"
    RESET = "link reset"
    CUT = "link cut"
    SLOW = "slow"
    STUCK = "compute stuck"
    FAILED = "step failed"
    DROPPED = "step dropped"
    DRAINED = "drained"
    """No fault, but a wish of the operator's: for good, so it is not among those that happen by chance."""


DETECTION = {
    Kind.KILLED: 0.1,
    Kind.FROZEN: 2.5,
    Kind.RESET: 0.1,
    Kind.CUT: 9.0,
    Kind.SLOW: 0.5,
    Kind.STUCK: 6.0,
    Kind.FAILED: 0.1,
    Kind.DROPPED: 6.0,
    Kind.DRAINED: 0.1,
}
"""Seconds until the controller knows, at the latest: a connection that ends tells at once, heartbeats within 0.75 s (2 s
while a worker loads), a step that does not come back after `Pace.patience`, a cable when TCP gives it up, and then a
handshake that nobody answers.
"""
PROMPT_DETECTION = DETECTION | {Kind.FROZEN: 1.2, Kind.CUT: 1.2, Kind.STUCK: 1.2, Kind.DROPPED: 1.2}
"""The same where spares stand by and steps are known: `Pace.haste`, and pulses between neighbours."""
REPAIR = 3.0
"""A spare that holds another stage loads first; then a new route, and prompts again."""
PROMPT_REPAIR = 1.0
"""By one that has at most to load, which takes half a second here."""
NEXT_STEP = 60.0
"""A step that fails is the worker's next one, which a broken chain may make wait."""
WEIGHTS = {
    Kind.KILLED: 3,
    Kind.FROZEN: 2,
    Kind.RESET: 2,
    Kind.CUT: 1,
    Kind.SLOW: 1,
    Kind.STUCK: 1,
    Kind.FAILED: 3,
    Kind.DROPPED: 2,
}


@dataclass(frozen=True, slots=True)
class Fault:
    """`until`: when the world is as it was; a worker that was killed is there again then."""

    at: float
    kind: Kind
    victim: str
    other: str
    until: float

    def can_explain(self, begin: float, end: float) -> bool:
        """Whether silence between these moments may be its doing."""
        return self.at <= end and begin <= self.until + DETECTION[self.kind] + REPAIR

    @property
    def seconds(self) -> float:
        """How long it may silence the cluster, at most."""
        return min(self.until - self.at, DETECTION[self.kind]) + REPAIR


@dataclass(frozen=True, slots=True)
class Blow:
    """A fault to be: after `wait` seconds, to the worker that holds this stage then."""

    wait: float
    kind: Kind
    stage: int
    lasting: float


class Misfortune:
    """What happened, and what still will."""

    def __init__(self, controller: SimulatedController, seed: int) -> None:
        self.faults: list[Fault] = []
        self._drains: list[asyncio.Task[str]] = []
        self._controller = controller
        self._random = Random(f"faults/{seed}")

    async def strike_now_and_then(self, every: float) -> None:
        """For ever, every so many seconds on average, mostly those in the chain."""
        while True:
            await asyncio.sleep(self._random.expovariate(1 / every))
            self._strike()

    async def strike(self, blows: Sequence[Blow]) -> None:
        """One after the other."""
        for blow in blows:
            await asyncio.sleep(blow.wait)
            chain = [member.name for member in self._controller.cluster.members]
            other = chain[blow.stage + 1] if blow.stage + 1 < len(chain) else CONTROLLER
            self._inflict(blow.kind, chain[blow.stage], other, blow.lasting)

    def relent(self) -> None:
        """The world is whole again."""
        for name in self._names():
            worker = self._controller.worker(name)
            worker.thaw()
            worker.station.slowness = 1.0
            self._controller.revive(name)

    def _names(self) -> list[str]:
        return [target.name for target in self._controller.targets]

    def _strike(self) -> None:
        random = self._random
        chain = [member.name for member in self._controller.cluster.members]
        victim = random.choice(chain if random.random() < 0.8 else self._names())
        kind = random.choices(list(WEIGHTS), list(WEIGHTS.values()))[0]
        lasting = random.choice([0.3, 3.0, 20.0]) * random.uniform(0.5, 1.5)
        self._inflict(kind, victim, self._neighbour(victim, chain), lasting)

    def _inflict(self, kind: Kind, victim: str, other: str, lasting: float) -> None:
        now = asyncio.get_running_loop().time()
        until = now + (NEXT_STEP if kind in (Kind.FAILED, Kind.DROPPED) else lasting)
        fault = Fault(now, kind, victim, other, until)
        worker = self._controller.worker(victim)
        if not worker.is_dead and not worker.is_frozen:
            self.faults.append(fault)
            log.info("%s: %s, %s, for %.1f s", kind, victim, other, lasting)
            self._apply(fault, worker, lasting)

    def _neighbour(self, victim: str, chain: Sequence[str]) -> str:
        """The controller, or who comes next in the chain."""
        if victim not in chain or victim == chain[-1] or self._random.random() < 0.3:
            return CONTROLLER
        return chain[chain.index(victim) + 1]

    def _apply(self, fault: Fault, worker: Worker, lasting: float) -> None:
        loop, controller, station = asyncio.get_running_loop(), self._controller, worker.station
        match fault.kind:
            case Kind.KILLED:
                worker.kill()
                loop.call_later(lasting, controller.revive, fault.victim)
            case Kind.FROZEN:
                worker.freeze()
                loop.call_later(lasting, worker.thaw)
            case Kind.RESET:
                for link in controller.network.links_between(fault.victim, fault.other):
                    link.vanish()
            case Kind.CUT:
                controller.network.cut(fault.victim, fault.other, fault.until)
            case Kind.SLOW:
                station.slowness = 10.0
                loop.call_later(lasting, setattr, station, "slowness", 1.0)
            case Kind.STUCK:
                station.stuck_until = fault.until
            case Kind.FAILED:
                station.fails_next = True
            case Kind.DROPPED:
                worker.drops_next = True
            case Kind.DRAINED:
                self._drains.append(loop.create_task(controller.failover.drain(fault.victim)))


def allowance(faults: Sequence[Fault], begin: float, end: float) -> float:
    """Seconds of silence that these faults may have brought about between two moments."""
    return sum(fault.seconds for fault in faults if fault.can_explain(begin, end))
