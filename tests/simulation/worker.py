"""A worker: the real chain of `mohawk.worker`, around a toy stage that takes its time.

It does as `worker.control` does: one controller at a time, and whoever loses it drops its stage and begins anew.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from functools import partial
from types import SimpleNamespace
from typing import Any

from mohawk.channel.replay import refused
from mohawk.contract.messages import Heartbeat, HeartbeatReply, Purpose, Route, RouteReady, WorkerState
from mohawk.contract.steps import Pulse, StagePart, Step
from mohawk.errors import MohawkError, UnavailableError
from mohawk.identity.names import Role
from mohawk.nouns.model import LayerRange
from mohawk.transport.dial import Target
from mohawk.worker.chain import NEXT_STAGE_SECONDS, Chain, hear_pulse
from mohawk.worker.neighbours import Watch
from mohawk.worker.runner import Outcome
from tests.simulation.network import Network, Process, SimulatedLink
from tests.simulation.stage import Rows, ToyStage

NEVER = float("inf")


@dataclass(frozen=True, slots=True)
class Machine:
    """What a worker is made of. Seconds, and tokens of KV; `layers`: of the whole model."""

    layers: int
    kv_tokens: int
    step_seconds: float
    row_seconds: float = 0.00001
    load_seconds: float = 0.5


@dataclass(frozen=True, slots=True)
class Load:
    """In place of the exchange of manifest, key request and grant."""

    layers: LayerRange


@dataclass(frozen=True, slots=True)
class Loaded:
    layers: LayerRange


class Station:
    """In place of `worker.station.Station`: the stage, and the one thread that computes, in the order of the calls."""

    bytes_in = bytes_out = 0

    def __init__(self, machine: Machine, process: Process, refusals: list[str]) -> None:
        self.state = WorkerState.EMPTY
        self.stage: ToyStage | None = None
        self.slowness = 1.0
        self.stuck_until = 0.0
        self.fails_next = False
        self._machine = machine
        self._process = process
        self._refusals = refusals
        """Orders that broke the rules of the pool."""
        self._free_at = 0.0

    def load(self, layers: LayerRange) -> None:
        machine = self._machine
        is_last = layers.last + 1 == machine.layers
        self.stage = ToyStage(machine.kv_tokens, is_first=layers.first == 0, is_last=is_last)
        self.state = WorkerState.READY

    def expect(self, _body_length: int) -> None:
        """Tickets are not sealed here."""

    def admit(self, part: StagePart, _body_length: int) -> StagePart:
        return part

    def run(self, part: StagePart, rows: Rows) -> asyncio.Future[Outcome]:
        loop = asyncio.get_running_loop()
        done: asyncio.Future[Outcome] = loop.create_future()
        seconds = (self._machine.step_seconds + part.rows * self._machine.row_seconds) * self.slowness
        self._free_at = max(self._free_at, self.stuck_until, loop.time()) + seconds
        if self._free_at < NEVER:
            compute = partial(self._compute, part, rows, seconds, done)
            loop.call_at(self._free_at, self._process.do, compute)
        return done

    async def forget(self) -> None:
        """After whatever is still computing."""
        loop = asyncio.get_running_loop()
        await asyncio.sleep(max(0.0, self._free_at - loop.time()))
        if self.stage is not None:
            self.stage.clear()

    def _compute(self, part: StagePart, rows: Rows, seconds: float, done: asyncio.Future[Outcome]) -> None:
        if self.fails_next:
            self.fails_next = False
            done.set_exception(UnavailableError("a kernel failed"))
            return
        assert self.stage is not None
        try:
            out, tokens = self.stage.run(part, rows)
        except MohawkError as error:
            self._refusals.append(error.message)
            done.set_exception(error)
        else:
            done.set_result(Outcome(out, tokens, int(seconds * 1e6)))  # type: ignore[arg-type]


class Worker(Process):
    """One worker process. Another of the same name may follow it."""

    def __init__(
        self, name: str, network: Network, machine: Machine, refusals: list[str], restart: Callable[[str], None]
    ) -> None:
        super().__init__(name, Role.WORKER)
        self.station = Station(machine, self, refusals)
        self.drops_next = False
        """The next step's ticket does not open."""
        self._network = network
        self._machine = machine
        self._restart = restart
        self._control: SimulatedLink | None = None
        self._work: set[asyncio.Task[None]] = set()
        self.chain = Chain(self.station, self._dial_next, lambda *_event: None)  # type: ignore[arg-type]

    def accept(self, link: SimulatedLink) -> None:
        if link.purpose is Purpose.STEP:
            self.chain.authorize(link.peer)  # type: ignore[arg-type]
            self.chain.accept(link)  # type: ignore[arg-type]
            return
        if self._control is not None:
            raise UnavailableError("another controller is here")
        self._control = link
        link.on_message, link.on_closed = self._on_message, self._on_control_lost
        self.chain.report = link.send  # type: ignore[assignment]

    def kill(self) -> None:
        super().kill()
        self.chain.report = None
        for task in self._work:
            task.cancel()

    def open(self, ticket: StagePart, *_bound_to: object) -> StagePart:
        """In place of `TicketReader.open`."""
        if self.drops_next:
            self.drops_next = False
            raise refused()
        return ticket

    async def _dial_next(self, route: Route) -> SimulatedLink:
        assert route.next is not None
        target = Target(route.next.host, route.next.port, Role.WORKER, route.next.name)
        context = SimpleNamespace(process=self)
        return await self._network.dial(context, target, Purpose.STEP, NEXT_STAGE_SECONDS, on_message=hear_pulse)

    def _on_message(self, link: SimulatedLink, message: object, _body: object) -> None:
        match message:
            case Heartbeat():
                chain = self.chain
                told = (chain.refused_tickets, chain.last_step, chain.compute_microseconds)
                link.send(HeartbeatReply(message.number, self.station.state, 0, *told))
            case Load():
                self._begin(self._load(link, message.layers))
            case Route():
                self._begin(self._set_route(link, message))

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._work.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._work.discard(task)
        if not task.cancelled():
            task.result()

    async def _load(self, link: SimulatedLink, layers: LayerRange) -> None:
        self.chain.close()
        self.station.state = WorkerState.LOADING
        await asyncio.sleep(self._machine.load_seconds)
        self.station.load(layers)
        self.do(lambda: answer(link, Loaded(layers)))

    async def _set_route(self, link: SimulatedLink, route: Route) -> None:
        if route.fresh:
            self.chain.close()
            await self.station.forget()
        try:
            session = await self.chain.set_route(route, self)  # type: ignore[arg-type]
        except MohawkError as error:
            refusal = error
            self.do(lambda: link.refuse(refusal))
        else:
            self.do(lambda: answer(link, RouteReady(route.epoch, session)))

    def _on_control_lost(self, _link: SimulatedLink, _error: MohawkError | None) -> None:
        """A process that had a key ends with the connection that brought it."""
        if self.station.state is WorkerState.EMPTY:
            self._control = self.chain.report = None
            return
        self.kill()
        self._restart(self.name)


class SimulatedWatch(Watch):
    """Whoever is frozen neither sends a pulse nor counts any."""

    def beat(self) -> None:
        self._link.owner.do(super().beat)  # type: ignore[attr-defined]


class PlainTickets:
    """In place of a `TicketWriter`: a ticket is the part itself."""

    @staticmethod
    def seal(part: StagePart) -> StagePart:
        return part


def admit_step(_purpose: Purpose, step: Step | Pulse, _body_length: int) -> Step | Pulse:
    """In place of `admit_from_dialler`: nothing was encoded."""
    return step


def answer(link: SimulatedLink, message: object) -> None:
    if not link.is_closing:
        link.send(message)
