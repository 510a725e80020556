"""The KV pool: nobody reads what another wrote, nothing counts before its pass succeeded, and the room is what it
says.
"""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mohawk.errors import MessageError, UnavailableError, UsageError
from mohawk.model.kv_pool import KVPool, Segment
from mohawk.nouns.model import BLOCK_TOKENS, blocks_for


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


def _read(pool: KVPool, sequence: int, length: int) -> None:
    """Every token of the sequence is its own."""
    base = pool.place([Segment(sequence, length, 1)])[0].base
    for tensor in (*pool.keys, *pool.values):
        assert (tensor[:, base : base + length, 0] == sequence).all()
        assert torch.equal(tensor[0, base : base + length, 1], torch.arange(length, dtype=torch.float32))


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


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 5), st.integers(1, 64), st.integers(1, 64)), max_size=30))
def test_sequences_keep_their_own_tokens_and_room_never_gets_lost(steps: list[tuple[int, int, int]]) -> None:
    """Random opening, writing and closing: a reservation fails only when the blocks do not suffice, gaps or not."""
    pool = _pool()
    lengths: dict[int, int] = {}
    sizes: dict[int, int] = {}
    for sequence, size, written in steps:
        if sequence in lengths:
            pool.free(sequence)
            del lengths[sequence], sizes[sequence]
            continue
        blocks = sum(blocks_for(taken) for taken in sizes.values()) + blocks_for(size)
        if blocks * BLOCK_TOKENS > pool.capacity:
            with pytest.raises(UnavailableError):
                pool.reserve(sequence, size)
            continue
        pool.reserve(sequence, size)
        sizes[sequence], lengths[sequence] = size, min(size, written) - 1
        if lengths[sequence]:
            _write(pool, sequence, 0, lengths[sequence])
        for other, length in lengths.items():
            _read(pool, other, length)
