"""Which sequence numbers were seen: in order on a relay with one path, in a sliding window on one with several
(RFC 9147 4.5.1, RFC 4303 3.4.3).

Rules, and the attack each stops:
- `check` looks and changes nothing; `record` changes, and is called only for what was authenticated: a forged number
  from the future must not push genuine ones out (P02).
- Memory is bounded: one number, or one of 2,048 bits.
"""

from __future__ import annotations

from typing import Protocol

from mohawk.errors import RemoteError

WINDOW = 2048
MAXIMUM_SEQUENCE = 1 << 48
"""A key ends here, long before a nonce could repeat."""


class RecordRefusedError(RemoteError):
    """A record that is forged, repeated, too old, or meant for elsewhere: one error, whatever the cause (R13)."""

    code = "record_refused"


def refused() -> RecordRefusedError:
    """The one thing that is said of a record that was not accepted."""
    return RecordRefusedError("a sealed record that is not for here and now")


class Replay(Protocol):
    """What was seen under one key."""

    def check(self, sequence: int) -> None:
        """Raises RecordRefusedError when this number was seen, or can no longer be known to be new."""

    def record(self, sequence: int) -> None:
        """It was authenticated: never again."""


class InOrder:
    """For a relay with one path: every number above the last one. A gap is a record lost with a node that died, not a
    reason to stop (R02); a number at or below is a repetition, or came out of order (P01, R03).
    """

    __slots__ = ("_last",)

    def __init__(self) -> None:
        self._last = -1

    def check(self, sequence: int) -> None:
        if not self._last < sequence < MAXIMUM_SEQUENCE:
            raise refused()

    def record(self, sequence: int) -> None:
        self.check(sequence)
        self._last = sequence


class SlidingWindow:
    """For a relay with several paths: the last 2,048 numbers, each once."""

    __slots__ = ("_highest", "_seen")

    def __init__(self) -> None:
        self._highest = -1
        self._seen = 0
        """Bit n: `_highest - n` was seen."""

    def check(self, sequence: int) -> None:
        age = self._highest - sequence
        if not 0 <= sequence < MAXIMUM_SEQUENCE or age >= WINDOW or (age >= 0 and self._seen >> age & 1):
            raise refused()

    def record(self, sequence: int) -> None:
        self.check(sequence)
        if sequence > self._highest:
            ahead = sequence - self._highest
            self._seen = 1 if ahead >= WINDOW else (self._seen << ahead | 1) & ((1 << WINDOW) - 1)
            self._highest = sequence
        else:
            self._seen |= 1 << (self._highest - sequence)
