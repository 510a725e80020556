"""Keys and values of all sequences of one stage, in memory that is taken once.

Rules, and what each stops:
- A sequence reads only positions that it wrote itself: a segment must start exactly where the sequence ends, so that
  memory left over from another sequence is never attended to.
- What a pass wrote counts only when the pass succeeded: a failed step leaves no half-written history.
- Room is counted in blocks of 16 tokens, and a reservation fails only when fewer blocks are free than it needs: gaps
  are closed by moving, so the controller's own account (sum of blocks) always agrees with ours.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from mohawk.errors import MessageError, UnavailableError, UsageError
from mohawk.nouns.model import BLOCK_TOKENS, blocks_for


@dataclass(frozen=True, slots=True)
class Segment:
    """`count` new tokens of one sequence, the first at position `start`."""

    sequence: int
    start: int
    count: int


@dataclass(frozen=True, slots=True)
class Placement:
    """A segment's rows in the pass, and where its sequence begins in the pool (a token index)."""

    row: int
    count: int
    start: int
    base: int

    @property
    def end(self) -> int:
        """Tokens of the sequence once the segment is written."""
        return self.start + self.count


@dataclass(slots=True)
class _Run:
    """A sequence's contiguous tokens in the pool. Unit of `base` and `size`: tokens, multiples of a block."""

    base: int
    size: int
    length: int = 0


class KVPool:
    """`tokens` tokens of keys and values for each layer; keys[layer] and values[layer] are [KV heads, tokens, head
    size].
    """

    def __init__(self, *, layers: int, heads: int, head_dim: int, tokens: int, dtype: torch.dtype) -> None:
        if tokens < BLOCK_TOKENS:
            raise UsageError(f"a KV pool holds at least {BLOCK_TOKENS} tokens", field="kv_tokens")
        self.capacity = tokens - tokens % BLOCK_TOKENS
        shape = (heads, self.capacity, head_dim)
        self.keys = [torch.zeros(shape, dtype=dtype) for _ in range(layers)]
        self.values = [torch.zeros(shape, dtype=dtype) for _ in range(layers)]
        self._runs: dict[int, _Run] = {}

    @property
    def free_tokens(self) -> int:
        """Tokens that a reservation may still take."""
        return self.capacity - sum(run.size for run in self._runs.values())

    @property
    def size(self) -> int:
        """Bytes."""
        return sum(tensor.nbytes for tensor in (*self.keys, *self.values))

    def overwrite(self) -> None:
        """Zeros over all keys and values: they are somebody's prompt."""
        for tensor in (*self.keys, *self.values):
            tensor.zero_()

    def reserve(self, sequence: int, tokens: int) -> None:
        """Room for a sequence of at most `tokens` tokens. Raises UnavailableError when the pool is full."""
        if sequence in self._runs or tokens <= 0:
            raise MessageError("a sequence that is open already, or reserves nothing")
        size = blocks_for(tokens) * BLOCK_TOKENS
        if size > self.free_tokens:
            raise UnavailableError("no room for this sequence's keys and values", hint="try again later")
        base = self._first_gap(size)
        self._runs[sequence] = _Run(self._close_gaps() if base is None else base, size)

    def free(self, sequence: int) -> None:
        """Give a sequence's room back; of an unknown sequence: nothing."""
        self._runs.pop(sequence, None)

    def place(self, segments: Sequence[Segment]) -> tuple[Placement, ...]:
        """Where a pass's rows belong. Raises MessageError unless each continues its own sequence within its room."""
        placements = []
        row = 0
        for segment in segments:
            run = self._runs.get(segment.sequence)
            if run is None or segment.count <= 0 or segment.start != run.length:
                raise MessageError("a segment that does not continue an open sequence")
            if segment.start + segment.count > run.size:
                raise MessageError("a segment beyond what its sequence reserved")
            placements.append(Placement(row, segment.count, segment.start, run.base))
            row += segment.count
        if len({segment.sequence for segment in segments}) != len(segments):
            raise MessageError("a sequence twice in one pass")
        return tuple(placements)

    def advance(self, segments: Sequence[Segment]) -> None:
        """The pass over these segments succeeded: what it wrote is history now."""
        for segment in segments:
            self._runs[segment.sequence].length = segment.start + segment.count

    def _first_gap(self, size: int) -> int | None:
        base = 0
        for run in sorted(self._runs.values(), key=lambda run: run.base):
            if run.base - base >= size:
                return base
            base = run.base + run.size
        return base if self.capacity - base >= size else None

    def _close_gaps(self) -> int:
        """Move every run down to the first free token; returns where free room begins."""
        base = 0
        for run in sorted(self._runs.values(), key=lambda run: run.base):
            if run.base != base:
                self._move(run, base)
            base += run.size
        return base

    def _move(self, run: _Run, base: int) -> None:
        for pool in (*self.keys, *self.values):
            # clone: source and destination may overlap
            pool[:, base : base + run.length] = pool[:, run.base : run.base + run.length].clone()
        run.base = base
