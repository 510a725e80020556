"""P08: a message is older than its window, or 61 s ahead of our clock.

Expected: refused with 401, and not remembered: it takes no room.
Defence: channel/nonces.py:NonceGuard.use (freshness); removed, what was recorded long ago is new once its nonce is
forgotten, and a message from the future outlives the memory of it.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from mohawk.channel.nonces import NonceGuard, NonceRefusedError, NonceRepeatedError

NOW = datetime(2026, 11, 25, tzinfo=UTC)
SECOND = timedelta(seconds=1)
WINDOWS = {"challenge": timedelta(seconds=60), "join token": timedelta(seconds=600), "request": timedelta(seconds=3600)}


@pytest.mark.parametrize("window", WINDOWS.values(), ids=WINDOWS)
def test_what_is_not_fresh_is_refused(window: timedelta) -> None:
    guard = NonceGuard(10)
    for created in (NOW - window - SECOND, NOW - 10 * window, NOW + timedelta(seconds=61), NOW + timedelta(days=1)):
        with pytest.raises(NonceRefusedError) as refusal:
            guard.use("w1", b"nonce", created, NOW, window)
        assert refusal.value.http_status == 401
        assert not isinstance(refusal.value, NonceRepeatedError)
    assert len(guard) == 0
    for number, created in enumerate((NOW - window, NOW, NOW + timedelta(seconds=60))):
        guard.use("w1", bytes([number]), created, NOW, window)


@pytest.mark.parametrize("window", WINDOWS.values(), ids=WINDOWS)
def test_there_is_no_moment_at_which_a_used_one_is_new_again(window: timedelta) -> None:
    """From its use until long after its window: repeated, then stale, and nothing between."""
    guard, created = NonceGuard(10), NOW + timedelta(seconds=60)
    guard.use("w1", b"nonce", created, NOW, window)
    for seconds in range(0, int(window.total_seconds()) + 200, 7):
        for fraction in (0, 0.5):
            with pytest.raises(NonceRefusedError):
                guard.use("w1", b"nonce", created, NOW + timedelta(seconds=seconds + fraction), window)
