"""P13: nobody attacks. A hundred thousand honest requests, and as many tickets, at the full rate that is allowed, from
machines whose clocks are off by up to a minute.

Expected: not one refusal: what is authentic is no attack.
Defence: channel/nonces.py:nonce_capacity (its headroom covers clocks that are ahead) and channel/record.py:Opener (only
what it refused is counted); removed, the honest are locked out at the rate that they were promised, and operators learn
to ignore the alarm.
"""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta

from mohawk.channel.nonces import AHEAD, NonceGuard, nonce_capacity
from mohawk.channel.replay import SlidingWindow
from tests.support.tickets import EXPECTATION, make_opener, make_sealer

NOW = datetime(2026, 11, 25, tzinfo=UTC)
WINDOW = timedelta(hours=1)
PRINCIPALS = 20
PER_MINUTE = 60
REQUESTS = 100_000


def test_no_honest_request_is_refused() -> None:
    chance = random.Random(13)
    capacity = nonce_capacity(PER_MINUTE, WINDOW)
    guard, most = NonceGuard(capacity), 0
    clocks = [timedelta(seconds=seconds) for seconds in (60, *(chance.uniform(-60, 60) for _ in range(PRINCIPALS - 1)))]
    for number in range(REQUESTS // PRINCIPALS):
        now = NOW + timedelta(minutes=1) / PER_MINUTE * number
        for principal, clock in enumerate(clocks):
            guard.use(f"key-{principal}", chance.randbytes(16), now + clock, now, WINDOW)
        most = max(most, len(guard))
    assert number * timedelta(minutes=1) / PER_MINUTE > WINDOW + AHEAD, "long enough for the first to grow old"
    assert most <= PRINCIPALS * capacity


def test_no_honest_ticket_is_refused() -> None:
    sealer, in_order, shuffled = make_sealer(), make_opener(), make_opener(SlidingWindow())
    chance, late = random.Random(13), []
    for _ in range(REQUESTS):
        record = sealer.seal(b"step", EXPECTATION)
        in_order.open(record, EXPECTATION)
        late.append(record)
        if len(late) == 100:  # a relay of several paths hands them on in any order
            chance.shuffle(late)
            for one in late:
                shuffled.open(one, EXPECTATION)
            late.clear()
    for opener in (in_order, shuffled):
        assert (opener.refused, opener.forged, opener.is_alarming) == (0, 0, False)
