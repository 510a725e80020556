"""A nonce is used once; memory of it is bounded, fair and dated."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from mohawk.channel.nonces import (
    AHEAD,
    NonceGuard,
    NonceOverflowError,
    NonceRefusedError,
    NonceRepeatedError,
    NonceUse,
    nonce_capacity,
)
from mohawk.errors import HostError

NOW = datetime(2026, 11, 25, tzinfo=UTC)
WINDOW = timedelta(seconds=600)
SECOND = timedelta(seconds=1)


def use(guard: NonceGuard, nonce: bytes = b"n", *, who: str = "w1", age: timedelta = timedelta(0), now: datetime = NOW):
    guard.use(who, nonce, now - age, now, WINDOW)


@pytest.mark.parametrize("age", [timedelta(0), WINDOW, -AHEAD])
def test_used_once_and_not_again(age: timedelta) -> None:
    guard = NonceGuard(10)
    use(guard, age=age)
    with pytest.raises(NonceRepeatedError):
        use(guard, age=age)
    use(guard, b"another", age=age)
    use(guard, who="w2", age=age)


@pytest.mark.parametrize("age", [WINDOW + SECOND, -AHEAD - SECOND])
def test_what_is_not_fresh_is_refused_and_not_remembered(age: timedelta) -> None:
    guard = NonceGuard(10)
    with pytest.raises(NonceRefusedError) as refusal:
        use(guard, age=age)
    assert refusal.value.http_status == 401
    assert len(guard) == 0


def test_it_is_remembered_exactly_as_long_as_it_is_fresh() -> None:
    guard = NonceGuard(10)
    guard.use("w1", b"n", NOW + AHEAD, NOW, WINDOW)
    late = NOW + AHEAD + WINDOW
    with pytest.raises(NonceRepeatedError):
        guard.use("w1", b"n", NOW + AHEAD, late, WINDOW)
    with pytest.raises(NonceRefusedError):
        guard.use("w1", b"n", NOW + AHEAD, late + SECOND, WINDOW)
    use(guard, b"other", now=late + SECOND)
    assert len(guard) == 1


def test_a_full_principal_is_refused_and_nothing_is_forgotten() -> None:
    guard = NonceGuard(3)
    for number in range(3):
        use(guard, bytes([number]))
    with pytest.raises(NonceOverflowError):
        use(guard, b"one more")
    with pytest.raises(NonceRepeatedError):
        use(guard, bytes([0]))
    use(guard, who="somebody else")


def test_what_cannot_be_written_down_does_not_count_as_used() -> None:
    def fail(_use: NonceUse) -> None:
        raise HostError("disk full")

    guard = NonceGuard(3, fail)
    for _ in range(2):
        with pytest.raises(HostError):
            use(guard)
    assert len(guard) == 0


def test_capacity_follows_rate_and_window() -> None:
    assert nonce_capacity(10, timedelta(minutes=9)) == 120
    assert nonce_capacity(0.001, timedelta(0)) == 1
