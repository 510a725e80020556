"""How much one API key may ask for, and how much it has (docs/spec/api.md 7).

A meter drains steadily, a whole minute's share in a minute: there is no minute whose end lets two shares through at
once. What is refused does not count, so that who waits as long as he is told gets in.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

from mohawk.errors import LimitError, UsageError

MOST = 10**9
"""Of any limit: what is meant to be unlimited is left out."""
_MINUTE = 60.0
_SOON = 1
"""Seconds after which one of a key's answers may have ended."""


@dataclass(frozen=True, slots=True)
class Limits:
    """None: no limit. Raises UsageError naming the field."""

    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    """Of prompts and answers together."""
    concurrency: int | None = None
    """Answers at once."""
    sessions: int | None = None
    """Sessions held at once."""

    def __post_init__(self) -> None:
        for name in (field.name for field in fields(self)):
            value = getattr(self, name)
            if value is not None and not 1 <= value <= MOST:
                raise UsageError(f"{name} lies between 1 and {MOST}", field=name)


UNLIMITED = Limits()


class Quota:
    """What one key has used lately. Limits come with each call, so that they can change meanwhile. `now`: seconds of a
    clock that never goes back.
    """

    def __init__(self) -> None:
        self._requests = _Meter()
        self._tokens = _Meter()
        self.running = 0
        """Answers under way."""

    def count_request(self, limits: Limits, now: float) -> None:
        """Raises LimitError."""
        self._requests.add(1, limits.requests_per_minute, now, "requests")

    def enter(self, limits: Limits) -> None:
        """One more answer is under way, until `leave`. Raises LimitError."""
        if limits.concurrency is not None and self.running >= limits.concurrency:
            raise LimitError(f"this API key may have {limits.concurrency} answers at once", _SOON)
        self.running += 1

    def leave(self) -> None:
        self.running -= 1

    def reserve(self, limits: Limits, tokens: int, now: float) -> int:
        """Set aside the most that a request can need, and return what was set aside: `settle` takes it back. Raises
        LimitError.

        Nobody waits for more than a full minute's share: a longer answer is let in then, and its surplus drains later.
        """
        share = limits.tokens_per_minute
        reserved = 0 if share is None else min(tokens, share)
        self._tokens.add(reserved, share, now, "tokens")
        return reserved

    def settle(self, reserved: int, used: int) -> None:
        """The request has ended: `used` tokens count instead of the `reserved` ones."""
        self._tokens.correct(used - reserved)


class _Meter:
    """A bucket that leaks."""

    def __init__(self) -> None:
        self._level = 0.0
        self._at = 0.0

    def add(self, amount: int, per_minute: int | None, now: float, what: str) -> None:
        if per_minute is None:  # what was used without a limit does not count against one that comes later
            self._level = 0.0
            return
        level = max(0.0, self._level - (now - self._at) * per_minute / _MINUTE)
        surplus = level + amount - per_minute
        if surplus > 0:
            wait = max(1, math.ceil(surplus * _MINUTE / per_minute))
            raise LimitError(f"this API key may use {per_minute} {what} a minute", wait)
        self._level, self._at = level + amount, now

    def correct(self, amount: int) -> None:
        self._level = max(0.0, self._level + amount)
