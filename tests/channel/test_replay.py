"""What was seen under one key: `check` looks, `record` notes, and neither believes what it cannot know."""

from __future__ import annotations

import pytest

from mohawk.channel.replay import MAXIMUM_SEQUENCE, WINDOW, InOrder, RecordRefusedError, Replay, SlidingWindow

BOTH = pytest.mark.parametrize("make", [InOrder, SlidingWindow])


def takes(replay: Replay, sequence: int) -> bool:
    try:
        replay.check(sequence)
    except RecordRefusedError:
        return False
    return True


@BOTH
def test_a_number_is_new_until_it_is_noted(make: type[Replay]) -> None:
    replay = make()
    for _ in range(3):
        replay.check(0)
    replay.record(0)
    for judge in (replay.check, replay.record):
        with pytest.raises(RecordRefusedError):
            judge(0)
    replay.check(1)


@BOTH
@pytest.mark.parametrize("sequence", [-1, MAXIMUM_SEQUENCE, 1 << 64])
def test_a_number_that_no_key_has_is_refused(make: type[Replay], sequence: int) -> None:
    assert not takes(make(), sequence)
    assert takes(make(), MAXIMUM_SEQUENCE - 1)


@BOTH
def test_noting_looks_again(make: type[Replay]) -> None:
    """What was checked before may have been noted by another thread since."""
    replay = make()
    replay.check(5)
    replay.record(5)
    with pytest.raises(RecordRefusedError):
        replay.record(5)


def test_in_order_goes_only_up() -> None:
    replay = InOrder()
    replay.record(7)
    assert [takes(replay, sequence) for sequence in (0, 6, 7, 8, 1 << 40)] == [False, False, False, True, True]


def test_a_window_takes_each_number_behind_the_newest_once() -> None:
    replay = SlidingWindow()
    replay.record(5000)
    behind = range(5000 - WINDOW - 2, 5001)
    assert [sequence for sequence in behind if takes(replay, sequence)] == list(range(5000 - WINDOW + 1, 5000))
    replay.record(4000)
    assert not takes(replay, 4000)
    assert takes(replay, 3999)
