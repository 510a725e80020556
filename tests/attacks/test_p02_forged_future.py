"""P02: a forged record carries a number from the future, so that genuine ones look old.

Expected: nothing moves; the genuine ones are accepted later.
Defence: channel/record.py:Opener._open (the number is noted only after the record authenticated: RFC 9147 4.5.1);
removed, one forged record stops a route for good.
"""

from __future__ import annotations

import pytest

from mohawk.channel.replay import InOrder, RecordRefusedError, Replay, SlidingWindow
from tests.support.tickets import EXPECTATION, make_opener, make_sealer, with_sequence


@pytest.mark.parametrize("make_replay", [InOrder, SlidingWindow])
@pytest.mark.parametrize("future", [1, 2047, 2048, 1 << 40, (1 << 48) - 1, 1 << 48, (1 << 64) - 1])
def test_a_forged_number_moves_nothing(make_replay: type[Replay], future: int) -> None:
    sealer, opener = make_sealer(), make_opener(make_replay())
    opener.open(sealer.seal(b"before", EXPECTATION), EXPECTATION)
    genuine = sealer.seal(b"genuine", EXPECTATION)
    for forged in (with_sequence(genuine, 1 + future & (1 << 64) - 1), genuine[:-16] + bytes(16)):
        with pytest.raises(RecordRefusedError):
            opener.open(forged, EXPECTATION)
    assert opener.open(genuine, EXPECTATION) == b"genuine"
    assert opener.open(sealer.seal(b"next", EXPECTATION), EXPECTATION) == b"next"
