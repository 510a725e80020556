"""One stage's share of a step: rows in, rows or tokens out. Called from the worker's one compute thread only."""

from __future__ import annotations

import time
from dataclasses import dataclass
from itertools import accumulate

from mohawk.checkpoint.grammar import Masks
from mohawk.contract.steps import Opening, SampledToken, StagePart
from mohawk.errors import MessageError
from mohawk.model.sampler import Sampler
from mohawk.model.stage import Segment, Stage
from mohawk.model.tensors import from_buffer, to_buffer
from mohawk.worker.constraints import Constraints


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a stage hands on: activations to the next stage, or tokens to the controller (then `activations` is
    empty).
    """

    activations: memoryview
    tokens: tuple[SampledToken, ...]
    compute_microseconds: int


class Runner:
    """A stage with the sampler of its sequences (used by the last stage)."""

    def __init__(self, stage: Stage, constraints: Constraints | None = None) -> None:
        self.stage = stage
        self._sampler = Sampler()
        self._constraints = constraints

    def run(self, part: StagePart, body: bytearray) -> Outcome:
        """Close, retire, grow, open, compute, sample: in this order, so that what closes makes room for the others.

        `body`: [rows, hidden size] activations, or empty on the first stage. Raises MohawkError.
        """
        begin = time.perf_counter()
        for sequence in part.closed:
            self.stage.free(sequence)
            self._stop_sampling(sequence)
        for sequence in part.retired:
            self._stop_sampling(sequence)
        for growth in part.growths:
            self.stage.grow(growth.sequence, growth.reserve_tokens)
        for opening in part.openings:
            self._open(opening)
        activations, tokens = self._compute(part, body) if part.segments else (memoryview(b""), ())
        return Outcome(activations, tokens, int((time.perf_counter() - begin) * 1e6))

    def forget(self) -> None:
        """No sequence is open any more."""
        self.stage.clear()
        self._sampler.clear()
        if self._constraints is not None:
            self._constraints.clear()

    def _stop_sampling(self, sequence: int) -> None:
        self._sampler.close(sequence)
        if self._constraints is not None:
            self._constraints.close(sequence)

    def _open(self, opening: Opening) -> None:
        self._take_room(opening)
        if opening.sampling is not None:
            self._sampler.open(opening.sequence, opening.sampling, opening.generated)
            if opening.sampling.grammar is not None:
                if self._constraints is None:
                    raise MessageError("a grammar for a stage that was given no tokenizer")
                self._constraints.open(opening.sequence, opening.sampling.grammar, opening.generated)

    def _take_room(self, opening: Opening) -> None:
        source = opening.source
        if source is not None and source.adopts:
            self.stage.adopt(source.donor, opening.sequence, source.tokens, opening.reserve_tokens)
            self._stop_sampling(source.donor)
            return
        self.stage.reserve(opening.sequence, opening.reserve_tokens)
        if source is not None:
            self.stage.copy(source.donor, opening.sequence, source.tokens)

    def _compute(self, part: StagePart, body: bytearray) -> tuple[memoryview, tuple[SampledToken, ...]]:
        stage = self.stage
        segments = tuple(Segment(s.sequence, s.start, s.count) for s in part.segments)
        rows = part.token_ids if stage.is_first else from_buffer(body, part.rows, stage.hidden_size, stage.dtype)
        if not stage.is_last:
            return to_buffer(stage.run(segments, rows)), ()
        ends = accumulate(segment.count for segment in part.segments)
        sampled = [(segment, end - 1) for segment, end in zip(part.segments, ends, strict=True) if segment.sample]
        named = [segment.sequence for segment, _ in sampled]
        if self._constraints is not None:
            self._constraints.begin(named)
        logits = stage.run(segments, rows, [row for _, row in sampled])
        places = [(segment.sequence, segment.start + segment.count) for segment, _ in sampled]
        masks = Masks({}, frozenset()) if self._constraints is None else self._constraints.finish(named)
        tokens = self._sampler.sample(logits, places, masks.allowed)
        for sequence, token in zip(named, tokens, strict=True):
            if self._constraints is not None:
                self._constraints.accept(sequence, token)
        details = self._sampler.describe(logits, places, tokens)
        return memoryview(b""), tuple(
            SampledToken(sequence, token, detail, failed=sequence in masks.failed)
            for (sequence, _), token, detail in zip(places, tokens, details, strict=True)
        )
