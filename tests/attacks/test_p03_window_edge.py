"""P03: records at the old end of the window.

Expected: 2,047 behind the newest is accepted, once; 2,048 behind is dropped, seen or not.
Defence: channel/replay.py:SlidingWindow.check (age against WINDOW) and :SlidingWindow.record (the bit of each number);
removed, a record that fell out of the window is new again, or one on its edge counts twice.
"""

from __future__ import annotations

import pytest

from mohawk.channel.replay import WINDOW, RecordRefusedError, SlidingWindow
from tests.support.tickets import EXPECTATION, make_opener, make_sealer


def test_the_edge_is_where_the_specification_has_it() -> None:
    assert WINDOW == 2048
    sealer, opener = make_sealer(), make_opener(SlidingWindow())
    records = [sealer.seal(b"step", EXPECTATION) for _ in range(3000)]
    opener.open(records[-1], EXPECTATION)
    outside, edge = records[-1 - 2048], records[-1 - 2047]
    for record in (outside, records[0]):
        with pytest.raises(RecordRefusedError):
            opener.open(record, EXPECTATION)
    assert opener.open(edge, EXPECTATION) == b"step"
    with pytest.raises(RecordRefusedError):
        opener.open(edge, EXPECTATION)
    assert opener.refused == 3


def test_what_was_seen_stays_seen_until_it_falls_out() -> None:
    sealer, opener = make_sealer(), make_opener(SlidingWindow())
    records = [sealer.seal(b"step", EXPECTATION) for _ in range(2 * WINDOW)]
    opener.open(records[0], EXPECTATION)
    for newest in (1, WINDOW - 1, WINDOW, WINDOW + 1, 2 * WINDOW - 1):
        opener.open(records[newest], EXPECTATION)
        with pytest.raises(RecordRefusedError):
            opener.open(records[0], EXPECTATION)
