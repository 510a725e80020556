"""This worker's place in the chain: steps come in from the one before, go on to the one behind, or end here as
tokens.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from functools import partial
from typing import NamedTuple

from mohawk.audit.events import AuditEvent, EventKind, NoteEvent
from mohawk.channel.frames import step_limits
from mohawk.channel.replay import RecordRefusedError
from mohawk.contract.admission import admit_from_dialler, admit_from_listener
from mohawk.contract.messages import Message, Purpose, Route, Session
from mohawk.contract.steps import NeighbourSilent, Pulse, StagePart, Step, StepFailure, StepResult
from mohawk.errors import ChainBrokenError, MessageError, MohawkError, PolicyError, UnavailableError
from mohawk.identity.certificates import PeerIdentity
from mohawk.identity.names import Role
from mohawk.transport.link import Link
from mohawk.worker import neighbours
from mohawk.worker.runner import Outcome
from mohawk.worker.station import Station
from mohawk.worker.tickets import TicketReader

log = logging.getLogger(__name__)

STEPS_HELD = 8
"""Steps that wait for the compute thread before nothing more is taken from the network: a predecessor that floods us
fills its own memory, not ours.
"""
NEXT_STAGE_SECONDS = 3.0
"""In which the stage behind must let itself be reached: it answers heartbeats, so whoever does not reach it is cut off
from it, and requests wait for the chain meanwhile.
"""

DialNext = Callable[[Route], Awaitable[Link]]
"""What arrives on that connection is for `hear_pulse`."""


class AdmittedStep(NamedTuple):
    """A step whose ticket opened, and whose body has exactly the size that its part implies. `rest`: the tickets of the
    stages behind. `route`: by which it came.
    """

    part: StagePart
    rest: tuple[bytes, ...]
    route: Route


class RefusedStep(NamedTuple):
    """A step whose ticket did not open: its body is read, within the limits, and dropped."""


class Chain:
    """The route, and the steps that pass. `report` answers the controller; it is set while one is connected. `note`:
    the audit log.
    """

    def __init__(self, station: Station, dial_next: DialNext, note: NoteEvent) -> None:
        self._station = station
        self._note = note
        self._dial_next = dial_next
        self._route: Route | None = None
        self._next: Link | None = None
        self._previous: Link | None = None
        self._forwarded = 0
        self.last_step = 0
        """The newest step that this stage has done."""
        self.compute_microseconds = 0
        """What all steps took to compute."""
        self._held = 0
        self._tickets: TicketReader | None = None
        self.refused_tickets = 0
        self.report: Callable[[Message], None] | None = None

    async def set_route(self, route: Route, tickets: TicketReader) -> Session | None:
        """Take the controller's route and dial the next stage; what was negotiated with it, None on the last stage.
        From now on only `tickets` opens what is asked.

        Raises UnavailableError or IdentityError: the next stage is not there, or not who the route says.
        """
        self.close()
        if route.next is not None:
            self._next = await self._dial_next(route)
            self._next.carry(step_limits(self._station.bytes_out), partial(admit_from_listener, Purpose.STEP))
            self._next.on_closed = self._next_lost
            neighbours.watch(self._next, partial(self._accuse, self._next, route, is_next=True))
        self._route, self._tickets = route, tickets
        return None if self._next is None else describe_session(self._next)

    def authorize(self, peer: PeerIdentity) -> None:
        """Raises PolicyError unless the route names this peer as our predecessor: no other worker, nor another
        controller, puts a step into the chain.
        """
        if self._route is None or str(peer.name) != self._route.previous:
            raise PolicyError("steps from a peer that is not this stage's predecessor")

    def accept(self, link: Link) -> None:
        """Our predecessor is connected. It replaces an earlier connection, which is dead or about to be."""
        if self._previous is not None:
            self._previous.abort()
        self._previous = link
        link.carry(step_limits(self._station.bytes_in), self._admit)
        link.on_message = self._receive
        if link.peer.name.role is Role.WORKER:  # the controller has heartbeats
            assert self._route is not None  # else `authorize` had refused
            neighbours.watch(link, partial(self._accuse, link, self._route, is_next=False))

    def close(self) -> None:
        """Leave the chain."""
        if self._next is not None:
            self._next.on_closed = _left
        for link in (self._previous, self._next):
            if link is not None:
                link.abort()
        self._previous = self._next = self._route = self._tickets = None

    def _accuse(self, link: Link, route: Route, *, is_next: bool) -> None:
        """A neighbour is silent: the controller decides what follows."""
        if self.report is not None:
            self.report(NeighbourSilent(route.epoch, is_next))
        link.on_closed = _left
        link.abort()
        if is_next:
            self._next = None

    def _admit(self, header: bytes, body_length: int) -> AdmittedStep | RefusedStep | Pulse:
        """Nothing of the step itself is believed: number, part and the tensor's shape are the ticket's.

        A refused ticket does not end the connection: an honest stage before this one only passes on what it was given.
        """
        step = admit_from_dialler(Purpose.STEP, header, body_length)
        if isinstance(step, Pulse):
            return step
        assert isinstance(step, Step)  # nothing else belongs to this purpose and direction
        if self._tickets is None or self._route is None:
            raise MessageError("a step for a worker that has no route")
        try:
            data = self._tickets.open(step.parts[0], self._station.expect(body_length), body_length)
        except RecordRefusedError:
            self.refused_tickets += 1
            self._note(AuditEvent(EventKind.TICKETS_REFUSED, self._route.previous))
            return RefusedStep()
        return AdmittedStep(self._station.admit(data, body_length), step.parts[1:], self._route)

    def _receive(self, link: Link, message: object, body: bytearray) -> None:
        if isinstance(message, RefusedStep | Pulse):
            return
        assert isinstance(message, AdmittedStep)  # `_admit` lets nothing else pass
        try:
            self._station.run(message.part, body).add_done_callback(partial(self._computed, link, message))
        except MohawkError as error:
            self._fail(message.part.number, error)
            return
        self._held += 1
        if self._held >= STEPS_HELD:
            link.pause_reading()

    def _computed(self, link: Link, step: AdmittedStep, future: asyncio.Future[Outcome]) -> None:
        self._held -= 1
        if self._held < STEPS_HELD:
            link.resume_reading()
        try:
            self._hand_on(step, future.result())
        except MohawkError as error:
            self._fail(step.part.number, error)
        except asyncio.CancelledError:
            pass
        except Exception as error:  # the outermost edge of one step: whatever a kernel raises ends this step only
            log.exception("step failed")
            self._fail(step.part.number, UnavailableError(f"internal error ({type(error).__name__})"))

    def _hand_on(self, step: AdmittedStep, outcome: Outcome) -> None:
        number = step.part.number
        self.last_step = max(self.last_step, number)
        self.compute_microseconds += outcome.compute_microseconds
        if step.route is not self._route:  # it came before the route changed, and belongs nowhere now
            return
        if step.rest:
            if self._next is None:
                raise ChainBrokenError("the next stage is gone")
            self._forwarded = number
            self._next.send(Step(number, step.route.epoch, step.rest), outcome.activations)
        elif self.report is not None:
            self.report(StepResult(number, outcome.tokens, outcome.compute_microseconds))

    def _next_lost(self, _link: Link, _error: MohawkError | None) -> None:
        """What was sent on last will not come back: say so now instead of letting the controller wait for its
        deadline.
        """
        self._next = None
        self._fail(self._forwarded, ChainBrokenError("the next stage is gone"))

    def _fail(self, number: int, error: MohawkError) -> None:
        if self.report is not None:
            self.report(StepFailure(number, error.code, error.message))


def describe_session(link: Link) -> Session:
    """What this end saw of a connection, for status. Between stages no heartbeat measures a round trip: 0."""
    session = link.session
    return Session(session.version, session.group, session.suite, str(session.peer.name), rtt_microseconds=0)


def hear_pulse(_link: Link, _message: object, _body: bytearray) -> None:
    """That it arrived is all that it says."""


def _left(_link: Link, _error: MohawkError | None) -> None:
    """A connection that we ended ourselves: nothing is lost."""
