"""A circuit breaker for each worker: one that fails again and again is left alone for a while, then tried once.

Closed, open and half-open as in Nygard, "Release It!" (2nd ed., 2018), chapter 5. Time is an argument, in seconds.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

THRESHOLD = 3
"""Failures without a success between them that open a breaker."""
FIRST_PAUSE = 10.0
LONGEST_PAUSE = 300.0


class BreakerState(StrEnum):
    """Closed: it is used. Open: it is left alone. Half-open: its pause is over, and one attempt shows how it is."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half-open"


@dataclass(slots=True)
class Breaker:
    """One worker's failures."""

    failures: int = 0
    _until: float = 0.0
    _is_probing: bool = False

    def state(self, now: float) -> BreakerState:
        if self.failures < THRESHOLD:
            return BreakerState.CLOSED
        return BreakerState.OPEN if now < self._until else BreakerState.HALF_OPEN

    def allows(self, now: float) -> bool:
        """Whether the worker may be tried now. Half-open: once, until that attempt succeeded or failed."""
        state = self.state(now)
        if state is BreakerState.HALF_OPEN:
            is_free, self._is_probing = not self._is_probing, True
            return is_free
        return state is BreakerState.CLOSED

    def fail(self, now: float) -> None:
        """Each failure beyond the threshold doubles the pause."""
        self.failures += 1
        self._is_probing = False
        if self.failures >= THRESHOLD:
            self._until = now + min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** (self.failures - THRESHOLD))

    def release(self) -> None:
        """An attempt that showed nothing: the worker was not there."""
        self._is_probing = False

    def succeed(self) -> None:
        """It did what it was there for."""
        self.failures, self._until, self._is_probing = 0, 0.0, False
