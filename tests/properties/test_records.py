"""Whatever bytes arrive, a record opens or is refused, and nothing else; and a window says what the whole history would."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mohawk.channel.replay import MAXIMUM_SEQUENCE, WINDOW, InOrder, RecordRefusedError, Replay, SlidingWindow
from tests.support.tickets import EXPECTATION, make_opener, make_sealer

GENUINE = make_sealer().seal(b"part of a step", EXPECTATION)
JUMPS = st.one_of(st.integers(-3, 3), st.integers(-2 * WINDOW, 2 * WINDOW), st.integers(-(1 << 49), 1 << 49))
EDGES = st.sampled_from([-WINDOW - 1, -WINDOW, -WINDOW + 1, WINDOW - 1, WINDOW, WINDOW + 1, 1 << 40])


@given(st.binary(max_size=300), st.binary(max_size=100))
@settings(max_examples=300)
def test_any_bytes_are_refused(record: bytes, expectation: bytes) -> None:
    opener = make_opener()
    for one in (record, GENUINE[:33] + record, record + GENUINE[len(record) :], GENUINE + record + b"\0"):
        with contextlib.suppress(RecordRefusedError):
            assert (opener.open(one, expectation), one, expectation) == (b"part of a step", GENUINE, EXPECTATION)
    assert opener.refused == 4 or (opener.refused == 3 and expectation == EXPECTATION)


@given(st.lists(st.tuples(st.integers(0, len(GENUINE) - 1), st.integers(0, 255)), min_size=1, max_size=8))
@settings(max_examples=300)
def test_a_damaged_record_is_refused_and_changes_nothing(changes: list[tuple[int, int]]) -> None:
    damaged = bytearray(GENUINE)
    for place, value in changes:
        damaged[place] = value
    opener = make_opener(SlidingWindow())
    if damaged != GENUINE:
        with pytest.raises(RecordRefusedError):
            opener.open(bytes(damaged), EXPECTATION)
    assert opener.open(GENUINE, EXPECTATION) == b"part of a step"


class Naive:
    """Everything that was ever noted."""

    def __init__(self, width: int) -> None:
        self.seen: set[int] = set()
        self.highest = -1
        self.width = width

    def takes(self, sequence: int) -> bool:
        is_in_range = 0 <= sequence < MAXIMUM_SEQUENCE and sequence > self.highest - self.width
        return is_in_range and sequence not in self.seen

    def note(self, sequence: int) -> None:
        self.seen.add(sequence)
        self.highest = max(self.highest, sequence)


def agree(replay: Replay, naive: Naive, steps: list[tuple[int, bool]]) -> None:
    """Both see the same numbers, each so far from the last; `is_genuine`: it authenticated, hence is noted."""
    sequence = 0
    for jump, is_genuine in steps:
        sequence = max(-1, min(sequence + jump, MAXIMUM_SEQUENCE + 1))
        try:
            replay.check(sequence)
            is_taken = True
        except RecordRefusedError:
            is_taken = False
        assert is_taken == naive.takes(sequence)
        if is_taken and is_genuine:
            replay.record(sequence)
            naive.note(sequence)


@given(st.lists(st.tuples(st.one_of(JUMPS, EDGES), st.booleans()), max_size=60))
@settings(max_examples=300)
def test_a_window_says_what_the_whole_history_would(steps: list[tuple[int, bool]]) -> None:
    agree(SlidingWindow(), Naive(WINDOW), steps)


@given(st.lists(st.tuples(st.one_of(JUMPS, EDGES), st.booleans()), max_size=60))
def test_in_order_is_a_window_of_nothing(steps: list[tuple[int, bool]]) -> None:
    agree(InOrder(), Naive(0), steps)
