"""R03: a relay swaps two tickets, or hands one on more than once.

Expected: of two that were swapped the older is dropped and counted; each is delivered at most once, in whatever order a
relay of several paths hands them on.
Defence: channel/replay.py:InOrder.check and :SlidingWindow.check; removed, an old step is computed again after a newer
one, over keys and values that are no longer those it was meant for.
"""

from __future__ import annotations

import random

import pytest

from mohawk.channel.replay import InOrder, RecordRefusedError, Replay, SlidingWindow
from tests.support.tickets import EXPECTATION, make_opener, make_sealer


def test_of_two_swapped_tickets_the_older_is_dropped_and_counted() -> None:
    sealer, opener = make_sealer(), make_opener()
    first, second, third = (sealer.seal(name, EXPECTATION) for name in (b"first", b"second", b"third"))
    assert opener.open(second, EXPECTATION) == b"second"
    with pytest.raises(RecordRefusedError):
        opener.open(first, EXPECTATION)
    assert (opener.refused, opener.forged) == (1, 0)
    assert opener.open(third, EXPECTATION) == b"third"


@pytest.mark.parametrize("make_replay", [InOrder, SlidingWindow])
def test_each_is_delivered_at_most_once_whatever_the_order(make_replay: type[Replay]) -> None:
    chance = random.Random(3)
    sealer, opener = make_sealer(), make_opener(make_replay())
    records = [sealer.seal(number.to_bytes(2, "big"), EXPECTATION) for number in range(600)]
    handed_on = records * 3
    chance.shuffle(handed_on)
    delivered = []
    for record in handed_on:
        try:
            delivered.append(opener.open(record, EXPECTATION))
        except RecordRefusedError:
            pass
    assert len(delivered) == len(set(delivered))
    assert opener.refused == len(handed_on) - len(delivered)
    if make_replay is InOrder:
        assert delivered == sorted(delivered), "on one path, only ever forward"
    else:
        assert len(delivered) == len(records), "on several, none is lost that is less than 2,048 behind"
