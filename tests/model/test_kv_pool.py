"""The KV pool: nobody reads what another wrote, nothing counts before its pass succeeded, and the room is what it
says.
"""

from __future__ import annotations

import pytest
import torch
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from mohawk.errors import MessageError, UnavailableError, UsageError
from mohawk.model.kv_pool import KVPool, Segment
from mohawk.nouns.model import BLOCK_TOKENS, blocks_for

SEQUENCES = st.integers(0, 4)


def _pool(tokens: int = 128) -> KVPool:
    return KVPool(layers=2, heads=1, head_dim=2, tokens=tokens, dtype=torch.float32)


def _write(pool: KVPool, sequence: int, start: int, count: int) -> None:
    """What a pass does: mark each token with its sequence and position."""
    segment = Segment(sequence, start, count)
    place = pool.place([segment])[0]
    for tensor in (*pool.keys, *pool.values):
        tensor[:, place.base + place.start : place.base + place.end, 0] = sequence
        tensor[:, place.base + place.start : place.base + place.end, 1] = torch.arange(start, start + count)
    pool.advance([segment])


def test_room_is_counted_in_blocks() -> None:
    assert [blocks_for(tokens) for tokens in (1, 16, 17)] == [1, 1, 2]
    pool = _pool(tokens=40)
    assert pool.capacity == 32
    pool.reserve(1, 17)
    with pytest.raises(UnavailableError):
        pool.reserve(2, 1)
    pool.free(1)
    pool.free(1)
    pool.reserve(2, 32)
    assert pool.free_tokens == 0


def test_a_pool_smaller_than_a_block_is_refused() -> None:
    with pytest.raises(UsageError):
        _pool(tokens=15)


@pytest.mark.parametrize(
    "segments",
    [
        [Segment(9, 0, 1)],
        [Segment(1, 1, 1)],
        [Segment(1, 0, 0)],
        [Segment(1, 0, 17)],
        [Segment(1, -1, 1)],
        [Segment(1, 0, 1), Segment(1, 0, 1)],
    ],
    ids=["unknown", "leaves a gap", "empty", "beyond its room", "negative", "twice"],
)
def test_a_segment_continues_its_own_sequence_or_is_refused(segments: list[Segment]) -> None:
    pool = _pool()
    pool.reserve(1, 16)
    with pytest.raises(MessageError):
        pool.place(segments)


def test_what_a_failed_pass_wrote_does_not_count() -> None:
    pool = _pool()
    pool.reserve(1, 16)
    pool.place([Segment(1, 0, 4)])
    assert pool.place([Segment(1, 0, 2)])[0].start == 0


def test_a_sequence_opens_once() -> None:
    pool = _pool()
    pool.reserve(1, 1)
    with pytest.raises(MessageError):
        pool.reserve(1, 1)
    with pytest.raises(MessageError):
        pool.reserve(2, 0)


def test_a_copy_or_an_adoption_is_of_tokens_that_were_computed() -> None:
    pool = _pool()
    pool.reserve(1, 32)
    _write(pool, 1, 0, 5)
    pool.reserve(2, 32)
    for refused in (
        lambda: pool.copy(1, 2, 6),
        lambda: pool.copy(9, 2, 1),
        lambda: pool.copy(1, 9, 1),
        lambda: pool.adopt(1, 3, 6, 32),
        lambda: pool.adopt(1, 2, 5, 32),
        lambda: pool.grow(9, 32),
    ):
        with pytest.raises(MessageError):
            refused()
    pool.copy(1, 2, 5)
    with pytest.raises(MessageError):  # it has tokens already
        pool.copy(1, 2, 5)


class PoolMachine(RuleBasedStateMachine):
    """Random opening, growing, copying, adopting, writing and closing: every sequence reads its own tokens, and room
    fails only when the blocks do not suffice, gaps or not.
    """

    def __init__(self) -> None:
        super().__init__()
        self.pool = _pool()
        self.rooms: dict[int, int] = {}
        self.tokens: dict[int, list[float]] = {}
        self.marks = 0

    def fits(self, blocks: int) -> bool:
        return (sum(self.rooms.values()) + blocks) * BLOCK_TOKENS <= self.pool.capacity

    @rule(sequence=SEQUENCES, size=st.integers(1, 70))
    def reserve(self, sequence: int, size: int) -> None:
        if sequence in self.rooms:
            return
        if not self.fits(blocks_for(size)):
            with pytest.raises(UnavailableError):
                self.pool.reserve(sequence, size)
            return
        self.pool.reserve(sequence, size)
        self.rooms[sequence], self.tokens[sequence] = blocks_for(size), []

    @rule(sequence=SEQUENCES, size=st.integers(1, 100))
    def grow(self, sequence: int, size: int) -> None:
        if sequence not in self.rooms:
            return
        more = max(0, blocks_for(size) - self.rooms[sequence])
        if not self.fits(more):
            with pytest.raises(UnavailableError):
                self.pool.grow(sequence, size)
            return
        self.pool.grow(sequence, size)
        self.rooms[sequence] += more

    @rule(sequence=SEQUENCES, count=st.integers(1, 40))
    def write(self, sequence: int, count: int) -> None:
        if sequence not in self.rooms:
            return
        held = self.tokens[sequence]
        count = min(count, self.rooms[sequence] * BLOCK_TOKENS - len(held))
        if count:
            segment = Segment(sequence, len(held), count)
            place = self.pool.place([segment])[0]
            marks = torch.arange(self.marks, self.marks + count, dtype=torch.float32)
            for tensor in (*self.pool.keys, *self.pool.values):
                tensor[:, place.base + place.start : place.base + place.end] = marks[None, :, None]
            self.pool.advance([segment])
            held += marks.tolist()
            self.marks += count

    @rule(donor=SEQUENCES, sequence=SEQUENCES, tokens=st.integers(1, 60))
    def copy(self, donor: int, sequence: int, tokens: int) -> None:
        is_new = sequence in self.rooms and not self.tokens[sequence]
        if is_new and tokens <= min(len(self.tokens.get(donor, ())), self.rooms[sequence] * BLOCK_TOKENS):
            self.pool.copy(donor, sequence, tokens)
            self.tokens[sequence] = self.tokens[donor][:tokens]

    @rule(donor=SEQUENCES, sequence=SEQUENCES, tokens=st.integers(1, 60), size=st.integers(1, 100))
    def adopt(self, donor: int, sequence: int, tokens: int, size: int) -> None:
        if sequence in self.rooms or tokens > len(self.tokens.get(donor, ())):
            return
        more = max(0, blocks_for(size) - self.rooms[donor])
        if self.fits(more):
            self.pool.adopt(donor, sequence, tokens, size)
            self.rooms[sequence] = self.rooms.pop(donor) + more
            self.tokens[sequence] = self.tokens.pop(donor)[:tokens]

    @rule(sequence=SEQUENCES)
    def free(self, sequence: int) -> None:
        self.pool.free(sequence)
        self.rooms.pop(sequence, None)
        self.tokens.pop(sequence, None)

    @invariant()
    def everybody_reads_its_own(self) -> None:
        assert self.pool.free_tokens == self.pool.capacity - sum(self.rooms.values()) * BLOCK_TOKENS
        for sequence, held in self.tokens.items():
            if len(held) < self.rooms[sequence] * BLOCK_TOKENS:
                base = self.pool.place([Segment(sequence, len(held), 1)])[0].base
                for tensor in (*self.pool.keys, *self.pool.values):
                    assert tensor[0, base : base + len(held), 0].tolist() == held


PoolMachine.TestCase.settings = settings(max_examples=100, stateful_step_count=50, deadline=None)
TestPool = PoolMachine.TestCase
