"""A worker: one port, one stage, one controller at a time. The only place where its parts meet."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from functools import partial
from pathlib import Path

from mohawk.audit.events import NoteEvent, RecordEvent
from mohawk.channel.profile import NodeContext
from mohawk.contract.messages import Hello, Message, Purpose, Route
from mohawk.crypto.signing import PublisherPins
from mohawk.errors import MohawkError, UnavailableError
from mohawk.host.attester import Attester
from mohawk.host.slice_store import SliceStore
from mohawk.host.standing_file import keep_standing
from mohawk.identity.certificates import PeerIdentity
from mohawk.identity.credentials import NodeCredentials
from mohawk.identity.names import Role
from mohawk.identity.policy import BUILT_IN, CertificatePolicy
from mohawk.transport.dial import Target, dial
from mohawk.transport.link import Link
from mohawk.transport.listen import Listener, listen
from mohawk.transport.refusals import RefusalLog
from mohawk.worker.attesting import MachineWitness
from mohawk.worker.chain import NEXT_STAGE_SECONDS, Chain, hear_pulse
from mohawk.worker.control import ControlSession
from mohawk.worker.depot import Depot
from mohawk.worker.receiving import SliceReceiver
from mohawk.worker.station import Station
from mohawk.worker.trust import WorkerTrust

log = logging.getLogger(__name__)

CONTROLLER_SILENCE_SECONDS = 10.0
"""A controller beats four times a second. One that is frozen must not hold a worker, and its opened weights, for
ever.
"""


class Ending(Enum):
    """Why a worker's process must end."""

    KEY_LOST = "key lost"
    """Whoever gave it a data key is gone. What libraries copied of the key ends with the process only."""
    REVOKED = "revoked"
    """The deny-list names this worker."""


@dataclass(frozen=True, slots=True)
class WorkerSettings:
    """What a worker is started with. `publisher`: whose manifests it believes; `policy`: what it demands of
    certificates. `trust_file`: where the newest deny-list and roots are remembered. `keep`: is given renewed
    credentials, to write them down. `end`: is told, once or more often, that the process must end. `attester`: this
    machine's TPM. `record`, `note`: the audit log.
    """

    credentials: NodeCredentials
    publisher: PublisherPins
    host: str
    port: int
    trust_file: Path | None = None
    keep: Callable[[NodeCredentials], None] = lambda _credentials: None
    end: Callable[[Ending], None] = lambda _ending: None
    policy: CertificatePolicy = BUILT_IN
    attester: Attester | None = None
    record: RecordEvent = lambda _event: None
    note: NoteEvent = lambda _event, _count=1: None


class Worker:
    """Implements `transport.listen.Service`."""

    def __init__(self, settings: WorkerSettings, store: SliceStore) -> None:
        self._settings = settings
        self._context = NodeContext(settings.credentials, policy=settings.policy)
        refusals = RefusalLog(log, settings.note)
        self._context.on_refused, self._context.on_cut = refusals.refused, refusals.cut
        self._trust = WorkerTrust(self._context, settings.keep, settings.record)
        self._witness = MachineWitness(settings.attester)
        self._depot = Depot(store, settings.publisher)
        self._station = Station(store)
        self._chain = Chain(self._station, self._dial_next, settings.note)
        self._control: Link | None = None
        self._session: ControlSession | None = None
        self._ending: asyncio.Task[None] | None = None
        self._listener: Listener | None = None

    async def open(self) -> int:
        """Listen; the port in use. Raises HostError."""
        if self._settings.trust_file is not None:
            standing = self._context.standing
            keep_standing(standing, self._settings.trust_file, datetime.now(UTC))
            self._context.renew(self._context.credentials.pinning(standing.roots))
        self._context.standing.watch(self._check_ourselves)
        self._check_ourselves()
        self._trust.start()
        self._listener = await listen(self._context, self._settings.host, self._settings.port, self)
        return self._listener.port

    async def close(self) -> None:
        """End all connections, overwrite the weights, stop computing."""
        if self._listener is not None:
            await self._listener.close()
        await self._trust.close()
        if self._ending is not None:
            await self._ending
        self._chain.close()
        await self._station.close()

    def authorize(self, peer: PeerIdentity, hello: Hello) -> None:
        """One controller at a time; steps from our predecessor only."""
        if hello.purpose is Purpose.CONTROL and self._control is not None and not self._is_takeover(peer, hello):
            raise UnavailableError(
                "another controller drives this worker", hint="stop it first, or wait until it is gone"
            )
        if hello.purpose is Purpose.STEP:
            self._chain.authorize(peer)

    def accept(self, link: Link) -> None:
        if link.purpose is Purpose.CONTROL:
            self._accept_control(link)
        elif link.purpose is Purpose.SLICE:
            link.on_message = SliceReceiver(link, self._depot).on_message
        else:
            self._chain.accept(link)

    def _is_takeover(self, peer: PeerIdentity, hello: Hello) -> bool:
        """The controller that drives us replaces its own connection: to use renewed certificates and fresh keys."""
        link, session = self._control, self._session
        return hello.takes_over and link is not None and session is not None and peer.name == link.peer.name

    def _accept_control(self, link: Link) -> None:
        old, session = self._control, self._session
        if old is not None and session is not None:
            old.on_closed = _let_go
            session.adopt(link)
        else:
            session = ControlSession(link, self._station, self._chain, self._depot, self._trust, self._witness)
        self._control, self._session = link, session
        link.limit_idle(CONTROLLER_SILENCE_SECONDS)
        self._chain.report = partial(_send_if_open, link)
        link.on_message = session.on_message
        link.on_closed = lambda _link, _error: self._lose_control(session)
        self._trust.on_controller(partial(_send_if_open, link))

    def _lose_control(self, session: ControlSession) -> None:
        self._chain.report = None
        self._session = None
        self._trust.on_controller(None)
        self._ending = asyncio.get_running_loop().create_task(self._end_control(session))

    async def _end_control(self, session: ControlSession) -> None:
        """Another controller may connect only when the weights of the last one are gone."""
        try:
            await session.end()
        finally:
            self._control = None
            if session.had_key:
                self._settings.end(Ending.KEY_LOST)

    def _check_ourselves(self) -> None:
        """A worker that was revoked has no reason to run, and none to keep what it opened."""
        deny_list, leaf = self._context.standing.deny_list, self._context.credentials.chain[0]
        if deny_list is not None and deny_list.names(str(self._context.credentials.name), leaf.serial):
            self._settings.end(Ending.REVOKED)

    async def _dial_next(self, route: Route) -> Link:
        assert route.next is not None  # the caller looked
        target = Target(route.next.host, route.next.port, Role.WORKER, route.next.name)
        return await dial(self._context, target, Purpose.STEP, NEXT_STAGE_SECONDS, on_message=hear_pulse)


def _let_go(_link: Link, _error: MohawkError | None) -> None:
    """A connection that another one took over."""


def _send_if_open(link: Link, message: Message) -> None:
    """A result for a controller that is going away is dropped: nobody waits for it."""
    if not link.is_closing:
        link.send(message)
