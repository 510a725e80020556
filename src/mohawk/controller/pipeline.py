"""Steps down the chain, results back: the controller's end of the pipeline.

A step leaves on the connection to the first worker; its result comes back on the connection that the controller dialled
to the last one. Several are under way; whatever happens between the ends, each of them lands, is missed, or is void
because the chain broke.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

from mohawk.audit.events import AuditEvent, EventKind, NoteEvent
from mohawk.contract.steps import (
    Growth,
    NeighbourSilent,
    Opening,
    Source,
    StagePart,
    Step,
    StepFailure,
    StepResult,
)
from mohawk.controller.tickets import TicketWriter
from mohawk.errors import ChainBrokenError, MessageError, MohawkError, UnavailableError, WorkerLostError
from mohawk.generation.orders import OpeningOrder, StepOrder

SendStep = Callable[[Step], None]
Clock = Callable[[], float]


class StepOverdueError(UnavailableError):
    """A step did not come back in time, and every worker answers heartbeats. `number`: the step's."""

    code = "step_overdue"

    def __init__(self, number: int) -> None:
        super().__init__("a step did not come back in time", hint="see `mohawk status`")
        self.number = number


class NeighbourSilentError(ChainBrokenError):
    """A worker hears nothing any more from the one behind it in the chain (`is_next`) or before it, on the route of
    `epoch`.
    """

    def __init__(self, worker: str, silence: NeighbourSilent) -> None:
        whom = "the stage behind it" if silence.is_next else "the stage before it"
        super().__init__(f"worker {worker} hears nothing from {whom}", hint="is the network between them whole?")
        self.worker = worker
        self.is_next = silence.is_next
        self.epoch = silence.epoch


def split_order(order: StepOrder, stages: int) -> tuple[StagePart, ...]:
    """One part per stage: token ids in the first one's only, sampling and history in the last one's only."""
    openings = tuple(_opening(opening) for opening in order.openings)
    growths = tuple(Growth(growth.sequence, growth.reserve_tokens) for growth in order.growths)
    blind = tuple(replace(opening, sampling=None, generated=()) for opening in openings)
    return tuple(
        StagePart(
            segments=order.segments,
            token_ids=order.token_ids if index == 0 else (),
            openings=openings if index == stages - 1 else blind,
            closed=order.closed,
            number=order.number,
            growths=growths,
            retired=order.retired if index == stages - 1 else (),
        )
        for index in range(stages)
    )


def _opening(order: OpeningOrder) -> Opening:
    found = order.source
    source = Source(found.donor, found.tokens, found.adopts) if found is not None else None
    return Opening(order.sequence, order.reserve_tokens, order.sampling, order.generated, source)


class StepListener(Protocol):
    """Whoever sends steps hears how each ends: once, or all together when the chain breaks."""

    def on_landed(self, order: StepOrder, result: StepResult, seconds: float) -> None:
        """`seconds`: how long the step occupied the chain, or since the one before it landed."""

    def on_missed(self, order: StepOrder, error: MohawkError) -> None:
        """A stage could not do its part of this step. The chain is whole."""

    def on_broken(self, worker: str | None, error: MohawkError) -> None:
        """No step comes back any more. `worker`: who is gone, if that is known."""


@dataclass(frozen=True, slots=True)
class _Flight:
    order: StepOrder
    sent: float
    deadline: float
    haste: float
    """Seconds after the step before it that make this one suspect."""


class Pipeline:
    """The steps in flight of one plan, oldest first. `send` puts a step on the first worker's connection. It takes no
    step before `rekey`, and tells `listener`.
    """

    def __init__(self, send: SendStep, *, note: NoteEvent, clock: Clock = time.monotonic) -> None:
        self._send = send
        self._note = note
        self._clock = clock
        self._last = ""
        self._epoch = 0
        self._writers: tuple[TicketWriter, ...] = ()
        self._flights: dict[int, _Flight] = {}
        self._complaints: set[tuple[str, bool]] = set()
        self._landed = 0.0
        self._has_landed = False
        self.listener: StepListener

    def rekey(self, epoch: int, writers: tuple[TicketWriter, ...], last: str) -> None:
        """Steps belong to this epoch from now on, and are sealed by these, one per stage; only the worker `last`
        answers them. Only while none is under way.
        """
        self._epoch, self._writers, self._last = epoch, writers, last
        self._complaints.clear()

    def send(self, order: StepOrder, seconds: float, haste: float) -> None:
        """Send one step, which has `seconds` to come back, or, where others stand by, `haste` seconds from when the
        step before it did. Raises UnavailableError when the first worker is gone.
        """
        parts = split_order(order, len(self._writers))
        tickets = tuple(writer.seal(part) for writer, part in zip(self._writers, parts, strict=True))
        now = self._clock()
        self._flights[order.number] = _Flight(order, now, now + seconds, haste)
        self._send(Step(order.number, self._epoch, tickets))

    @property
    def stages(self) -> int:
        return len(self._writers)

    def take_progress(self) -> bool:
        """Whether a step has landed since this was asked last."""
        has_landed, self._has_landed = self._has_landed, False
        return has_landed

    def forget(self) -> None:
        """Whatever is under way does not count any more."""
        self._flights.clear()

    def check_deadlines(self, *, in_haste: bool) -> None:
        """A step that does not come back, while all workers answer heartbeats, is held back or was dropped on its
        way. `in_haste`: somebody could take over at once, so a step that is suspect is not waited for.
        """
        oldest = next(iter(self._flights.values()), None)
        if oldest is None:
            return
        if self._clock() > (min(oldest.deadline, self._suspect_at(oldest)) if in_haste else oldest.deadline):
            self.listener.on_broken(None, StepOverdueError(oldest.order.number))

    def seconds_to_suspicion(self) -> float:
        """From when on `check_deadlines` may find something; infinitely many with nothing under way."""
        oldest = next(iter(self._flights.values()), None)
        return math.inf if oldest is None else min(oldest.deadline, self._suspect_at(oldest)) - self._clock()

    def _suspect_at(self, oldest: _Flight) -> float:
        return max(oldest.sent, self._landed) + oldest.haste

    def on_result(self, worker: str, result: StepResult) -> None:
        """A result nobody waits for is dropped: it can change nothing.

        Raises MessageError, which ends the connection, when another than the last stage answers: it has no head and no
        sampler, so its tokens would be invented.
        """
        if worker != self._last:
            raise MessageError(f"{worker} answered a step, and it is not the last stage")
        while result.number in self._flights and (oldest := next(iter(self._flights))) != result.number:
            self._miss(oldest, UnavailableError("a step was lost on its way"))  # results come in order
        flight, now = self._flights.pop(result.number, None), self._clock()
        if flight is None:  # nobody waits for it, or the loss of an earlier one broke the chain
            return
        self._has_landed = True
        seconds, self._landed = now - max(flight.sent, self._landed), now
        self.listener.on_landed(flight.order, result, seconds)

    def on_failure(self, worker: str, failure: StepFailure) -> None:
        """A stage could not do its part. The worker's own words stay in its log: a peer does not write our errors.

        While nothing is under way no loss behind a stage counts: a stage that is given a new route leaves the one
        before it. A loss that stays is found by the next step.
        """
        if failure.code == ChainBrokenError.code:
            if self._flights:
                self.listener.on_broken(None, ChainBrokenError(f"worker {worker} lost the stage behind it"))
        elif failure.number in self._flights:
            self._miss(failure.number, UnavailableError(f"worker {worker} could not compute a step"))

    def on_silence(self, worker: str, silence: NeighbourSilent) -> None:
        """The connection between two stages carries nothing. What is said of another route says nothing of this one.

        Raises MessageError, which ends the connection: a stage has each of its neighbours once, and the first silence
        ends the route.
        """
        if silence.epoch != self._epoch:
            return
        if (worker, silence.is_next) in self._complaints:
            raise MessageError(f"{worker} complained twice about one neighbour")
        self._complaints.add((worker, silence.is_next))
        self.listener.on_broken(None, NeighbourSilentError(worker, silence))

    def on_refused_tickets(self, worker: str, count: int) -> None:
        """A worker (its SPIFFE id) was handed so many step tickets that did not open: somebody before it lies."""
        self._note(AuditEvent(EventKind.TICKETS_REFUSED, worker), count)

    def on_lost(self, worker: str, error: WorkerLostError) -> None:
        self.listener.on_broken(worker, error)

    def _miss(self, number: int, error: MohawkError) -> None:
        self.listener.on_missed(self._flights.pop(number).order, error)
