"""A whole cluster: the real controller's engine, pipeline, cluster and failover, and workers that are simulated."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from types import SimpleNamespace
from unittest.mock import patch

from mohawk.controller import cluster as cluster_room
from mohawk.controller import member as member_room
from mohawk.controller.cluster import Cluster
from mohawk.controller.engine import Engine
from mohawk.controller.failover import Failover
from mohawk.controller.loading import ServingOptions
from mohawk.controller.member import Member
from mohawk.controller.pipeline import Pipeline
from mohawk.controller.standby import Hooks
from mohawk.errors import MohawkError
from mohawk.generation.batcher import QUEUE_FACTOR, Batcher
from mohawk.identity.names import Role
from mohawk.nouns.model import DataType, LayerRange
from mohawk.nouns.plan import Plan, PlannedStage
from mohawk.transport.dial import Target
from mohawk.worker import chain as chain_room
from mohawk.worker import neighbours as neighbours_room
from tests.simulation import clock
from tests.simulation.network import Network, Process, Weather
from tests.simulation.stage import END, VOCABULARY, letter
from tests.simulation.worker import Load, Loaded, Machine, PlainTickets, SimulatedWatch, Worker, admit_step

CONTROLLER = "controller"
LOAD_PATIENCE_SECONDS = 30.0
READY_SECONDS = 10.0
"""Then every spare is found, and holds a stage."""


@dataclass(frozen=True, slots=True)
class Shape:
    """How large a cluster is. `workers`: of the chain (`stages`) and those that stand by; `depth`: steps under way;
    `step_seconds`: a stage's time for a step of no rows.
    """

    workers: int
    stages: int
    sequences: int
    kv_tokens: int
    depth: int
    step_seconds: float = 0.0003

    @property
    def token_budget(self) -> int:
        return 3 * self.sequences

    @property
    def maximum_requests(self) -> int:
        """As much as may run or wait, and no more."""
        return (1 + QUEUE_FACTOR) * self.sequences


class _Manifest:
    """A model of one slice for each stage."""

    def find_run(self, layers: LayerRange) -> tuple[SimpleNamespace, ...]:
        return (SimpleNamespace(digest=layers.slice_id, sealed_bytes=1000),)

    def encode(self) -> bytes:
        return b"manifest"


class SimulatedCluster(Cluster):
    """Tickets are not sealed: what they protect is not the subject."""

    def _writer(self, *_whose: object) -> PlainTickets:  # type: ignore[override]
        return PlainTickets()


class _Words:
    """In place of `Prompting`: each token is a letter."""

    model_id = "toy"
    created = 0
    context_length = 1 << 20
    vocabulary_size = VOCABULARY
    end_of_sequence = frozenset({END})

    def decode(self, tokens: list[int]) -> str:
        return "".join(map(letter, tokens))

    def plain_text(self, token: int) -> str:
        return letter(token)

    def close(self) -> None:
        """Nothing is open."""


class SimulatedController:
    """As `controller.service.Controller` puts its parts together."""

    def __init__(self, shape: Shape) -> None:
        self.shape = shape
        self.network = Network(Weather())
        self.process = Process(CONTROLLER, Role.CONTROLLER)
        self.network.processes[CONTROLLER] = self.process
        self.machine = Machine(shape.stages, shape.kv_tokens, shape.step_seconds)
        self.refusals: list[str] = []
        names = [f"worker-{number}" for number in range(shape.workers)]
        for name in names:
            self.start_worker(name)
        stages = [PlannedStage(name, LayerRange(layer, layer)) for layer, name in enumerate(names[: shape.stages])]
        context = SimpleNamespace(process=self.process, credentials=SimpleNamespace(name=self.process.node))
        folder = SimpleNamespace(manifest=_Manifest(), side_files=lambda: {"config.json": b"{}"})
        options = ServingOptions(DataType.FLOAT32, shape.kv_tokens, shape.token_budget, 8)
        self.targets = tuple(Target("127.0.0.1", 8003, Role.WORKER, name) for name in names)
        self.cluster = SimulatedCluster(context, folder, options, Plan(tuple(stages)))  # type: ignore[arg-type]
        clock = asyncio.get_running_loop().time
        self.pipeline = Pipeline(self.cluster.send, note=lambda *_event: None, clock=clock)
        self.batcher = Batcher(shape.token_budget, shape.kv_tokens, shape.sequences, salt=b"a salt", depth=shape.depth)
        self.engine = Engine(_Words(), self.batcher, self.pipeline, shape.maximum_requests)  # type: ignore[arg-type]
        hooks = Hooks(self._load, lambda _member: None, self._rekey, lambda _event, _count=1: None)
        self.failover = Failover(self.cluster, self.engine, self.pipeline, self.targets, hooks)

    async def start(self) -> None:
        await self.cluster.connect(self.targets, self.pipeline)
        for member, stage in zip(self.cluster.members, self.cluster.plan.stages, strict=True):
            await self._load(member, stage.layers)
        await self.cluster.reroute(self.pipeline)
        self._rekey()
        self.engine.start()
        self.failover.start()

    async def stop(self) -> None:
        await self.failover.close()
        await self.engine.stop()
        await self.cluster.close()

    def start_worker(self, name: str) -> None:
        """A fresh process under this name."""
        self.network.processes[name] = Worker(name, self.network, self.machine, self.refusals, self._restart)

    def worker(self, name: str) -> Worker:
        found = self.network.processes[name]
        assert isinstance(found, Worker)
        return found

    @property
    def chain(self) -> list[Worker]:
        return [self.worker(member.name) for member in self.cluster.members]

    @property
    def is_whole(self) -> bool:
        """Every stage is there, and requests are taken."""
        try:
            self.engine.health()
        except MohawkError:
            return False
        return not any(member.is_gone for member in self.cluster.members)

    def _restart(self, name: str) -> None:
        asyncio.get_running_loop().call_later(1.0, self.revive, name)

    def revive(self, name: str) -> None:
        if self.worker(name).is_dead:
            self.start_worker(name)

    async def _load(self, member: Member, layers: LayerRange) -> None:
        member.layers = None
        await member.link.request(Load(layers), Loaded, LOAD_PATIENCE_SECONDS)  # type: ignore[arg-type]
        member.layers = layers

    def _rekey(self) -> None:
        self.pipeline.rekey(self.cluster.epoch, self.cluster.tickets, self.cluster.members[-1].name)


@contextmanager
def simulated(network: Network) -> Iterator[None]:
    """Whoever dials, dials into this network; what a stage is sent is not decoded."""
    with ExitStack() as stack:
        for room in (cluster_room, member_room):
            stack.enter_context(patch.object(room, "dial", network.dial))
        stack.enter_context(patch.object(chain_room, "admit_from_dialler", admit_step))
        stack.enter_context(patch.object(neighbours_room, "Watch", SimulatedWatch))
        yield


def perform(shape: Shape, story: Callable[[SimulatedController], Awaitable[None]]) -> None:
    """A cluster in virtual time, its spares ready, and what happens to it."""

    async def main() -> None:
        controller = SimulatedController(shape)
        with simulated(controller.network):
            await controller.start()
            await asyncio.sleep(READY_SECONDS)
            try:
                await story(controller)
            finally:
                await controller.stop()

    clock.run(main())
