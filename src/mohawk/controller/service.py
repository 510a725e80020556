"""A controller: the only place where its parts meet."""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import dataclass
from datetime import UTC, datetime

from mohawk.artifact.keyring import Keyring
from mohawk.artifact.manifest import Manifest
from mohawk.audit.events import AuditEvent, EventKind, NoteEvent, RecordEvent
from mohawk.channel.profile import NodeContext
from mohawk.checkpoint.settings import TextSettings, read_settings
from mohawk.contract.messages import StatusReply
from mohawk.contract.operating import DrainWorker, Replan, Replanned
from mohawk.contract.trust import TrustUpdate
from mohawk.controller.changes import ChangeDesk
from mohawk.controller.cluster import Cluster, Waiting, check_token_budget
from mohawk.controller.engine import Engine
from mohawk.controller.failover import Failover
from mohawk.controller.gate import ReleaseGate
from mohawk.controller.join import JoinDesk
from mohawk.controller.keys import KeyRelease
from mohawk.controller.layout import Layout, LayoutChoice, choose_layout, describe_workload
from mohawk.controller.loading import Progress, ServingOptions
from mohawk.controller.member import Member
from mohawk.controller.operators import OperatorService
from mohawk.controller.pipeline import Pipeline
from mohawk.controller.prompting import Prompting
from mohawk.controller.replanning import Means, Replanner
from mohawk.controller.standby import Hooks
from mohawk.controller.status import describe_cluster
from mohawk.controller.trust import TrustKeeper
from mohawk.crypto.primitives import random_bytes
from mohawk.errors import ChainBrokenError, HostError, MohawkError, UsageError
from mohawk.generation.batcher import Batcher
from mohawk.host.authority import AuthorityFolder
from mohawk.host.change_file import ChangeFile
from mohawk.host.keys import KeyProvider, open_model_key
from mohawk.host.memory import SecretBytes
from mohawk.host.revocations import Revocations
from mohawk.host.sealed_folder import SealedFolder
from mohawk.identity.changes import ChangeKind
from mohawk.identity.credentials import NodeCredentials
from mohawk.identity.names import NodeName
from mohawk.nouns.model import DataType, LayerRange
from mohawk.nouns.plan import Plan
from mohawk.planning.placement import place_evenly
from mohawk.transport.dial import Target
from mohawk.transport.joining import JoinListener, listen_for_joins
from mohawk.transport.listen import Listener, listen
from mohawk.transport.refusals import RefusalLog

log = logging.getLogger(__name__)

MAXIMUM_KV_TOKENS = 32768
CONTEXTS_HELD = 8
"""By default the KV pool holds eight full contexts, within the line above."""
TOKEN_BUDGET = 512
MAXIMUM_SEQUENCES = 256
SALT_SIZE = 32
KEYS_IN_MEMORY = "In memory it is locked, and there only while stages load."
"""By construction: `host.memory.SecretBytes` holds no key that it could not lock."""


@dataclass(frozen=True, slots=True)
class ControllerOptions:
    """What a controller is started with.

    `authority`: issues deny-lists and renews certificates. `record`, `note`: the audit log. `targets`: the workers of
    the chain; `spares`: those that stand by to take the stage of one that is lost. `plan` None: as `layout` says.
    `may_hold_ends`: workers that may have the first and the last stage; none: all. `compute` None: the weights' own
    type; `kv_tokens` 0: a sensible number; `maximum_requests` are held at once. `join_port` None: nobody can join.
    `waiting` is told whom the start waits for; None: a worker that does not answer ends the start.
    `must_have_hardware`: MIE_TPM_ATTESTATION_REQUIRED.
    """

    credentials: NodeCredentials
    authority: AuthorityFolder
    folder: SealedFolder
    provider: KeyProvider
    targets: tuple[Target, ...]
    spares: tuple[Target, ...] = ()
    plan: Plan | None = None
    layout: Layout = Layout.EVEN
    may_hold_ends: tuple[str, ...] = ()
    compute: DataType | None = None
    kv_tokens: int = 0
    maximum_requests: int = 1000
    record: RecordEvent = lambda _event: None
    note: NoteEvent = lambda _event, _count=1: None
    operator_host: str = "127.0.0.1"
    operator_port: int = 8004
    join_host: str = "127.0.0.1"
    join_port: int | None = None
    waiting: Waiting | None = None
    must_have_hardware: bool = False


class Controller:
    """Serves one sealed model on its workers."""

    def __init__(self, options: ControllerOptions) -> None:
        self._options = options
        self._context = NodeContext(options.credentials, policy=options.authority.policy())
        refusals = RefusalLog(log, options.note)
        self._context.on_refused, self._context.on_cut = refusals.refused, refusals.cut
        self._sides = options.folder.side_files()
        self._settings = read_settings(self._sides)
        self._serving = choose_serving(options.folder.manifest, self._settings, options.compute, options.kv_tokens)
        self._started = time.monotonic()
        self._listener: Listener | None = None
        self._joins: JoinListener | None = None
        self._is_up = False
        self.choice: LayoutChoice | None = None
        """How the plan came about."""
        self.trust = TrustKeeper(
            options.authority, self._context, options.record, options.note, self._tell, self.reconnect
        )
        plan = choose_plan(options)
        self.cluster = Cluster(self._context, options.folder, self._serving, plan)
        self.gate = ReleaseGate(
            options.authority,
            options.record,
            lambda: self.cluster.everyone,
            self._deny,
            must_have_hardware=options.must_have_hardware,
        )
        self.pipeline = Pipeline(self.cluster.send, note=options.note)
        prompting = Prompting(options.folder.manifest.model_id, self._settings, self._sides)
        salt = random_bytes(SALT_SIZE)
        self._batcher = Batcher(self._serving.token_budget, self._serving.kv_tokens, MAXIMUM_SEQUENCES, salt=salt)
        self.engine = Engine(prompting, self._batcher, self.pipeline, options.maximum_requests)
        self.failover = Failover(
            self.cluster,
            self.engine,
            self.pipeline,
            (*options.targets, *options.spares),
            Hooks(self._load, self._welcome, self._rekey, options.note),
        )
        self._replanner = Replanner(
            self.cluster,
            self.engine,
            self.failover,
            describe_workload(options.folder.manifest, self._serving, self._settings),
            options.may_hold_ends,
            Means(self._load, self._reroute, options.note),
        )

    async def start(self, progress: Progress) -> int:
        """Open the join port, bring the workers up and open the operators' port; its number. Raises MohawkError."""
        options = self._options
        self.gate.check()
        self.trust.refresh(datetime.now(UTC))  # nobody is trusted before the first deny-list
        self.trust.start()
        await self._open_join_port(options)
        keyring = options.folder.keyring()
        with await self._open_model_key(keyring):  # a wrong passphrase shows now, not when the last worker has come
            pass
        await self.cluster.connect(options.targets, self.pipeline, options.waiting)
        await self._lay_out()
        with await self._open_model_key(keyring) as model_key:
            await self.cluster.load(self._release(keyring, model_key), progress)
        await self.cluster.reroute(self.pipeline)
        self._rekey()
        for member in self.cluster.members:
            self._welcome(member)
        service = OperatorService(self.status, self._change_desk(options), self.gate.ask, self._drain, self._replan)
        self._listener = await listen(self._context, options.operator_host, options.operator_port, service)
        self.engine.start()
        self.failover.start()
        self.gate.start()
        self._is_up = True
        return self._listener.port

    async def survey(self) -> LayoutChoice:
        """Instead of `start`: measure the workers, and say how the model would be laid out. No key is released; `stop`
        must follow. Raises MohawkError.
        """
        self.trust.refresh(datetime.now(UTC))
        await self.cluster.connect(self._options.targets, self.pipeline, self._options.waiting)
        return await self._lay_out()

    async def _lay_out(self) -> LayoutChoice:
        """Before any key is released: every worker has room for its stage, and, where that is asked for, a stage that
        suits its speed. Raises UsageError that says what is missing.
        """
        options = self._options
        model = describe_workload(options.folder.manifest, self._serving, self._settings)
        layout = Layout.EVEN if options.plan is not None else options.layout
        self.choice = await choose_layout(self.cluster, model, layout, options.may_hold_ends)
        await self.cluster.lay_out(self.choice.plan)
        return self.choice

    async def _open_model_key(self, keyring: Keyring) -> SecretBytes:
        """A token or a passphrase takes its time: in a thread. The key ends with the loads that need it."""
        return await asyncio.to_thread(open_model_key, self._options.provider, keyring)

    def _release(self, keyring: Keyring, model_key: SecretBytes) -> KeyRelease:
        options = self._options
        return KeyRelease(keyring, model_key, options.folder.envelope, self.gate.attestation, options.record)

    async def _load(self, member: Member, layers: LayerRange, *, beside: bool = False) -> None:
        """A stage onto a worker that stands by, or beside the one that it serves, through the same gate as at the
        start. Raises MohawkError; HostError when the key cannot be had, which is nothing that the worker did.
        """
        keyring = self._options.folder.keyring()
        try:
            opened = await self._open_model_key(keyring)
        except MohawkError as error:
            raise HostError(f"the model key cannot be opened: {error.message}", hint=error.hint) from error
        with opened as model_key:
            epoch, keys = self.cluster.epoch + 1, self._release(keyring, model_key)
            await self.cluster.loader.load(member, layers, epoch, keys, lambda _name, _done, _size: None, beside=beside)

    def _welcome(self, member: Member) -> None:
        """To a worker that has just connected."""
        member.on_renewal = self.trust.renew
        member.tell(self.trust.latest())

    @property
    def join_port(self) -> int | None:
        """The join port's number; None while it is closed."""
        return self._joins.port if self._joins is not None else None

    async def _open_join_port(self, options: ControllerOptions) -> None:
        """Before any worker is dialled: one of them may have to join first."""
        if options.join_port is not None:
            desk = JoinDesk(options.authority, self._context, options.record, options.note, datetime.now(UTC))
            self._joins = await listen_for_joins(options.join_host, options.join_port, desk)

    def _change_desk(self, options: ControllerOptions) -> ChangeDesk:
        carriers = {ChangeKind.KEY_RELEASE_POLICY: self.gate.changing_policy()}
        return ChangeDesk(
            ChangeFile(options.authority), Revocations(options.authority), carriers, options.record, options.note
        )

    async def _drain(self, operator: NodeName, order: DrainWorker) -> str:
        """On record before it is done. Raises MohawkError."""
        details = {"operator": str(operator), "back": str(order.back).lower()}
        self._options.record(AuditEvent(EventKind.WORKER_DRAINED, order.name, details))
        return self.failover.take_back(order.name) if order.back else await self.failover.drain(order.name)

    async def _replan(self, operator: NodeName, order: Replan) -> Replanned:
        """On record before it is done; only looking is not. Raises MohawkError."""
        if not order.only_show:
            details = {"operator": str(operator)}
            self._options.record(AuditEvent(EventKind.REPLANNING, self._options.folder.manifest.model_id, details))
        return await self._replanner.replan(only_show=order.only_show)

    def _deny(self, node: NodeName, reason: str) -> None:
        """Revoke a node on our own account, and tell everybody now."""
        now = datetime.now(UTC)
        Revocations(self._options.authority).deny(str(node), reason, now)
        self.trust.refresh(now)

    async def stop(self) -> None:
        """End every request with an error, then leave the workers."""
        self.gate.close()
        self.trust.close()
        if self._joins is not None:
            await self._joins.close()
        await self.failover.close()
        await self.engine.stop()
        if self._listener is not None:
            await self._listener.close()
        await self.cluster.close()

    async def reconnect(self) -> None:
        """Replace every connection between two steps: renewed certificates and fresh keys, no request the worse for it.

        Raises MohawkError; a chain that could not be put together again ends serving. While the start is under way
        nothing is replaced: its connections are as fresh as can be. While it is repaired neither: ChainBrokenError, at
        once, for whoever keeps trust fresh must not wait for a worker that may never come back.
        """
        if not self._is_up:
            return
        if self.failover.is_repairing:
            raise ChainBrokenError("the chain is being repaired", hint="its connections are replaced when it is whole")
        async with self.failover.turn:
            await self.cluster.reconnect()
            await self.engine.between_steps(self._reroute)

    async def _reroute(self) -> None:
        try:
            await self.cluster.reroute(self.pipeline)
        except MohawkError as error:
            lost = ChainBrokenError(f"the chain could not be renewed: {error.message}", hint=error.hint)
            self.engine.on_broken(None, lost)
            raise
        self._rekey()

    def _rekey(self) -> None:
        """The route is new: steps are sealed for it, as many at once as there are machines to work on them."""
        self._batcher.depth = self.cluster.machines
        self.pipeline.rekey(self.cluster.epoch, self.cluster.tickets, self.cluster.members[-1].name)

    def _tell(self, update: TrustUpdate) -> None:
        for member in self.cluster.everyone:
            member.tell(update)

    def status(self) -> StatusReply:
        provider = self._options.provider
        return describe_cluster(
            self.cluster,
            self.engine.load(),
            key_provider=f"{provider.name}: {provider.describe()} {KEYS_IN_MEMORY}",
            uptime_seconds=int(time.monotonic() - self._started),
        )


def choose_plan(options: ControllerOptions) -> Plan:
    """Raises UsageError: fewer slices than workers, or a plan that does not fit how the model is cut."""
    manifest = options.folder.manifest
    plan = options.plan or place_evenly(manifest.sizes(), [target.name for target in options.targets])
    borders = {part.context.layers.last for part in manifest.slices}
    if plan.layers != manifest.layers or not {stage.layers.last for stage in plan.stages} <= borders:
        raise UsageError("a plan whose stages do not begin and end where this model's slices do", field="plan")
    return plan


def choose_serving(
    manifest: Manifest, settings: TextSettings, compute: DataType | None, kv_tokens: int
) -> ServingOptions:
    """The numbers a stage is loaded with, where None and 0 leave them to us. float16 weights are computed in float32:
    exact, and no slower on a CPU.
    """
    stored = manifest.dtype
    compute = compute or (DataType.FLOAT32 if stored is DataType.FLOAT16 else stored)
    kv_tokens = kv_tokens or min(CONTEXTS_HELD * settings.context_length, MAXIMUM_KV_TOKENS)
    token_budget = check_token_budget(settings.hidden_size, compute, TOKEN_BUDGET)
    return ServingOptions(compute, kv_tokens, token_budget, settings.hidden_size)
