"""How long a newcomer would wait for its turn, so that it can be told at once instead of in vain.

Little's law: those who wait, times what each admission has taken lately. Time is an argument, in seconds.
"""

from __future__ import annotations

_WEIGHT = 0.2
"""Of the newest interval in the running mean."""


class QueueTime:
    """Watches a queue: how many were admitted in all, and how many wait."""

    def __init__(self) -> None:
        self._interval = 0.0
        """Between two admissions while somebody waits; nothing is known before the first."""
        self._admitted = 0
        self._since: float | None = None
        """When somebody was last admitted, or began to wait."""

    def observe(self, admitted: int, waiting: int, now: float) -> None:
        fresh = admitted - self._admitted
        if fresh and self._since is not None:
            interval = (now - self._since) / fresh
            self._interval += (_WEIGHT if self._interval else 1.0) * (interval - self._interval)
        self._admitted = admitted
        if not waiting:
            self._since = None
        elif fresh or self._since is None:
            self._since = now

    def estimate(self, waiting: int, now: float) -> float:
        """Seconds that one more would wait behind `waiting` others. A queue that does not move counts as slower than it
        was.
        """
        stalled = 0.0 if self._since is None else now - self._since
        return waiting * max(self._interval, stalled)
