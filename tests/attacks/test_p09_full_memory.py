"""P09: one principal fills the memory of used nonces, to disturb others or to make room for a replay.

Expected: it is refused (429) until its own nonces grow old; nothing is forgotten for it, and others notice nothing.
Defence: channel/nonces.py:NonceGuard.use (a bound for each principal, and no eviction); removed, one key with a loop
fills this node's memory.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from mohawk.channel.nonces import NonceGuard, NonceOverflowError, NonceRepeatedError, nonce_capacity

NOW = datetime(2026, 11, 25, tzinfo=UTC)
WINDOW = timedelta(minutes=10)
CAPACITY = nonce_capacity(10, WINDOW)
FLOOD = 20 * CAPACITY
OTHERS = 50


def test_the_flood_is_refused_and_nobody_else_is() -> None:
    guard, refused = NonceGuard(CAPACITY), 0
    guard.use("victim", b"first", NOW, NOW, WINDOW)
    for number in range(FLOOD):
        try:
            guard.use("flood", number.to_bytes(4, "big"), NOW, NOW, WINDOW)
        except NonceOverflowError:
            refused += 1
    for number in range(OTHERS):
        guard.use(f"other-{number}", b"nonce", NOW, NOW, WINDOW)
    assert refused == FLOOD - CAPACITY
    assert len(guard) == CAPACITY + 1 + OTHERS
    with pytest.raises(NonceRepeatedError):
        guard.use("victim", b"first", NOW, NOW, WINDOW)
    for number in range(CAPACITY):  # its own are remembered as well: a flood wins no second use
        with pytest.raises(NonceRepeatedError):
            guard.use("flood", number.to_bytes(4, "big"), NOW, NOW, WINDOW)


def test_it_is_let_in_again_when_its_own_are_too_old_to_matter() -> None:
    guard = NonceGuard(3)
    for number in range(3):
        guard.use("flood", bytes([number]), NOW, NOW, WINDOW)
    later = NOW + WINDOW
    with pytest.raises(NonceOverflowError) as refusal:
        guard.use("flood", b"more", later, later, WINDOW)
    assert refusal.value.http_status == 429
    later += timedelta(seconds=1)
    guard.use("flood", b"more", later, later, WINDOW)
    assert len(guard) == 1
