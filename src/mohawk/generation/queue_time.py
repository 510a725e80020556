"""How long a newcomer would wait for its turn, so that it can be told at once instead of in vain.

Little's law: those who wait, times what each admission has taken lately. Time is an argument, in seconds.
"""

from __future__ import annotations

_KEPT = 0.97
"""Of what earlier admissions weigh, at each that follows: some thirty count. The mean of few is low every now and then,
and whoever is let in just then waits for longer than anybody should.
"""


class QueueTime:
    """Watches a queue: how many were admitted in all, and how many wait."""

    def __init__(self) -> None:
        self._seconds = self._admissions = 0.0
        """While somebody waited, the older the less. Both are kept, because a step admits many and the next one nobody
        or one: the mean of such intervals is several times what each admission took.
        """
        self._admitted = 0
        self._since: float | None = None
        """When somebody was last admitted, or began to wait."""

    def observe(self, admitted: int, waiting: int, now: float) -> None:
        fresh = admitted - self._admitted
        if fresh and self._since is not None:
            kept = _KEPT**fresh
            self._seconds = kept * self._seconds + now - self._since
            self._admissions = kept * self._admissions + fresh
        self._admitted = admitted
        if not waiting:
            self._since = None
        elif fresh or self._since is None:
            self._since = now

    def estimate(self, waiting: int, now: float) -> float:
        """Seconds that one more would wait behind `waiting` others that have no place yet. A queue that does not move
        is expected to stand for as long again: not each of its places, or one long step would turn everybody away; and
        not on top of what its places take, or a crowd whose answers begin together would be, before they end together.
        """
        stalled = 0.0 if self._since is None or not waiting else now - self._since
        pace = self._seconds / self._admissions if self._admissions else 0.0
        return max(waiting * pace, stalled)
