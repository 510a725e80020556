"""P04: a genuine record whose number is 2^40 ahead, as after a long cut.

Expected: the window is cleared; whatever is older than it is dropped, what lies within it is new; memory does not follow
the jump.
Defence: channel/replay.py:SlidingWindow.record (nothing is shifted further than the window); removed, one record asks
for a bitmap of 2^40 bits, 128 GiB. Its masking removed, the bitmap grows with every record.
"""

from __future__ import annotations

import tracemalloc

import pytest

from mohawk.channel.replay import WINDOW, RecordRefusedError, SlidingWindow
from tests.support.tickets import EXPECTATION, make_opener, make_sealer

JUMP = 1 << 40


def test_after_a_jump_the_old_is_old_and_the_new_is_new() -> None:
    sealer, opener = make_sealer(), make_opener(SlidingWindow())
    seen, unseen = (sealer.seal(b"before", EXPECTATION) for _ in range(2))
    opener.open(seen, EXPECTATION)
    sealer._next = JUMP - 1
    behind, ahead = (sealer.seal(b"after", EXPECTATION) for _ in range(2))
    tracemalloc.start()
    try:
        assert opener.open(ahead, EXPECTATION) == b"after"
        assert tracemalloc.get_traced_memory()[1] < 1 << 16
    finally:
        tracemalloc.stop()
    for old in (seen, unseen, ahead):
        with pytest.raises(RecordRefusedError):
            opener.open(old, EXPECTATION)
    assert opener.open(behind, EXPECTATION) == b"after"


@pytest.mark.parametrize("ahead", [1, 2, WINDOW - 1, WINDOW, WINDOW + 1, 1 << 20, JUMP])
def test_the_window_holds_its_2048_bits_and_no_more(ahead: int) -> None:
    window = SlidingWindow()
    for number in range(2 * WINDOW if ahead == 1 else 5):
        window.record(number * ahead)
        assert window._seen.bit_length() <= WINDOW
