"""P01: the same record twice.

Expected: the second is dropped, and the counter of refusals rises by one.
Defence: channel/replay.py:InOrder.record and :SlidingWindow.record, called by channel/record.py:Opener._open; removed, a
relay has a step computed as often as it likes.
"""

from __future__ import annotations

import pytest

from mohawk.channel.replay import InOrder, RecordRefusedError, Replay, SlidingWindow
from tests.support.tickets import EXPECTATION, make_opener, make_sealer


@pytest.mark.parametrize("make_replay", [InOrder, SlidingWindow])
def test_the_second_is_dropped_and_counted(make_replay: type[Replay]) -> None:
    sealer, opener = make_sealer(), make_opener(make_replay())
    for number in range(5):
        record = sealer.seal(b"step", EXPECTATION)
        assert opener.open(record, EXPECTATION) == b"step"
        assert opener.refused == number
        with pytest.raises(RecordRefusedError):
            opener.open(record, EXPECTATION)
        assert (opener.refused, opener.forged) == (number + 1, 0)
