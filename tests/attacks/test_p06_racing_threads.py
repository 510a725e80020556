"""P06: one record reaches sixteen threads at the same time.

Expected: exactly one of them gets its content, fifteen refusals are counted.
Defence: channel/replay.py:InOrder.record and :SlidingWindow.record (they look once more) under channel/record.py:
Opener._open's lock; removed, every thread that had looked before the first one noted the number delivers the record.
"""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest

from mohawk.channel.record import Opener
from mohawk.channel.replay import InOrder, RecordRefusedError, Replay, SlidingWindow
from tests.support.tickets import EXPECTATION, make_opener, make_sealer

THREADS = 16


class Together:
    """No thread notes the number before all have looked and found it new."""

    def __init__(self, inner: Replay) -> None:
        self._inner = inner
        self._barrier = Barrier(THREADS)

    def check(self, sequence: int) -> None:
        self._inner.check(sequence)
        self._barrier.wait()

    def record(self, sequence: int) -> None:
        self._inner.record(sequence)


class HesitantInOrder(InOrder):
    """Another thread runs each time after the last number was read."""

    __slots__ = ("_value",)

    @property
    def _last(self) -> int:
        value = self._value
        time.sleep(0.001)
        return value

    @_last.setter
    def _last(self, value: int) -> None:
        self._value = value


def race(opener: Opener, record: bytes) -> int:
    """How many of the threads got its content."""

    def attempt(_number: int) -> bool:
        try:
            return opener.open(record, EXPECTATION) == b"step"
        except RecordRefusedError:
            return False

    with ThreadPoolExecutor(THREADS) as threads:
        return sum(threads.map(attempt, range(THREADS)))


@pytest.mark.parametrize("make_replay", [InOrder, SlidingWindow, HesitantInOrder])
def test_exactly_one_thread_wins(make_replay: type[Replay]) -> None:
    opener = make_opener(Together(make_replay()))
    assert race(opener, make_sealer().seal(b"step", EXPECTATION)) == 1
    assert (opener.refused, opener.forged) == (THREADS - 1, 0)


@pytest.mark.parametrize("make_replay", [InOrder, SlidingWindow])
def test_nor_does_more_than_one_in_a_thousand_races(make_replay: type[Replay]) -> None:
    sealer, opener = make_sealer(), make_opener(make_replay())
    records = [sealer.seal(number.to_bytes(2, "big"), EXPECTATION) for number in range(1000)]

    def open_all(_number: int) -> list[bytes]:
        delivered = []
        for record in records:
            try:
                delivered.append(opener.open(record, EXPECTATION))
            except RecordRefusedError:
                pass
        return delivered

    with ThreadPoolExecutor(THREADS) as threads:
        delivered = [one for many in threads.map(open_all, range(THREADS)) for one in many]
    assert len(delivered) == len(set(delivered))
    assert len(delivered) + opener.refused == THREADS * len(records)
