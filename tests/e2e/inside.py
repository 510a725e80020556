"""A cluster around the test's own process: real sealing, real sockets, real keys. The controller runs here; workers run in
processes of their own (`worker_processes`) or, where one is enough, here too (`Site.workers`).

Two workers in one process would build their stages at the same time, which transformers does not bear.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Collection, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from mohawk.audit.events import NoteEvent, RecordEvent
from mohawk.channel.profile import NodeContext
from mohawk.checkpoint.reader import read_card
from mohawk.controller.service import Controller, ControllerOptions
from mohawk.generation.session import GenerationRequest
from mohawk.host.authority import AuthorityFolder
from mohawk.host.files import make_private_folder
from mohawk.host.identity import write_node_identity
from mohawk.host.keys import KeyFile
from mohawk.host.revocations import Revocations
from mohawk.host.sealed_folder import SealedFolder
from mohawk.host.slice_store import SliceStore
from mohawk.identity.certificates import LEAF_LIFETIME
from mohawk.identity.credentials import NodeCredentials
from mohawk.identity.names import Role
from mohawk.nouns.model import DataType, SamplingParameters
from mohawk.nouns.plan import Plan
from mohawk.planning.placement import cut_evenly
from mohawk.publisher.sealing import Publication, seal_model
from mohawk.transport.dial import Target
from mohawk.worker.service import Worker, WorkerSettings
from tests.e2e.processes import Mohawk

QUOTA = 1 << 30
GREEDY = SamplingParameters(temperature=0.0, seed=0)


@dataclass
class Site:
    """An operator's machine: authority, model key, sealed models; all below `home`."""

    home: Path
    leaf: timedelta = LEAF_LIFETIME
    authority: AuthorityFolder = field(init=False)
    provider: KeyFile = field(init=False)
    nodes: list[Mohawk] = field(init=False, default_factory=list)
    """The worker processes of the last `worker_processes`."""

    def __post_init__(self) -> None:
        make_private_folder(self.home)
        self.authority = AuthorityFolder(self.home / "pki")
        self.authority.initialise("mesh.example", now())
        self.provider = KeyFile.create(self.home / "model.key")

    @property
    def processes(self) -> list[int]:
        return [node.pid for node in self.nodes]

    def seal(self, source: Path, slices: int) -> SealedFolder:
        target = self.home / f"{source.name}-{slices}"
        card = read_card(source)
        publication = Publication(source, card, 1, self.authority.publisher(), self.provider)
        seal_model(publication, cut_evenly(card, slices), target, lambda done, total: None)
        return SealedFolder.open(target, self.authority.pins())

    def credentials(self, role: Role, name: str) -> NodeCredentials:
        return self.authority.issue_node(role, name, now(), self.leaf)

    def context(self, role: Role, name: str) -> NodeContext:
        """A node that has just heard the newest deny-list."""
        context = NodeContext(self.credentials(role, name))
        context.standing.learn_deny_list(Revocations(self.authority).issue(now()), now())
        return context

    def worker(self, name: str) -> tuple[Worker, SliceStore]:
        store = SliceStore(self.home / "stores" / name, QUOTA)
        settings = WorkerSettings(self.credentials(Role.WORKER, name), self.authority.pins(), host="127.0.0.1", port=0)
        return Worker(settings, store), store

    def options(
        self,
        folder: SealedFolder,
        targets: tuple[Target, ...],
        compute: DataType | None = DataType.FLOAT32,
        plan: Plan | None = None,
    ) -> ControllerOptions:
        return ControllerOptions(
            credentials=self.credentials(Role.CONTROLLER, "controller"),
            authority=self.authority,
            folder=folder,
            provider=self.provider,
            targets=targets,
            plan=plan,
            compute=compute,
            kv_tokens=2048,
            operator_port=0,
        )

    @asynccontextmanager
    async def workers(self, count: int) -> AsyncIterator[tuple[Target, ...]]:
        """So many empty workers that listen."""
        async with AsyncExitStack() as stack:
            targets = []
            for number in range(1, count + 1):
                worker, store = self.worker(f"w{number}")
                stack.callback(store.close)
                stack.push_async_callback(worker.close)
                targets.append(Target("127.0.0.1", await worker.open(), Role.WORKER, f"w{number}"))
            yield tuple(targets)

    @contextmanager
    def worker_processes(
        self, count: int, *, quiet: bool = True, ended: Collection[int] = (0,)
    ) -> Iterator[tuple[Target, ...]]:
        """So many empty workers, each a process; controllers may come one after the other. `quiet`: nothing may be worth
        a line on their stderr. `ended`: the exit codes that they may have.
        """
        nodes = self.nodes = []
        targets = []
        try:
            for name in (f"w{number}" for number in range(1, count + 1)):
                folder = self.home / "identities" / name
                make_private_folder(folder.parent)
                write_node_identity(folder, self.credentials(Role.WORKER, name), self.authority.pins())
                arguments = ["--identity", folder, "--store", self.home / "stores" / name, "--port", "0", "--json"]
                arguments += ["--threads", "1"]  # all of them share this machine's cores
                nodes.append(Mohawk(self.home / name, "worker", "run", *map(str, arguments)))
            for number, node in enumerate(nodes, start=1):
                port = json.loads(node.read_until("\n"))["port"]
                targets.append(Target("127.0.0.1", port, Role.WORKER, f"w{number}"))
            yield tuple(targets)
            ends = [(node.stop(), node.errors.read_text()) for node in nodes]
            assert [(code in ended, text if quiet else "") for code, text in ends] == [(True, "")] * count
        finally:
            for node in nodes:
                node.kill()

    @asynccontextmanager
    async def serving(
        self,
        source: Path,
        targets: tuple[Target, ...],
        compute: DataType | None = DataType.FLOAT32,
        record: RecordEvent = lambda _event: None,
        note: NoteEvent = lambda _event, _count=1: None,
        plan: Plan | None = None,
    ) -> AsyncIterator[Controller]:
        """`source` shipped, opened, and served: sealed in as many slices as there are workers, or, with a `plan`, in
        one per layer.
        """
        slices = len(targets) if plan is None else plan.layers
        options = self.options(self.seal(source, slices), targets, compute, plan)
        controller = Controller(replace(options, record=record, note=note))
        try:
            await controller.start(lambda what, done, total: None)
            yield controller
        finally:
            await controller.stop()


async def generate(
    controller: Controller, prompt: list[int], new_tokens: int, sampling: SamplingParameters = GREEDY
) -> list[int]:
    """The token ids of one answer, with no end but its length."""
    request = GenerationRequest(tuple(prompt), new_tokens, sampling)
    return [delta.token async for delta in controller.engine.generate(request) if delta.token is not None]


async def generate_all(
    controller: Controller, prompts: list[list[int]], new_tokens: int, sampling: SamplingParameters = GREEDY
) -> list[list[int]]:
    """All at once."""
    return await asyncio.gather(*(generate(controller, prompt, new_tokens, sampling) for prompt in prompts))


def now() -> datetime:
    return datetime.now(UTC)
