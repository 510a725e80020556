"""Keys and values of all sequences of one stage, in memory that is taken once.

Rules, and what each stops:
- A sequence reads only positions that it wrote itself: a segment must start exactly where the sequence ends, so that
  memory left over from another sequence is never attended to.
- What a pass wrote counts only when the pass succeeded: a failed step leaves no half-written history.
- Room is counted in blocks of 16 tokens, and a reservation fails only when fewer blocks are free than it needs: gaps
  are closed by moving, so the controller's own account (sum of blocks) always agrees with ours.
- Who begins with another's tokens gets a copy of its own, of tokens that were computed: nobody writes where another
  reads.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
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
        self._runs[sequence] = _Run(self._find_room(size), size)

    def grow(self, sequence: int, tokens: int) -> None:
        """Room for `tokens` tokens in all; never less than it has. Raises UnavailableError when the pool is full."""
        run = self._run_of(sequence)
        size = blocks_for(tokens) * BLOCK_TOKENS
        if size <= run.size:
            return
        if size - run.size > self.free_tokens:
            raise _full()
        if self._room_behind(run) < size - run.size:
            self._relocate(run, size)
        run.size = size

    def copy(self, donor: int, sequence: int, tokens: int) -> None:
        """`sequence`, just reserved, begins with the first `tokens` tokens of `donor`."""
        source, target = self._run_of(donor), self._run_of(sequence)
        if not 0 < tokens <= min(source.length, target.size) or target.length:
            raise MessageError("a copy of tokens that are not there, or to where there are some")
        for pool in (*self.keys, *self.values):
            pool[:, target.base : target.base + tokens] = pool[:, source.base : source.base + tokens]
        target.length = tokens

    def adopt(self, donor: int, sequence: int, tokens: int, reserve: int) -> None:
        """`sequence` takes over all the room of `donor`, which ends, and keeps the first `tokens` of its tokens. Then
        it grows to `reserve` tokens of room. Raises UnavailableError when the pool is full.
        """
        run = self._run_of(donor)
        if sequence in self._runs or not 0 < tokens <= run.length:
            raise MessageError("an adoption by a sequence that is open already, or of tokens that are not there")
        self._runs[sequence] = self._runs.pop(donor)
        run.length = tokens
        self.grow(sequence, reserve)

    def free(self, sequence: int) -> None:
        """Give a sequence's room back; of an unknown sequence: nothing."""
        self._runs.pop(sequence, None)

    def clear(self) -> None:
        """Forget all sequences."""
        self._runs.clear()

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

    def _run_of(self, sequence: int) -> _Run:
        run = self._runs.get(sequence)
        if run is None:
            raise MessageError("a sequence that is not open")
        return run

    def _find_room(self, size: int) -> int:
        """Where `size` free tokens begin; gaps are closed when none is large enough."""
        if size > self.free_tokens:
            raise _full()
        base = self._largest_gap(size)
        return self._close_gaps() if base is None else base

    def _largest_gap(self, size: int) -> int | None:
        """The largest gap, so that who takes it can grow, if it holds `size` tokens."""
        length, base = max(self._gaps(), key=lambda gap: (gap[0], -gap[1]))
        return base if length >= size else None

    def _gaps(self) -> Iterator[tuple[int, int]]:
        """(tokens, base) of what is free, in order."""
        base = 0
        for run in self._in_order():
            yield run.base - base, base
            base = run.base + run.size
        yield self.capacity - base, base

    def _in_order(self) -> list[_Run]:
        return sorted(self._runs.values(), key=lambda run: run.base)

    def _room_behind(self, run: _Run) -> int:
        following = (other.base for other in self._runs.values() if other.base > run.base)
        return min(following, default=self.capacity) - (run.base + run.size)

    def _relocate(self, run: _Run, size: int) -> None:
        """Move a run to where `size` tokens are free: another gap, or the end once all others have moved down."""
        base = self._largest_gap(size)
        if base is not None:
            self._move(run, base)
            return
        tail = self._close_gaps()
        if run.base + run.size != tail:
            self._move_to_end(run, tail)

    def _move_to_end(self, run: _Run, tail: int) -> None:
        """Those behind `run` move down by its size, and it comes behind them."""
        followers = [other for other in self._in_order() if other.base > run.base]
        for pool in (*self.keys, *self.values):
            kept = pool[:, run.base : run.base + run.length].clone()
            for other in followers:
                _shift(pool, other.base, other.base - run.size, other.length)
            pool[:, tail - run.size : tail - run.size + run.length] = kept
        for other in followers:
            other.base -= run.size
        run.base = tail - run.size

    def _close_gaps(self) -> int:
        """Move every run down to the first free token; returns where free room begins."""
        base = 0
        for run in self._in_order():
            if run.base != base:
                self._move(run, base)
            base += run.size
        return base

    def _move(self, run: _Run, base: int) -> None:
        for pool in (*self.keys, *self.values):
            _shift(pool, run.base, base, run.length)
        run.base = base


def _shift(pool: torch.Tensor, source: int, target: int, length: int) -> None:
    # clone: source and destination may overlap
    pool[:, target : target + length] = pool[:, source : source + length].clone()


def _full() -> UnavailableError:
    return UnavailableError("no room for this sequence's keys and values", hint="try again later")
