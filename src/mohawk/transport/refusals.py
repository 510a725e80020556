"""Refused connections in the log: each counted, at most one line a second, so that nobody can fill our disk with
them.
"""

from __future__ import annotations

import logging
import time

from mohawk.errors import MohawkError

INTERVAL_SECONDS = 1.0


class RefusalLog:
    """For a listener's `Service.refused`."""

    def __init__(self, log: logging.Logger) -> None:
        self._log = log
        self._written = -INTERVAL_SECONDS
        self.count = 0

    def note(self, source: str, error: MohawkError) -> None:
        """One more. The line names the latest, and how many there were in all."""
        self.count += 1
        now = time.monotonic()
        if now - self._written >= INTERVAL_SECONDS:
            self._written = now
            self._log.warning("refused a connection from %s: %s (%d in all)", source, error.code, self.count)
