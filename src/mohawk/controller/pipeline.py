"""Steps down the chain, results back: the controller's end of the pipeline.

A step leaves on the connection to the first worker; its result comes back on the connection that the controller dialled
to the last one. Whatever happens between them, each step ends exactly once: with its tokens, or with a typed error.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace

from mohawk.audit.events import AuditEvent, EventKind, NoteEvent
from mohawk.contract.steps import Opening, Segment, StagePart, Step, StepFailure, StepResult
from mohawk.controller.tickets import TicketWriter
from mohawk.errors import MessageError, MohawkError, UnavailableError, WorkerLostError
from mohawk.generation.batcher import StepOrder

SendStep = Callable[[Step], None]


def split_order(order: StepOrder, stages: int) -> tuple[StagePart, ...]:
    """One part per stage: token ids in the first one's only, sampling and history in the last one's only."""
    segments = tuple(Segment(s.sequence, s.start, s.count, s.sample) for s in order.segments)
    openings = tuple(Opening(o.sequence, o.reserve_tokens, o.sampling, o.generated) for o in order.openings)
    blind = tuple(replace(opening, sampling=None, generated=()) for opening in openings)
    return tuple(
        StagePart(
            segments=segments,
            token_ids=order.token_ids if index == 0 else (),
            openings=openings if index == stages - 1 else blind,
            closed=order.closed,
            number=order.number,
        )
        for index in range(stages)
    )


class Pipeline:
    """The steps in flight of one plan. `send` puts a step on the first worker's connection; `workers`: in order. It
    takes no step before `rekey`.
    """

    def __init__(self, send: SendStep, *, workers: tuple[str, ...], note: NoteEvent) -> None:
        self._send = send
        self._note = note
        self._last = workers[-1]
        self._epoch = 0
        self._writers: tuple[TicketWriter, ...] = ()
        self._waiting: dict[int, asyncio.Future[StepResult]] = {}
        self.lost: MohawkError | None = None

    def rekey(self, epoch: int, writers: tuple[TicketWriter, ...]) -> None:
        """Steps belong to this epoch from now on, and are sealed by these, one per stage. Only while none is under
        way.
        """
        self._epoch = epoch
        self._writers = writers

    async def run(self, order: StepOrder, deadline: float) -> StepResult:
        """Send one step and wait at most `deadline` seconds for its tokens.

        Raises WorkerLostError when a stage is gone, UnavailableError when the step takes too long or a stage failed it.
        """
        if self.lost is not None:
            raise self.lost
        future: asyncio.Future[StepResult] = asyncio.get_running_loop().create_future()
        self._waiting[order.number] = future
        try:
            parts = split_order(order, len(self._writers))
            tickets = tuple(writer.seal(part) for writer, part in zip(self._writers, parts, strict=True))
            self._send(Step(order.number, self._epoch, tickets))
            async with asyncio.timeout(deadline):
                return await future
        except TimeoutError:
            raise UnavailableError("a step did not come back in time", hint="see `mohawk status`") from None
        finally:
            self._waiting.pop(order.number, None)

    def on_result(self, worker: str, result: StepResult) -> None:
        """A result nobody waits for (its step timed out, or was never sent) is dropped: it can change nothing.

        Raises MessageError, which ends the connection, when another than the last stage answers: it has no head and no
        sampler, so its tokens would be invented.
        """
        if worker != self._last:
            raise MessageError(f"{worker} answered a step, and it is not the last stage")
        future = self._waiting.get(result.number)
        if future is not None and not future.done():
            future.set_result(result)

    def on_failure(self, worker: str, failure: StepFailure) -> None:
        """A stage could not do its part. The worker's own words stay in its log: a peer does not write our errors."""
        future = self._waiting.get(failure.number)
        if future is not None and not future.done():
            future.set_exception(UnavailableError(f"worker {worker} could not compute a step"))

    def on_refused_tickets(self, worker: str, count: int) -> None:
        """A worker (its SPIFFE id) was handed so many step tickets that did not open: somebody before it lies."""
        self._note(AuditEvent(EventKind.TICKETS_REFUSED, worker), count)

    def on_lost(self, error: WorkerLostError) -> None:
        """A worker of this plan is gone: everything in flight, and everything after it, ends with `error`."""
        self.lost = error
        for future in self._waiting.values():
            if not future.done():
                future.set_exception(error)
