"""The controller's connection to this worker: load a stage, take its key, set its route, answer heartbeats.

One controller at a time. When its connection ends, so does everything it set up: the route is closed and the stage
dropped, weights overwritten (losing the connection is losing the right to the key).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from mohawk.contract.attesting import AttestOrder, CredentialOffer, EnrolOrder
from mohawk.contract.messages import (
    Failure,
    Heartbeat,
    HeartbeatReply,
    KeyGrant,
    LoadStage,
    Route,
    RouteReady,
)
from mohawk.contract.probing import LinkProbed, ProbeLink, ProbeStage
from mohawk.contract.trust import RenewalGrant, TrustUpdate
from mohawk.errors import MessageError, MohawkError
from mohawk.host.memory import resident_bytes
from mohawk.transport.link import Link
from mohawk.worker.attesting import MachineWitness
from mohawk.worker.chain import Chain
from mohawk.worker.depot import Depot
from mohawk.worker.grant import KeyExchange
from mohawk.worker.loader import Assignment, accept_config, accept_order
from mohawk.worker.station import Station
from mohawk.worker.tickets import TicketReader
from mohawk.worker.trust import WorkerTrust

log = logging.getLogger(__name__)


class ControlSession:
    """One CONTROL connection, from its welcome to its end."""

    def __init__(
        self, link: Link, station: Station, chain: Chain, depot: Depot, trust: WorkerTrust, witness: MachineWitness
    ) -> None:
        self._link = link
        self._trust = trust
        self._witness = witness
        self._station = station
        self._chain = chain
        self._depot = depot
        self._pending: tuple[Assignment, KeyExchange] | None = None
        self.had_key = False
        """Data keys were opened in this process: they must not outlive the session."""
        self._work: asyncio.Task[None] | None = None

    def on_message(self, _link: Link, message: object, _body: bytearray) -> None:
        """Heartbeats are answered at once; everything else that takes time is one task at a time."""
        if isinstance(message, Heartbeat):
            self._link.send(self._describe_ourselves(message.number))
        elif isinstance(message, TrustUpdate):
            self._link.send(self._trust.on_update(message))
        elif isinstance(message, RenewalGrant):
            self._trust.on_grant(message)
        elif isinstance(message, ProbeLink):
            self._link.send(LinkProbed())
        elif isinstance(message, ProbeStage):
            self._begin(lambda: self._probe(message))
        elif isinstance(message, LoadStage):
            self._begin(lambda: self._accept(message))
        elif isinstance(message, AttestOrder):
            self._begin(lambda: self._attest(message))
        elif isinstance(message, EnrolOrder):
            self._begin(self._show_keys)
        elif isinstance(message, CredentialOffer):
            self._begin(lambda: self._prove(message))
        elif isinstance(message, KeyGrant):
            self._begin(lambda: self._load(message))
        elif isinstance(message, Route):
            self._begin(lambda: self._set_route(message))

    def _describe_ourselves(self, number: int) -> HeartbeatReply:
        chain = self._chain
        return HeartbeatReply(
            number,
            self._station.state,
            resident_bytes(),
            chain.refused_tickets,
            chain.last_step,
            chain.compute_microseconds,
        )

    def adopt(self, link: Link) -> None:
        """The same controller's next connection: what was set up over the last one stays."""
        self._link = link

    async def end(self) -> None:
        """The connection is gone: take everything down."""
        if self._work is not None:
            self._work.cancel()
        self._chain.close()
        await self._station.drop()

    async def _probe(self, order: ProbeStage) -> None:
        await self._depot.run(accept_config, order.manifest, order.config, self._depot.publisher, self._depot.store)
        self._link.send(await self._station.probe(order))

    async def _accept(self, order: LoadStage) -> None:
        assignment = await self._depot.run(
            accept_order, order, self._depot.publisher, self._depot.store, self._depot.take_tokenizer()
        )
        exchange = KeyExchange(
            worker=str(self._link.session.own_name),
            manifest=order.manifest,
            slice_digests=tuple(part.digest for part in assignment.run),
            binding=self._link.session.exporter(b"", 32),
        )
        self._pending = (assignment, exchange)
        self._witness.bind(exchange.request.public_key, order.manifest)
        self._link.send(exchange.request)

    async def _attest(self, order: AttestOrder) -> None:
        is_for_key = self._pending is not None
        self._link.send(await self._witness.answer(order, self._link.session, is_for_key=is_for_key))

    async def _show_keys(self) -> None:
        self._link.send(await self._witness.keys())

    async def _prove(self, offer: CredentialOffer) -> None:
        self._link.send(await self._witness.prove(offer, self._link.session))

    async def _load(self, grant: KeyGrant) -> None:
        if self._pending is None:
            raise MessageError("a key that was not asked for")
        (assignment, exchange), self._pending = self._pending, None
        self._witness.hold()
        data_keys = exchange.open(grant, self._link.peer.spki)
        self.had_key = True
        if not assignment.order.beside:
            self._chain.close()  # it hands on what the stage before computes; a route to the new one must follow
        ready = await self._station.load(assignment, data_keys)
        self._link.send(ready)

    async def _set_route(self, route: Route) -> None:
        tickets = TicketReader(self._link.session, route, self._witness.evidence)
        self._station.take(route.run_id)
        if route.fresh:
            self._chain.close()  # no step of the old route may come between
            await self._station.forget()
        self._link.send(RouteReady(route.epoch, await self._chain.set_route(route, tickets)))

    def _begin(self, work: Callable[[], Awaitable[None]]) -> None:
        if self._work is not None and not self._work.done():
            self._link.send(Failure("busy", "this worker is still doing what it was told before"))
            return
        self._work = asyncio.get_running_loop().create_task(self._answer(self._link, work))

    async def _answer(self, link: Link, work: Callable[[], Awaitable[None]]) -> None:
        """What was asked on a connection is answered on it: on one that took over nobody waits for it."""
        try:
            await work()
        except MohawkError as error:
            _refuse(link, Failure(error.code, error.message, error.hint))
        except Exception as error:  # the outermost edge of one request: the controller must not wait for its deadline
            log.exception("request failed")
            _refuse(link, Failure("internal_error", f"internal error ({type(error).__name__})", "see worker.log"))


def _refuse(link: Link, failure: Failure) -> None:
    if not link.is_closing:
        link.send(failure)
