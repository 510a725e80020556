"""Everything on one machine: authority, sealed model, workers as children, controller, API. Used by `up` and `demo`."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from mohawk.api.app import build_app
from mohawk.api.auth import ApiKeys, generate_key
from mohawk.api.repeats import Repeats
from mohawk.api.server import ApiServer, serve
from mohawk.api.sessions import Sessions
from mohawk.audit.events import NoteEvent
from mohawk.channel.profile import MIE_API
from mohawk.channel.stdlib_tls import api_server_context
from mohawk.cli.children import Child, start_worker
from mohawk.cli.places import Places
from mohawk.cli.preparation import PreparedModel, prepare_authority, prepare_model
from mohawk.cli.store import adopt_key, open_store
from mohawk.config import Settings
from mohawk.controller.layout import Layout
from mohawk.controller.service import Controller, ControllerOptions
from mohawk.controller.tasks import gather_or_cancel
from mohawk.errors import HostError, MohawkError, UnavailableError, UsageError
from mohawk.host.audit_trail import AuditTrail
from mohawk.host.authority import AuthorityFolder
from mohawk.host.files import make_private_folder, write_file
from mohawk.host.identity import NodeIdentity, read_api_key
from mohawk.host.keys import KeyProvider
from mohawk.identity.certificates import LEAF_MAXIMUM, Leaf
from mohawk.identity.names import Role
from mohawk.nouns.model import DataType
from mohawk.store.answers import AnswerTable
from mohawk.store.api_keys import ApiKeyTable
from mohawk.store.database import Database
from mohawk.store.sessions import SessionTable
from mohawk.transport.dial import Target

log = logging.getLogger(__name__)

Progress = Callable[[str, int, int], None]
"""Told what is being done, the bytes done, and the bytes in all."""
FIRST_PAUSE_SECONDS = 0.25
COURTESY_SECONDS = 3.0
"""A process that starts takes a core for four seconds. It waits until whoever took the lost one's place has computed
again what that one knew, and answers go on.
"""
LOOK_SECONDS = 0.25
LONGEST_PAUSE_SECONDS = 30.0
API_HOSTS = ("localhost", "127.0.0.1")


@dataclass(frozen=True, slots=True)
class DeploymentOptions:
    """`model` None: the demo model. `compute` None: the weights' own type. Ports of 0 are chosen by the system; without
    a `join_port` nobody can join. `spares`: workers that stand by. `password`: of the authority's keys.
    """

    model: Path | None
    workers: int
    provider: KeyProvider
    compute: DataType | None = None
    kv_tokens: int = 0
    api_port: int = 8443
    operator_port: int = 8004
    join_host: str = "127.0.0.1"
    join_port: int | None = None
    spares: int = 0
    layout: Layout = Layout.EVEN
    password: bytes | None = field(default=None, repr=False)


@dataclass(slots=True)
class Deployment:
    """One running machine. `start` in order, `stop` in reverse; `stop` also after a start that failed half-way."""

    settings: Settings
    options: DeploymentOptions
    report: Progress
    prepared: PreparedModel | None = None
    children: list[Child] = field(default_factory=list)
    keepers: list[asyncio.Task[None]] = field(default_factory=list)
    """Each starts its child again when it ends."""
    trail: AuditTrail | None = None
    controller: Controller | None = None
    store: Database | None = None
    api: Api | None = None
    operator_port: int = 0

    @property
    def places(self) -> Places:
        return Places(self.settings.home)

    async def prepare(self) -> AuthorityFolder:
        """Authority and sealed model. Blocking work runs in a thread. Raises MohawkError."""
        authority = prepare_authority(self.places, datetime.now(UTC), self.options.password)
        options, cancelled = self.options, threading.Event()

        def report(what: str, done: int, total: int) -> None:
            if cancelled.is_set():  # a thread cannot be cancelled from outside, and Ctrl-C must not wait for gigabytes
                raise UnavailableError("interrupted")
            self.report(what, done, total)

        try:
            self.prepared = await asyncio.to_thread(
                prepare_model, options.model, options.workers, self.places, authority, options.provider, report
            )
        finally:
            cancelled.set()
        return authority

    async def start_workers(self, authority: AuthorityFolder) -> None:
        """One child per stage, and those that stand by, side by side."""
        names = [f"worker-{number}" for number in range(1, self.options.workers + self.options.spares + 1)]
        self.children = await gather_or_cancel(self._start_worker(authority, name) for name in names)
        loop = asyncio.get_running_loop()
        self.keepers = [loop.create_task(self._keep_running(authority, place)) for place in range(len(names))]

    async def start_controller(self, authority: AuthorityFolder, ports: list[int] | None = None) -> None:
        """Bring the workers up and open the operators' port. `ports`: where to reach the workers, if not directly."""
        assert self.prepared is not None  # `prepare` came before
        ports = ports or [child.port for child in self.children]
        targets = tuple(
            Target("127.0.0.1", port, Role.WORKER, child.name) for child, port in zip(self.children, ports, strict=True)
        )
        credentials = authority.issue_node(Role.CONTROLLER, "controller", datetime.now(UTC), LEAF_MAXIMUM)
        self.trail = await asyncio.to_thread(AuditTrail, self.places.audit, str(credentials.name))
        options = ControllerOptions(
            credentials=credentials,
            authority=authority,
            folder=self.prepared.folder,
            provider=self.options.provider,
            targets=targets[: self.options.workers],
            spares=targets[self.options.workers :],
            layout=self.options.layout,
            compute=self.options.compute,
            kv_tokens=self.options.kv_tokens,
            maximum_requests=self.settings.max_concurrent_sessions,
            record=self.trail.record,
            note=self.trail.note,
            operator_port=self.options.operator_port,
            join_host=self.options.join_host,
            join_port=self.options.join_port,
            must_have_hardware=self.settings.tpm_attestation_required,
        )
        self.controller = Controller(options)
        self.operator_port = await self.controller.start(self.report)

    async def start_api(self, authority: AuthorityFolder) -> None:
        """Open the HTTPS API and write down how clients reach it."""
        assert self.controller is not None  # `start_controller` came before
        assert self.trail is not None
        self.store = open_store(self.places)
        adopt_key(self.store, self._api_key(), self.trail.record)
        leaf = authority.issue_api(API_HOSTS, datetime.now(UTC), LEAF_MAXIMUM)
        address = ("127.0.0.1", self.options.api_port)
        self.api = await open_api(self.controller, leaf, self.store, address, self.settings, self.trail.note)
        write_file(self.places.api_root, b"".join(root.pem for root in authority.roots()))
        write_file(self.places.api_url, self.base_url.encode("ascii"))

    @property
    def base_url(self) -> str:
        assert self.api is not None  # `start_api` came before
        return f"https://localhost:{self.api.port}/v1"

    async def stop(self) -> None:
        """API first, so that nobody waits for a controller that is gone; then controller, then workers."""
        for keeper in self.keepers:
            keeper.cancel()
        await asyncio.gather(*self.keepers, return_exceptions=True)
        if self.api is not None:
            await self.api.close()
            self.places.api_url.unlink(missing_ok=True)
        if self.controller is not None:
            await self.controller.stop()
        if self.store is not None:
            self.store.close()
        if self.trail is not None:
            self.trail.close()
        await asyncio.gather(*(child.stop() for child in self.children))

    async def _keep_running(self, authority: AuthorityFolder, place: int) -> None:
        """Start a worker that ended again, where it was: killed, or because it lost its controller and with it the
        right to its keys. One that ends again and again is left alone for longer each time.
        """
        pause = FIRST_PAUSE_SECONDS
        while True:
            child, since = self.children[place], time.monotonic()
            await child.process.wait()
            pause = FIRST_PAUSE_SECONDS if time.monotonic() - since > LONGEST_PAUSE_SECONDS else 2 * pause
            await child.stop()  # our end of its pipe
            log.warning("%s ended (%s); it is started again", child.name, child.process.returncode)
            await self._let_others_go_first()
            await self._restart(authority, place, pause)

    async def _let_others_go_first(self) -> None:
        """For as long as the chain can do without who ended."""
        for _ in range(int(COURTESY_SECONDS / LOOK_SECONDS)):
            if self._is_missed():
                return
            await asyncio.sleep(LOOK_SECONDS)

    def _is_missed(self) -> bool:
        """Whether a stage is lost, and nobody stands by who could take it."""
        if self.controller is None:
            return True
        cluster = self.controller.cluster
        stands_by = any(spare.ready is not None and not spare.is_gone for spare in cluster.spares)
        return any(member.is_gone for member in cluster.members) and not stands_by

    async def _restart(self, authority: AuthorityFolder, place: int, pause: float) -> None:
        while True:
            await asyncio.sleep(min(pause, LONGEST_PAUSE_SECONDS))
            child = self.children[place]
            try:
                self.children[place] = await self._start_worker(authority, child.name, child.port)
            except MohawkError as error:
                log.error("%s could not be started again: %s (%s)", child.name, error.message, error.hint)
                pause *= 2
            except OSError as error:  # no memory, or no file, is left: it may be better later
                log.error("%s could not be started again: %s", child.name, error.strerror)
                pause *= 2
            else:
                return

    async def _start_worker(self, authority: AuthorityFolder, name: str, port: int = 0) -> Child:
        credentials = authority.issue_node(Role.WORKER, name, datetime.now(UTC), LEAF_MAXIMUM)
        folder = self.places.worker(name)
        make_private_folder(folder)
        return await start_worker(NodeIdentity(credentials, authority.pins(), authority.policy()), folder, port)

    def _api_key(self) -> str:
        """This user's API key, made on first use."""
        path = self.places.api_key
        if not path.exists():
            make_private_folder(path.parent)
            write_file(path, generate_key().encode("ascii"))
        return read_api_key(path)


@dataclass(frozen=True, slots=True)
class Api:
    """An API that serves."""

    server: ApiServer
    sessions: Sessions

    @property
    def port(self) -> int:
        return self.server.port

    async def close(self) -> None:
        """The server first: answers under way still use their sessions."""
        await self.server.close()
        try:
            await self.sessions.close()
        except HostError as error:  # a full disk must not keep workers and their keys alive
            log.error("when sessions were used last is not in the store: %s", error.message)


async def open_api(
    controller: Controller, leaf: Leaf, store: Database, address: tuple[str, int], settings: Settings, note: NoteEvent
) -> Api:
    """Serve a controller's model over HTTPS at (host, port). Raises HostError when the port is taken."""
    profile = MIE_API.require_post_quantum() if settings.api_require_pq else MIE_API
    keys = ApiKeys(ApiKeyTable(store).find, _now)
    engine, most = controller.engine, settings.max_concurrent_sessions
    sessions = Sessions(SessionTable(store), most, engine.end_session, _now)
    app = build_app(engine, keys, sessions, Repeats(AnswerTable(store), _now), note)
    return Api(await serve(app, *address, api_server_context(leaf.chain, leaf.key, profile)), sessions)


def _now() -> datetime:
    return datetime.now(UTC)


def parse_compute(text: str) -> DataType | None:
    """`auto`, `float32` or `bfloat16`. Raises UsageError."""
    known = {"auto": None, "float32": DataType.FLOAT32, "bfloat16": DataType.BFLOAT16}
    if text not in known:
        raise UsageError("dtype is auto, float32 or bfloat16", field="dtype")
    return known[text]
