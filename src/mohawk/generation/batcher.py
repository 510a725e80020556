"""Continuous batching: which tokens of which sequences each step computes.

`schedule` -> run the order -> `postprocess`, or `fail`. Up to `depth` orders are under way at once, so that every stage
of the chain has work. A step decodes one token of each sequence that can, its share of them when several steps are
under way; then it takes pieces of prompts, small ones while somebody decodes (`Pace`); then it admits who waits, fairly
between tenants (`WaitingRoom`), if there is room for keys and values (`KVAccount`).

Room is taken as sequences grow. When there is none left, the least urgent one is thrown out and computed again later
from its tokens: they are the truth, and everything that stages hold is a function of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from mohawk.errors import MessageError, MohawkError, UnavailableError, UsageError
from mohawk.generation.kv_account import KVAccount
from mohawk.generation.orders import OpeningOrder, StepOrder
from mohawk.generation.pace import Pace
from mohawk.generation.session import FinishReason, Sequence
from mohawk.generation.waiting import GENERATED_WEIGHT, WaitingRoom
from mohawk.nouns.model import BLOCK_TOKENS, blocks_for
from mohawk.nouns.segment import Segment

OPENING_BYTES = 128 << 10
"""Of all sequences that one step opens: a step's header holds twice as much. One is opened whatever its size."""
QUEUE_FACTOR = 4
"""Sequences that may wait for each that may run; a longer queue only makes everybody late."""
ATTEMPTS = 2
"""Steps in a row that may fail under a sequence before it is given up."""


class Progress(NamedTuple):
    """What a step brought one sequence: a token, its end, or both."""

    sequence: int
    token: int | None = None
    finish: FinishReason | None = None
    error: MohawkError | None = None
    """Set when `finish` is FAILED."""


@dataclass(slots=True)
class _Batch:
    """A step being put together; `budget`: tokens that it still has room for."""

    budget: int
    parts: list[tuple[Sequence, int]] = field(default_factory=list)
    openings: list[OpeningOrder] = field(default_factory=list)

    def take(self, sequence: Sequence, count: int) -> None:
        self.parts.append((sequence, count))
        self.budget -= count

    def __contains__(self, sequence: Sequence) -> bool:
        return any(part is sequence for part, _ in self.parts)


@dataclass(frozen=True, slots=True)
class _Flight:
    """An order under way, and for each of its segments the sequence at the attempt that it is part of."""

    order: StepOrder
    sequences: tuple[tuple[Sequence, int], ...]

    def alive(self) -> Iterator[tuple[Segment, Sequence]]:
        """Segments that still count: their sequences did not end, and were not thrown out meanwhile."""
        for segment, (sequence, attempt) in zip(self.order.segments, self.sequences, strict=True):
            if sequence.finish is None and sequence.attempt == attempt:
                yield segment, sequence


class Batcher:
    """At most `maximum_sequences` run at once, in `kv_tokens` tokens of KV; a step computes at most `token_budget`
    tokens; at most `depth` steps are under way. `salt`: random, keys the digests of shared prompts.

    Raises UsageError when a step could not hold one token of each.
    """

    def __init__(
        self, token_budget: int, kv_tokens: int, maximum_sequences: int, *, salt: bytes = b"", depth: int = 1
    ) -> None:
        if not 1 <= maximum_sequences <= token_budget:
            raise UsageError("a step's token budget must hold a token of every sequence", field="token_budget")
        if kv_tokens < BLOCK_TOKENS:
            raise UsageError(f"the KV pools hold at least {BLOCK_TOKENS} tokens", field="kv_tokens")
        self.token_budget = token_budget
        self.maximum_sequences = maximum_sequences
        self.depth = depth
        """May be changed at any time: what is under way beyond it comes back, and no more leaves until then."""
        self.pace = Pace()
        self._account = KVAccount(kv_tokens, salt)
        self._waiting = WaitingRoom()
        self._running: dict[int, Sequence] = {}
        self._queued: dict[int, Sequence] = {}
        self._flights: dict[int, _Flight] = {}
        self._interrupted: set[int] = set()
        """Sequences that ran when the stages lost everything, and are not computed again yet."""
        self._steps = 0
        self.admitted = 0
        """Sequences that left the queue for the stages for the first time, in all."""

    @property
    def running(self) -> int:
        return len(self._running)

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    @property
    def held_up(self) -> int:
        """Of those who wait, how many do until others end; the rest begins as soon as steps have computed so many
        prompts.
        """
        following = self._waiting.next()
        if following is None:
            return 0
        places = self._account.places(following, len(self._running))
        return self.waiting - min(self.waiting, places, self.maximum_sequences - len(self._running))

    @property
    def in_flight(self) -> int:
        """Steps under way."""
        return len(self._flights)

    @property
    def kv_tokens_total(self) -> int:
        return self._account.total * BLOCK_TOKENS

    @property
    def kv_tokens_used(self) -> int:
        """By sequences that run."""
        return (self._account.total - self._account.free - self._account.retained) * BLOCK_TOKENS

    @property
    def kv_tokens_retained(self) -> int:
        """By sequences that ended, for those who go on from them; given up when somebody needs the room."""
        return self._account.retained * BLOCK_TOKENS

    def add(self, sequence: Sequence) -> None:
        """Queue a sequence. Raises UsageError when it can never fit, UnavailableError when too many wait already."""
        if blocks_for(sequence.request.maximum_tokens) > self._account.total:
            limit = self.kv_tokens_total
            raise UsageError(f"prompt and max_tokens together may not exceed {limit} tokens here", field="max_tokens")
        if len(self._waiting) >= QUEUE_FACTOR * self.maximum_sequences:
            raise UnavailableError("too many requests are waiting", hint="try again in a few seconds")
        self._queue(sequence)

    def cancel(self, number: int) -> None:
        """End a sequence now; the next step frees what it held. Of one that has ended: nothing. A token still under way
        for it is dropped.
        """
        if sequence := self._leave(number, FinishReason.CANCELLED):
            self._account.close(sequence)

    def finish(self, number: int) -> None:
        """A sequence's text is complete, by a stop string: what it held is worth keeping."""
        if sequence := self._leave(number, FinishReason.STOP):
            self._account.keep(sequence)

    def end_session(self, session: str) -> None:
        """No further turn of it will come."""
        self._account.end_session(session)

    def schedule(self) -> StepOrder | None:
        """The next step; None when there is nothing to do, or enough is under way."""
        if len(self._flights) >= self.depth:
            return None
        batch = self._suspect() or self._fill()
        if not batch.parts and not self._account.has_changes:
            return None
        return self._order(batch)

    def postprocess(self, order: StepOrder, tokens: Mapping[int, int], seconds: float = 0.0) -> list[Progress]:
        """The step was computed; `tokens` holds the sampled token of each segment that asked for one. It occupied the
        chain for `seconds`.

        Raises MessageError, with nothing changed, when the last stage answered for other sequences than it was asked
        for.
        """
        if tokens.keys() != {segment.sequence for segment in order.segments if segment.sample}:
            raise MessageError("sampled tokens that do not match the step")
        flight = self._land(order)
        decoding = sum(segment.count == 1 for segment in order.segments)
        self.pace.observe(decoding=decoding, prompt_tokens=len(order.token_ids) - decoding, seconds=seconds)
        landed = [self._advance(segment, sequence, tokens) for segment, sequence in flight.alive()]
        return [progress for progress in landed if progress is not None]

    def fail(self, order: StepOrder, error: MohawkError) -> list[Progress]:
        """The step was lost. Its sequences are computed again, each in a step of its own: whichever makes steps fail
        then fails alone, with `error`.

        Which stages had done their part is unknown, so all that the order opened, used or closed is closed once more;
        closing twice does nothing.
        """
        flight = self._land(order)
        progress = []
        for _, sequence in list(flight.alive()):
            sequence.failures += 1
            self._throw_out(sequence)
            if sequence.failures >= ATTEMPTS:
                self._leave(sequence.id, FinishReason.FAILED)
                progress.append(Progress(sequence.id, None, FinishReason.FAILED, error))
        opened = [opening.sequence for opening in order.openings]
        donors = [opening.source.donor for opening in order.openings if opening.source and opening.source.adopts]
        self._account.repeat(number for number in (*order.closed, *opened, *donors) if number not in self._running)
        return progress

    def restart(self) -> None:
        """The stages hold nothing any more, and no step that is under way will come back: everybody begins again, from
        their tokens.
        """
        self._flights.clear()
        self._interrupted.update(self._running)
        for sequence in sorted(self._running.values(), key=_urgency):
            sequence.forget()
            self._queue(sequence)
        self._running.clear()
        self._account.reset()

    def _fill(self) -> _Batch:
        """Decode, then prompts, then newcomers."""
        batch = _Batch(self.token_budget)
        self._decode(batch)
        if batch.parts and self.pace.is_unsure:
            return batch
        prompts = [one for one in self._running.values() if one.pending > 1 and not one.failures]
        prompts.sort(key=_urgency)
        if self._spares_readers():
            batch.budget = min(batch.budget, self.pace.allowance())
            if prompts:
                self._let_by(prompts, batch)
        for sequence in prompts:
            if batch.budget and sequence not in batch:
                batch.take(sequence, min(sequence.pending, batch.budget))
        while batch.budget and (newcomer := self._admit(batch, suspects=False)):
            batch.take(newcomer, min(newcomer.pending, batch.budget))
        return batch

    def _let_by(self, prompts: list[Sequence], batch: _Batch) -> None:
        """Up to half of a small piece goes to those with less to read than the first, and as urgent: a question of one
        line does not wait until a long document is read.
        """
        first = prompts[0]
        half = batch.budget // 2
        others = [one for one in prompts[1:] if _goes_by(one, first)]
        for sequence in sorted(others, key=lambda one: one.pending):
            if half:
                count = min(sequence.pending, half)
                batch.take(sequence, count)
                half -= count
        newcomer = self._waiting.next()
        if half and newcomer is not None and _goes_by(newcomer, first) and self._admit(batch, suspects=False):
            batch.take(newcomer, min(newcomer.pending, half))

    def _spares_readers(self) -> bool:
        """Whether prompts are taken in small pieces: more people read than wait for their first token, for a crowd's
        prompts are not held up for one reader; nor are those who were interrupted while they read.
        """
        running = self._running
        self._interrupted = {
            number
            for number in self._interrupted
            if number in self._queued or (number in running and not running[number].is_decoding)
        }
        decoding = sum(sequence.is_decoding for sequence in running.values())
        return 0 < decoding >= len(running) - decoding + len(self._waiting) and not self._interrupted

    def _decode(self, batch: _Batch) -> None:
        """One token of each sequence that waits for its turn, the longest since its last one first. With several steps
        under way each takes its share, or the first would take all and the others go empty.
        """
        share = -(-sum(sequence.is_decoding for sequence in self._running.values()) // self.depth)
        ready = [one for one in self._running.values() if one.pending == 1 and not one.flying and not one.failures]
        for sequence in sorted(ready, key=lambda one: (one.last_step, one.id)):
            if len(batch.parts) == share:
                return
            if sequence.id in self._running and self._make_room(sequence, batch):
                batch.take(sequence, 1)

    def _make_room(self, sequence: Sequence, batch: _Batch) -> bool:
        """Room for one more token, at the cost of whoever is less urgent and not under way."""
        while not self._account.grow(sequence, 1):
            less_urgent = [
                one
                for one in self._running.values()
                if _urgency(one) > _urgency(sequence) and not one.flying and one not in batch
            ]
            if not less_urgent:
                return False
            self._throw_out(max(less_urgent, key=_urgency))
        return True

    def _suspect(self) -> _Batch | None:
        """A step under which something failed before is computed with nothing else in it."""
        batch = _Batch(self.token_budget)
        running = (one for one in self._running.values() if one.failures and not one.flying)
        suspect = next(running, None) or self._admit(batch, suspects=True)
        if suspect is None:
            return None
        batch.take(suspect, min(suspect.pending, batch.budget))
        return batch

    def _admit(self, batch: _Batch, *, suspects: bool) -> Sequence | None:
        """The one whose turn it is, if there is room and one block more for each that runs: whoever comes in must not
        be thrown out by the next token of another.
        """
        sequence = self._waiting.next()
        if sequence is None or bool(sequence.failures) != suspects or len(self._running) >= self.maximum_sequences:
            return None
        if sum(opening.size for opening in batch.openings) >= OPENING_BYTES:
            return None
        opening = self._account.open(sequence, spare=len(self._running))
        if opening is None:
            self._interrupted.discard(sequence.id)  # it waits for others to end, whatever this step reads
            return None
        self._running[sequence.id] = self._waiting.take()
        del self._queued[sequence.id]
        batch.openings.append(opening)
        self.admitted += not sequence.attempt  # who comes back has waited its turn before
        return sequence

    def _order(self, batch: _Batch) -> StepOrder:
        self._steps += 1
        changes = self._account.take_changes()
        order = StepOrder(
            number=self._steps,
            segments=tuple(_segment(sequence, count) for sequence, count in batch.parts),
            token_ids=tuple(token for sequence, count in batch.parts for token in sequence.next_tokens(count)),
            openings=tuple(batch.openings),
            growths=tuple(changes.growths),
            closed=tuple(changes.closed),
            retired=tuple(changes.retired),
        )
        for sequence, count in batch.parts:
            sequence.flying += count
            sequence.last_step = self._steps
        alive = tuple((sequence, sequence.attempt) for sequence, _ in batch.parts)
        self._flights[order.number] = _Flight(order, alive)
        return order

    def _land(self, order: StepOrder) -> _Flight:
        if order.number not in self._flights:
            raise UsageError("this step is not under way")
        return self._flights.pop(order.number)

    def _advance(self, segment: Segment, sequence: Sequence, tokens: Mapping[int, int]) -> Progress | None:
        sequence.computed += segment.count
        sequence.flying -= segment.count
        if segment.start < len(sequence.request.prompt):
            self._account.offer(sequence)
        if not segment.sample:
            return None
        token = tokens[sequence.id]
        self._waiting.charge(sequence.request.caller, GENERATED_WEIGHT)
        finish = sequence.append(token)
        if finish is not None:
            del self._running[sequence.id]
            self._account.keep(sequence)
        return Progress(sequence.id, token, finish)

    def _queue(self, sequence: Sequence) -> None:
        self._queued[sequence.id] = sequence
        self._waiting.add(sequence)

    def _throw_out(self, sequence: Sequence) -> None:
        """Back into the queue; its tokens are kept, and computed again."""
        del self._running[sequence.id]
        self._account.close(sequence)
        self._queue(sequence)

    def _leave(self, number: int, reason: FinishReason) -> Sequence | None:
        """A sequence ends; the one that held room is returned."""
        sequence = self._running.pop(number, None)
        queued = self._queued.pop(number, None)
        if queued is not None:
            self._waiting.remove(queued)
        for ended in (sequence, queued):
            if ended is not None:
                ended.finish = reason
        return sequence


def _urgency(sequence: Sequence) -> tuple[int, int]:
    """The lower, the later it is thrown out: by priority, then by age."""
    return (sequence.request.caller.priority, sequence.id)


def _goes_by(other: Sequence, first: Sequence) -> bool:
    """Whether `other` need not wait until the prompt of `first` is read."""
    return other.pending < first.pending and other.request.caller.priority <= first.request.caller.priority


def _segment(sequence: Sequence, count: int) -> Segment:
    start = sequence.computed + sequence.flying
    return Segment(sequence.id, start, count, sample=count == sequence.pending)
