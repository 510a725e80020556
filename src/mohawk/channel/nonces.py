"""The nonce guard: what may be used once, is used once, across restarts (docs/spec/nonces.md).

For what arrives without a connection of its own to count in: join tokens, attestation challenges, sealed API requests.

Rules, and the attack each stops:
- Asked only after the message was authenticated: who cannot authenticate fills nothing (P02's kin).
- Too old or too far ahead is refused without being remembered: memory is bounded by the window (P08).
- Full for one principal means refused, for that principal: nothing is evicted, so no flood makes room for a replay, and
  nobody else is disturbed (P09).
- Written down before it counts: a restart does not make a used nonce new (P10), and a disk that fails means refused.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from heapq import heappop, heappush

from mohawk.errors import RemoteError

AHEAD = timedelta(seconds=60)
"""How far the sender's clock may be ahead of ours."""
MAXIMUM_NONCE = 64
"""Bytes: what a memory on disk must read again after a restart."""
HEADROOM = 1.2
"""A principal's share of memory, over what its rate allows it to use."""


class NonceRefusedError(RemoteError):
    """Too old, from the future, or no nonce of ours."""

    exit_code = 4
    http_status = 401
    code = "not_fresh"


class NonceRepeatedError(NonceRefusedError):
    """Authentic, and seen before: a replay."""

    http_status = 409
    code = "replayed"


class NonceOverflowError(NonceRefusedError):
    """One principal used all that its rate allows for."""

    http_status = 429
    code = "too_many_nonces"


@dataclass(frozen=True, slots=True)
class NonceUse:
    """One nonce that was used; remembered until `until`."""

    principal: str
    nonce: bytes
    until: datetime


def nonce_capacity(per_minute: float, window: timedelta) -> int:
    """How many nonces a principal of that many requests per minute may have in memory at once."""
    return max(1, int(per_minute * (window + AHEAD) / timedelta(minutes=1) * HEADROOM))


class NonceGuard:
    """`capacity`: most nonces of one principal. `keep` writes one down, durably, or raises HostError. `known`: what was
    written before.
    """

    __slots__ = ("_capacity", "_counts", "_keep", "_seen", "_until")

    def __init__(
        self, capacity: int, keep: Callable[[NonceUse], None] | None = None, known: Iterable[NonceUse] = ()
    ) -> None:
        self._capacity = capacity
        self._keep = keep
        self._seen: set[tuple[str, bytes]] = set()
        self._counts: Counter[str] = Counter()
        self._until: list[tuple[datetime, str, bytes]] = []
        for use in known:
            self._remember(use)

    def __len__(self) -> int:
        return len(self._seen)

    def uses(self) -> list[NonceUse]:
        """What is remembered, in no order."""
        return [NonceUse(principal, nonce, until) for until, principal, nonce in self._until]

    def use(self, principal: str, nonce: bytes, created: datetime, now: datetime, window: timedelta) -> None:
        """Use `nonce`, made at `created` by `principal`, who was authenticated. Raises NonceRefusedError, or one of its
        kin, and HostError; then it must not be acted on.
        """
        if not now - window <= created <= now + AHEAD:
            raise NonceRefusedError("too old, or from the future", hint="compare both machines' clocks, then ask again")
        if not 0 < len(nonce) <= MAXIMUM_NONCE:
            raise NonceRefusedError("a nonce of impossible length")
        self._forget(now)
        if (principal, nonce) in self._seen:
            raise NonceRepeatedError("used before: this is a repetition")
        if self._counts[principal] >= self._capacity:
            raise NonceOverflowError("too many in too short a time", hint="wait, then ask again")
        use = NonceUse(principal, nonce, created + window)
        if self._keep is not None:
            self._keep(use)
        self._remember(use)

    def _remember(self, use: NonceUse) -> None:
        if (use.principal, use.nonce) not in self._seen:
            self._seen.add((use.principal, use.nonce))
            self._counts[use.principal] += 1
            heappush(self._until, (use.until, use.principal, use.nonce))

    def _forget(self, now: datetime) -> None:
        """What is too old would be refused for that."""
        while self._until and self._until[0][0] < now:
            _, principal, nonce = heappop(self._until)
            self._seen.discard((principal, nonce))
            self._counts[principal] -= 1
            if not self._counts[principal]:
                del self._counts[principal]
