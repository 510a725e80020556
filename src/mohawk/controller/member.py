"""One worker as the controller sees it: deliver its slice, load its stage, set its route, notice when it is gone."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

from mohawk.artifact.sealed_slice import Run
from mohawk.attestation.appraisal import Approval
from mohawk.attestation.evidence import EvidenceClass
from mohawk.channel.profile import NodeContext
from mohawk.contract.evidence import manifest_digest
from mohawk.contract.messages import (
    Failure,
    Heartbeat,
    HeartbeatReply,
    KeyRequest,
    LoadStage,
    Purpose,
    Route,
    RouteReady,
    Session,
    StageReady,
    WorkerState,
)
from mohawk.contract.probing import LinkProbed, ProbeLink, ProbeStage, StageProbed
from mohawk.contract.steps import NeighbourSilent, StepFailure, StepResult
from mohawk.contract.trust import RenewalGrant, RenewalRequest, TrustAccepted, TrustUpdate
from mohawk.controller.attestation import Asked, Attestation
from mohawk.controller.beats import Beats
from mohawk.controller.keys import KeyRelease
from mohawk.errors import MohawkError, RemoteError, UsageError, WorkerLostError
from mohawk.identity.certificates import PeerIdentity
from mohawk.identity.names import NodeName
from mohawk.nouns.model import LayerRange
from mohawk.transport.dial import Target, dial
from mohawk.transport.link import Link

log = logging.getLogger(__name__)

PATIENCE_SECONDS = 0.7
"""A worker that serves and answered no heartbeat for so long is lost: looked at with every beat, so three have gone by
(spec messages.md 4.1).
"""
LAST_PATIENCE_SECONDS = 1.4
"""Where nobody could take its place: to be hasty would gain nothing, and requests hear of it within two seconds."""
LATE_SECONDS = 0.45
"""Almost two beats: of two workers that lost each other, one that is late here too is the one that is lost."""
LOADING_PATIENCE_SECONDS = 2.0
"""While it loads: building a stage holds Python's lock for longer than computing does."""
KEY_SECONDS = 30.0
LOAD_SECONDS = 900.0
"""Opening, building and testing the largest slice on the slowest disk; a dead worker is noticed by heartbeats
before.
"""
ROUTE_SECONDS = 30.0
PROBE_SECONDS = 300.0
PROBE_LINK_SECONDS = 10.0


class StepEvents(Protocol):
    """Whoever runs steps hears from every worker."""

    def on_result(self, worker: str, result: StepResult) -> None: ...

    def on_failure(self, worker: str, failure: StepFailure) -> None: ...

    def on_silence(self, worker: str, silence: NeighbourSilent) -> None: ...

    def on_lost(self, worker: str, error: WorkerLostError) -> None: ...

    def on_refused_tickets(self, worker: str, count: int) -> None: ...


Renew = Callable[[PeerIdentity, RenewalRequest], RenewalGrant | None]
"""A fresh certificate for this peer's new key; None: refused, and recorded."""


class Member:
    """A worker, connected. Used from the controller's event loop."""

    def __init__(self, target: Target, link: Link, events: StepEvents) -> None:
        self.target = target
        self.ready: StageReady | None = None
        self.next_session: Session | None = None
        """What the worker negotiated with the stage behind it."""
        self.state = WorkerState.EMPTY
        self.resident_bytes = 0
        self.rtt_microseconds = 0
        self.sent_bytes = 0
        self.layers: LayerRange | None = None
        """The stage that it holds."""
        self._beside: StageReady | None = None
        """Another one, that a route may name."""
        self._steady_from = 0.0
        """Until then it builds or measures, or has just done so, though its state may say that it serves."""
        self.last_step = 0
        """The newest step that it says it has done."""
        self.compute_microseconds = 0
        """What all steps took it, as it says."""
        self.refused_tickets = 0
        """Step tickets that the worker refused: forged, repeated or out of order."""
        self.trust: TrustAccepted | None = None
        """The deny-list and root set that the worker last said it goes by."""
        self._link = link
        self.events = events
        self._turn = asyncio.Lock()
        """One question at a time on one connection."""
        self.approval: Approval | None = None
        """By which its key was released."""
        self._manifest = b""
        self._beats = Beats()
        self.on_renewal: Renew = lambda _peer, _request: None
        self.can_replace: Callable[[], bool] = lambda: True
        """Whether somebody could take its place at once."""
        self._listen_to(link)
        self._heart = asyncio.get_running_loop().create_task(self._beat())

    @classmethod
    async def connect(cls, context: NodeContext, target: Target, events: StepEvents) -> Member:
        """Dial the worker's control connection. Raises UnavailableError, HandshakeError, IdentityError, RemoteError."""
        return cls(target, await dial(context, target, Purpose.CONTROL), events)

    @property
    def name(self) -> str:
        return self.target.name

    @property
    def node(self) -> NodeName:
        return self._link.peer.name

    @property
    def link(self) -> Link:
        return self._link

    @property
    def is_gone(self) -> bool:
        return self._link.is_closing

    @property
    def is_late(self) -> bool:
        """A heartbeat of long ago is not answered yet."""
        return self._beats.waited(time.monotonic()) > LATE_SECONDS

    @property
    def is_preparing(self) -> bool:
        """Steps may wait for turns in which it builds or measures another stage."""
        return time.monotonic() < self._steady_from

    @property
    def is_watched(self) -> bool:
        """It showed more of its machine than a certificate, and has to go on showing it."""
        return self.approval is not None and self.approval.evidence_class > EvidenceClass.SOFTWARE and not self.is_gone

    @property
    def evidence(self) -> str:
        """The class of what it showed: `software`, `tpm`, `tee`."""
        return (self.approval.evidence_class if self.approval is not None else EvidenceClass.SOFTWARE).word

    async def reconnect(self, context: NodeContext) -> None:
        """A new control connection in place of the old one, which is closed: certificates and keys are fresh, the stage
        stays. Raises like `connect`; then the old connection goes on.
        """
        async with self._turn:  # a worker that still answers a question would be too busy for its next route
            link = await dial(context, self.target, Purpose.CONTROL, takes_over=True, on_message=self._on_message)
            old, self._link = self._link, link
            self._listen_to(link)
            old.on_closed = ignore
            old.close()

    def tell(self, update: TrustUpdate) -> None:
        """What changed in who is trusted. A link that is closing hears it when it is replaced."""
        if not self._link.is_closing:
            self._link.send(update)

    async def load(self, order: LoadStage, run: Run, keys: KeyRelease) -> StageReady:
        """Have the worker verify the slices of `run`, give it their keys, and wait until its stage passed the
        self-test. It holds that one then, or that one too.

        Raises RemoteError with the worker's refusal, PolicyError when it asks for other slices' keys,
        UnavailableError.
        """
        async with self._turn:
            if not order.beside:
                self.layers = self.ready = None
            request = await self._link.request(order, KeyRequest, KEY_SECONDS)
            approval = await keys.approve(self._link, request)
            grant = keys.grant(request, self._link.session, run, approval)
            self.approval, self._manifest = approval, manifest_digest(order.manifest)
            with self._preparing():
                ready = await self._link.request(grant, StageReady, LOAD_SECONDS)
            if ready.run_id != order.run_id:
                raise RemoteError(f"{self.name} loaded another stage than it was told to")
            if order.beside:
                self._beside = ready
            else:
                self._hold(ready)
            return ready

    async def attest_again(self, attestation: Attestation) -> Asked:
        """What its machine shows now, for the key that it holds. Raises AttestationRefusedError, or like `ask`."""
        asked = await self.ask(attestation)
        asked.verdict.require()
        return asked

    async def ask(self, attestation: Attestation) -> Asked:
        """The same, where a refusal is the verdict's to say. Raises UsageError before it holds a key."""
        approval = self.approval
        if approval is None:
            raise UsageError(f"{self.name} holds no key yet")
        async with self._turn:
            return await attestation.ask(self._link, approval.recipient, self._manifest, approval.evidence_class)

    async def probe(self, order: ProbeStage) -> StageProbed:
        """What the worker says that it has and how fast it is. Raises RemoteError, UnavailableError."""
        async with self._turn:
            with self._preparing():
                return await self._link.request(order, StageProbed, PROBE_SECONDS)

    async def probe_link(self, padding: bytes) -> float:
        """Seconds until so many bytes have arrived there, and the answer here. Raises UnavailableError."""
        async with self._turn:
            begin = time.monotonic()
            await self._link.request(ProbeLink(padding), LinkProbed, PROBE_LINK_SECONDS)
            return time.monotonic() - begin

    async def route(self, route: Route) -> None:
        """Give the worker its place in the chain. Raises RemoteError, UnavailableError."""
        async with self._turn:
            answer = await self._link.request(route, RouteReady, ROUTE_SECONDS)
        if answer.epoch != route.epoch:
            raise RemoteError(f"{self.name} confirmed another route than it was given")
        beside, self._beside = self._beside, None
        if beside is not None and beside.run_id == route.run_id:
            self._hold(beside)
        self.next_session = answer.session

    async def close(self) -> None:
        self._heart.cancel()
        self._link.on_closed = ignore
        self._link.close()
        await self._link.closed

    def _hold(self, ready: StageReady) -> None:
        self.layers, self.ready = LayerRange.parse(ready.run_id), ready

    @contextmanager
    def _preparing(self) -> Iterator[None]:
        self._steady_from = float("inf")
        try:
            yield
        finally:
            self._steady_from = time.monotonic() + LOADING_PATIENCE_SECONDS

    def _listen_to(self, link: Link) -> None:
        link.on_message = self._on_message
        link.on_closed = self._on_closed

    def _on_message(self, _link: Link, message: object, _body: bytearray) -> None:
        match message:
            case HeartbeatReply():
                self._on_heartbeat(message)
            case StepResult():
                self.events.on_result(self.name, message)
            case StepFailure():
                self.events.on_failure(self.name, message)
            case NeighbourSilent():
                self.events.on_silence(self.name, message)
            case RenewalRequest():
                self._on_renewal(message)
            case TrustAccepted():
                self.trust = message
            case Failure():
                raise RemoteError(f"{self.name} refused something that was not asked")
            case _:
                raise RemoteError(f"{self.name} answered what was not asked")

    def _on_renewal(self, request: RenewalRequest) -> None:
        grant = self.on_renewal(self._link.peer, request)
        if grant is not None:
            self._link.send(grant)

    def _on_heartbeat(self, reply: HeartbeatReply) -> None:
        seconds = self._beats.answer(reply.number, time.monotonic())
        if seconds is None:
            return
        self.rtt_microseconds = int(seconds * 1e6)
        self.state, self.resident_bytes = reply.state, reply.resident_bytes
        self.last_step, self.compute_microseconds = reply.last_step, reply.compute_microseconds
        if reply.refused_tickets > self.refused_tickets:
            self.events.on_refused_tickets(str(self._link.peer.name), reply.refused_tickets - self.refused_tickets)
        self.refused_tickets = reply.refused_tickets

    async def _beat(self) -> None:
        """Send heartbeats until one stays unanswered for too long."""
        while not self._link.is_closing:
            now = time.monotonic()
            self._beats.wake(now)
            waited = self._beats.waited(now)
            if waited > PATIENCE_SECONDS and waited > self._patience():
                self._link.abort(WorkerLostError(f"worker {self.name} does not answer"))
                return
            self._link.send(Heartbeat(self._beats.send(now)))
            await asyncio.sleep(self._beats.rest(now))

    def _patience(self) -> float:
        """Seconds that a heartbeat may stay unanswered."""
        if self.state is not WorkerState.READY or self.is_preparing:
            return LOADING_PATIENCE_SECONDS
        return PATIENCE_SECONDS if self.can_replace() else LAST_PATIENCE_SECONDS

    def _on_closed(self, _link: Link, error: MohawkError | None) -> None:
        self._heart.cancel()
        self.state = WorkerState.FAILED
        log.warning(
            "the connection to %s ended: %s", self.name, error.message if error is not None else "it said goodbye"
        )
        hint = "see `mohawk status` and the worker's log"
        lost = (
            error if isinstance(error, WorkerLostError) else WorkerLostError(f"worker {self.name} is gone", hint=hint)
        )
        self.events.on_lost(self.name, lost)


class Quiet:
    """For a worker that has no part in any step."""

    def on_result(self, worker: str, _result: StepResult) -> None:
        raise RemoteError(f"{worker} answered a step, and has no stage")

    def on_failure(self, _worker: str, _failure: StepFailure) -> None:
        """It was in the chain a moment ago, and says what is known."""

    def on_silence(self, _worker: str, _silence: NeighbourSilent) -> None:
        """The same."""

    def on_lost(self, worker: str, _error: WorkerLostError) -> None:
        log.info("%s stands by no longer", worker)

    def on_refused_tickets(self, _worker: str, _count: int) -> None:
        """It was sent none."""


def ignore(_link: Link, _error: MohawkError | None) -> None:
    """For a connection that we close ourselves."""
