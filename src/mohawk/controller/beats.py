"""Heartbeats that a worker has not answered yet, and for how long. Time is an argument."""

from __future__ import annotations

from mohawk.controller.tasks import until_next

HEARTBEAT_SECONDS = 0.25
"""Of all workers at the same moments, which are also those of everything else that is done regularly."""


class Beats:
    """What is late must be the worker's answer, never our own loop: a loop that was held up finds answers of that time
    unread, and would take every worker for lost at once. So what it overslept counts against nobody.
    """

    def __init__(self) -> None:
        self._sent_at: dict[int, float] = {}
        self._number = 0
        self._due: float | None = None

    def wake(self, now: float) -> None:
        """It is time for the next beat."""
        overslept = 0.0 if self._due is None else now - self._due
        if overslept > HEARTBEAT_SECONDS:
            self._sent_at = {number: at + overslept for number, at in self._sent_at.items()}

    def rest(self, now: float) -> float:
        """Seconds until it is time for the next one."""
        seconds = until_next(HEARTBEAT_SECONDS, now)
        self._due = now + seconds
        return seconds

    def send(self, now: float) -> int:
        """The number of the next one."""
        self._number += 1
        self._sent_at[self._number] = now
        return self._number

    def answer(self, number: int, now: float) -> float | None:
        """Seconds that the answer took. None: nobody waits for it."""
        sent = self._sent_at.pop(number, None)
        if sent is None:
            return None
        self._sent_at = {other: at for other, at in self._sent_at.items() if other > number}
        return max(0.0, now - sent)

    def waited(self, now: float) -> float:
        """Seconds since the oldest unanswered one was sent."""
        return now - min(self._sent_at.values(), default=now)
