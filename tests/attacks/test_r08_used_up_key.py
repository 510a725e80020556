"""R08: a key has sealed 2^48 records.

Expected: the sender refuses to seal another one, for ever; the receiver takes no number beyond.
Defence: channel/record.py:Sealer.seal (the bound on numbers) and channel/replay.py (the same, at both replays); removed,
the counter goes on to where a nonce could repeat.
"""

from __future__ import annotations

import pytest

from mohawk.channel.replay import MAXIMUM_SEQUENCE, InOrder, RecordRefusedError, Replay, SlidingWindow
from mohawk.errors import UnavailableError
from tests.support.tickets import EXPECTATION, make_opener, make_sealer, sequence_of


def test_the_last_record_is_sealed_and_no_other() -> None:
    sealer, opener = make_sealer(), make_opener()
    sealer._next = MAXIMUM_SEQUENCE - 1
    last = sealer.seal(b"the last one", EXPECTATION)
    assert sequence_of(last) == 2**48 - 1
    for _ in range(3):
        with pytest.raises(UnavailableError, match="used up"):
            sealer.seal(b"one more", EXPECTATION)
    assert opener.open(last, EXPECTATION) == b"the last one"


@pytest.mark.parametrize("make_replay", [InOrder, SlidingWindow])
@pytest.mark.parametrize("sequence", [MAXIMUM_SEQUENCE, MAXIMUM_SEQUENCE + 1, 2**64 - 1])
def test_no_number_beyond_is_taken(make_replay: type[Replay], sequence: int) -> None:
    replay = make_replay()
    for judge in (replay.check, replay.record):
        with pytest.raises(RecordRefusedError):
            judge(sequence)
    replay.record(MAXIMUM_SEQUENCE - 1)
