"""Audit entries about those who have proven nothing: the first at once, then what a second brings as one entry for each
source and reason, with how often. None is lost, and nobody can fill the disk with them (D10).
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter

from mohawk.audit.events import AuditEvent, EventKind, RecordEvent
from mohawk.errors import MohawkError

log = logging.getLogger(__name__)

QUIET_SECONDS = 1.0
MOST_SOURCES = 32
"""That are told apart within a second; the rest of them are `others`."""


class StrangerLog:
    """`port`: which of our ports they came to. Used from the event loop only."""

    def __init__(self, record: RecordEvent, port: str) -> None:
        self._record = record
        self._port = port
        self._waiting: Counter[tuple[EventKind, str, str]] = Counter()
        self._timer: asyncio.TimerHandle | None = None

    def note(self, kind: EventKind, source: str, reason: str) -> None:
        """One more."""
        known = {one for _, one, _ in self._waiting}
        if source not in known and len(known) >= MOST_SOURCES:
            source = "others"
        self._waiting[kind, source, reason] += 1
        if self._timer is None:
            self._write()

    def close(self) -> None:
        """Write down what waits."""
        if self._timer is not None:
            self._timer.cancel()
        self._write_waiting()

    def _write(self) -> None:
        self._timer = None
        if self._waiting:
            self._write_waiting()
            self._timer = asyncio.get_running_loop().call_later(QUIET_SECONDS, self._write)

    def _write_waiting(self) -> None:
        waiting, self._waiting = self._waiting, Counter()
        for (kind, source, reason), times in waiting.items():
            details = {"port": self._port, "reason": reason, "times": str(times)}
            try:
                self._record(AuditEvent(kind, source, details))
            except MohawkError as error:  # they are refused all the same
                log.error("refusals could not be recorded: %s (%s)", error.message, error.hint)
