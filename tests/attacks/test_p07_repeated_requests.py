"""P07: a request that is sealed for one execution is sent again within the window.

Expected: refused with 409, executed once, however often and however fast it comes. Here at the guard that will stand
before sealed API requests; those themselves are not there yet.
Defence: channel/nonces.py:NonceGuard.use (remembers what was used); removed, whoever recorded a request has it executed
again.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from mohawk.channel.nonces import NonceGuard, NonceRepeatedError

NOW = datetime(2026, 11, 25, tzinfo=UTC)
WINDOW = timedelta(hours=1)
NONCE = b"sixteen bytes..."


class Executor:
    """What acts on a request, after the guard let it pass."""

    def __init__(self) -> None:
        self.guard = NonceGuard(1000)
        self.executed: list[bytes] = []

    def request(self, principal: str, nonce: bytes, created: datetime, now: datetime) -> None:
        self.guard.use(principal, nonce, created, now, WINDOW)
        self.executed.append(nonce)


@pytest.mark.parametrize("later", [0, 1, 1800, 3599, 3600])
def test_it_is_executed_once(later: int) -> None:
    server = Executor()
    server.request("key-1", NONCE, NOW, NOW)
    for _ in range(3):
        with pytest.raises(NonceRepeatedError) as refusal:
            server.request("key-1", NONCE, NOW, NOW + timedelta(seconds=later))
        assert refusal.value.http_status == 409
    assert server.executed == [NONCE]


def test_another_time_of_creation_does_not_make_it_new() -> None:
    """The nonce is what is remembered; `created` only says how long."""
    server = Executor()
    server.request("key-1", NONCE, NOW, NOW)
    for seconds in (-1800, 1, 60):
        with pytest.raises(NonceRepeatedError):
            server.request("key-1", NONCE, NOW + timedelta(seconds=seconds), NOW)
    assert server.executed == [NONCE]
