"""R09: two threads seal a million records under one key, and are interrupted wherever it hurts.

Expected: no nonce repeats.
Defence: channel/record.py:Sealer.seal (the lock around reading and raising the number); removed, two threads seal under
one nonce, which gives away the difference of two parts and, with it, the key of the tag: forgeries follow.
"""

from __future__ import annotations

import time
from array import array
from concurrent.futures import ThreadPoolExecutor

import pytest

from mohawk.channel.record import Direction, Sealer, _Key
from tests.support.tickets import EXPECTATION, TRANSCRIPT, export, sequence_of

MILLION = 1_000_000


def seal_many(sealer: Sealer, count: int) -> array[int]:
    seal = sealer.seal
    return array("Q", (sequence_of(seal(b"p", EXPECTATION)) for _ in range(count)))


class HesitantSealer(Sealer):
    """Another thread runs each time after the number was read, before it is raised."""

    __slots__ = ("_value",)

    @property
    def _next(self) -> int:
        value = self._value
        time.sleep(0)
        return value

    @_next.setter
    def _next(self, value: int) -> None:
        self._value = value


@pytest.mark.timeout(120)
@pytest.mark.parametrize(("kind", "count"), [(Sealer, MILLION), (HesitantSealer, 2_000)])
def test_no_nonce_repeats(kind: type[Sealer], count: int) -> None:
    sealer = kind(export, TRANSCRIPT, 1)
    with ThreadPoolExecutor(2) as threads:
        one, other = threads.map(seal_many, (sealer, sealer), (count // 2, count // 2))
    assert len(one) == len(other) == count // 2
    assert len({*one, *other}) == count


def test_another_number_is_another_nonce() -> None:
    key = _Key(export, TRANSCRIPT, Direction.FROM_CONTROLLER, 1)
    numbers = [*range(3000), *((1 << bit) + offset for bit in range(12, 48) for offset in (-1, 0, 1))]
    assert len({key.nonce(number) for number in set(numbers)}) == len(set(numbers))
