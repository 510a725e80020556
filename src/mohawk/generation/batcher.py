"""Continuous batching: which tokens of which sequences the next step computes.

`schedule` -> run the order -> `postprocess`, or `fail`. One order at a time. Every step decodes one token of each
sequence that can, then fills what is left of the token budget with pieces of prompts. A sequence is admitted, first
come first served, when there is room for all the keys and values that it may ever need: what runs is never thrown out.

The account of KV blocks here and the workers' own agree because a step's `closed` are freed before its `openings` are
reserved, on both sides.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from mohawk.errors import MessageError, MohawkError, UnavailableError, UsageError
from mohawk.generation.session import FinishReason, Sequence
from mohawk.nouns.model import BLOCK_TOKENS, SamplingParameters, blocks_for

OPENING_BYTES = 128 << 10
"""Of all sequences that one step opens: a step's header holds twice as much. One is opened whatever its size."""
QUEUE_FACTOR = 2
"""Sequences that may wait for each that may run; a longer queue only makes everybody late."""


@dataclass(frozen=True, slots=True)
class SegmentOrder:
    """`count` tokens of one sequence from position `start`; `sample`: the last of them asks for a next token."""

    sequence: int
    start: int
    count: int
    sample: bool


@dataclass(frozen=True, slots=True)
class OpeningOrder:
    """A sequence new to the stages: tokens of KV to reserve (whole blocks), and what its sampler starts from."""

    sequence: int
    reserve_tokens: int
    sampling: SamplingParameters
    generated: tuple[int, ...]

    @property
    def size(self) -> int:
        """About its bytes on the way to the last stage, never less."""
        grammar = 0 if self.sampling.grammar is None else len(self.sampling.grammar.text.encode("utf-8"))
        return 256 + grammar + 20 * len(self.sampling.logit_bias) + 5 * len(self.generated)


@dataclass(frozen=True, slots=True)
class StepOrder:
    """One step. `token_ids`: those of all segments, in order. An order without segments only closes."""

    number: int
    segments: tuple[SegmentOrder, ...]
    token_ids: tuple[int, ...]
    openings: tuple[OpeningOrder, ...]
    closed: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Progress:
    """What a step brought one sequence: a token, its end, or both."""

    sequence: int
    token: int | None = None
    finish: FinishReason | None = None
    error: MohawkError | None = None
    """Set when `finish` is FAILED."""


class Batcher:
    """At most `maximum_sequences` run at once, in `kv_tokens` tokens of KV; a step computes at most `token_budget`
    tokens.

    Raises UsageError when a step could not hold one token of each.
    """

    def __init__(self, token_budget: int, kv_tokens: int, maximum_sequences: int) -> None:
        if not 1 <= maximum_sequences <= token_budget:
            raise UsageError("a step's token budget must hold a token of every sequence", field="token_budget")
        if kv_tokens < BLOCK_TOKENS:
            raise UsageError(f"the KV pools hold at least {BLOCK_TOKENS} tokens", field="kv_tokens")
        self.token_budget = token_budget
        self.maximum_sequences = maximum_sequences
        self.total_blocks = kv_tokens // BLOCK_TOKENS
        self.free_blocks = self.total_blocks
        self._waiting: deque[Sequence] = deque()
        self._running: dict[int, Sequence] = {}
        self._closing: list[int] = []
        self._in_flight: StepOrder | None = None
        self._steps = 0

    @property
    def running(self) -> int:
        return len(self._running)

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    @property
    def kv_tokens_total(self) -> int:
        return self.total_blocks * BLOCK_TOKENS

    @property
    def kv_tokens_used(self) -> int:
        return (self.total_blocks - self.free_blocks) * BLOCK_TOKENS

    def add(self, sequence: Sequence) -> None:
        """Queue a sequence. Raises UsageError when it can never fit, UnavailableError when too many wait already."""
        if _blocks(sequence) > self.total_blocks:
            limit = self.total_blocks * BLOCK_TOKENS
            raise UsageError(f"prompt and max_tokens together may not exceed {limit} tokens here", field="max_tokens")
        if len(self._waiting) >= QUEUE_FACTOR * self.maximum_sequences:
            raise UnavailableError("too many requests are waiting", hint="try again in a few seconds")
        self._waiting.append(sequence)

    def cancel(self, sequence_id: int) -> None:
        """End a sequence now. Of one that has ended: nothing. A token still in flight for it is dropped."""
        if sequence_id in self._running:
            self._end(self._running[sequence_id], FinishReason.CANCELLED)
            return
        for sequence in self._waiting:
            if sequence.id == sequence_id:
                sequence.finish = FinishReason.CANCELLED
                self._waiting.remove(sequence)
                return

    def schedule(self) -> StepOrder | None:
        """The next step, or None when there is nothing to do."""
        if self._in_flight is not None:
            raise UsageError("a step is in flight: finish it before the next")
        budget = self.token_budget
        scheduled: list[tuple[Sequence, int]] = []
        openings: list[OpeningOrder] = []
        for sequence in self._by_urgency():
            if count := min(sequence.pending, budget):
                scheduled.append((sequence, count))
                budget -= count
        while budget and sum(one.size for one in openings) < OPENING_BYTES and (admitted := self._admit()):
            openings.append(_opening(admitted))
            count = min(admitted.pending, budget)
            scheduled.append((admitted, count))
            budget -= count
        if not scheduled and not self._closing:
            return None
        self._in_flight = self._order(scheduled, openings)
        return self._in_flight

    def postprocess(self, order: StepOrder, tokens: Mapping[int, int]) -> list[Progress]:
        """The step was computed; `tokens` holds the sampled token of each segment that asked for one.

        Raises MessageError, with nothing changed, when the last stage answered for other sequences than it was asked
        for.
        """
        if tokens.keys() != {segment.sequence for segment in order.segments if segment.sample}:
            raise MessageError("sampled tokens that do not match the step")
        self._land(order)
        progress = []
        for segment in order.segments:
            sequence = self._running.get(segment.sequence)
            if sequence is None:  # cancelled while the step was under way
                continue
            sequence.computed += segment.count
            if segment.sample:
                token = tokens[segment.sequence]
                finish = sequence.append(token)
                if finish is not None:
                    self._end(sequence, finish)
                progress.append(Progress(sequence.id, token, finish))
        return progress

    def fail(self, order: StepOrder, error: MohawkError) -> list[Progress]:
        """The step was lost: every sequence in it ends with `error`.

        Which stages had done their part is unknown, so all that the order opened, used or closed is closed once more;
        closing twice does nothing.
        """
        self._land(order)
        self._closing[:0] = order.closed
        failed = [segment.sequence for segment in order.segments if segment.sequence in self._running]
        for sequence in failed:
            self._end(self._running[sequence], FinishReason.FAILED)
        return [Progress(sequence, None, FinishReason.FAILED, error) for sequence in failed]

    def _by_urgency(self) -> Iterable[Sequence]:
        """Those that decode first, then prompts in their order of arrival."""
        return sorted(self._running.values(), key=lambda sequence: sequence.pending > 1)

    def _admit(self) -> Sequence | None:
        if not self._waiting or len(self._running) >= self.maximum_sequences:
            return None
        if _blocks(self._waiting[0]) > self.free_blocks:  # first come, first served: nobody overtakes
            return None
        sequence = self._waiting.popleft()
        self.free_blocks -= _blocks(sequence)
        self._running[sequence.id] = sequence
        return sequence

    def _order(self, scheduled: list[tuple[Sequence, int]], openings: list[OpeningOrder]) -> StepOrder:
        self._steps += 1
        closed, self._closing = tuple(self._closing), []
        return StepOrder(
            number=self._steps,
            segments=tuple(_segment(sequence, count) for sequence, count in scheduled),
            token_ids=tuple(token for sequence, count in scheduled for token in _next_tokens(sequence, count)),
            openings=tuple(openings),
            closed=closed,
        )

    def _land(self, order: StepOrder) -> None:
        if order is not self._in_flight:
            raise UsageError("this step is not the one in flight")
        self._in_flight = None

    def _end(self, sequence: Sequence, reason: FinishReason) -> None:
        sequence.finish = reason
        del self._running[sequence.id]
        self.free_blocks += _blocks(sequence)
        self._closing.append(sequence.id)


def _blocks(sequence: Sequence) -> int:
    return blocks_for(sequence.request.maximum_tokens)


def _opening(sequence: Sequence) -> OpeningOrder:
    return OpeningOrder(sequence.id, _blocks(sequence) * BLOCK_TOKENS, sequence.request.sampling, sequence.generated)


def _segment(sequence: Sequence, count: int) -> SegmentOrder:
    return SegmentOrder(sequence.id, sequence.computed, count, sample=count == sequence.pending)


def _next_tokens(sequence: Sequence, count: int) -> list[int]:
    return sequence.history[sequence.computed : sequence.computed + count]
