"""A running node's audit log: what gates an action is written before it, what strangers cause is counted and written by
a thread (docs/spec/audit.md 5).

Rules, and the attack each stops:

1. `record` returns when the entry is on the disk, and raises when it is not: no record, no action (N04).
2. `note` never waits for the disk, so that nobody stalls a node by being refused often; equal events become one entry
   with a count, ever more rarely while they keep coming (D10).
3. What could not be written is kept and written with the next: a full disk delays entries, it drops none.
"""

from __future__ import annotations

import logging
import threading
from datetime import UTC, datetime
from pathlib import Path

from mohawk import __version__
from mohawk.audit.events import AuditEvent, EventKind
from mohawk.audit.tally import Tally
from mohawk.errors import HostError
from mohawk.host.audit_file import AuditFile

log = logging.getLogger(__name__)

SHORTEST_PAUSE = 1.0
LONGEST_PAUSE = 64.0
"""Seconds between two writes of counted events: twice as long each time, until a pause passes without any."""


class AuditTrail:
    """From the start of a node, which it writes down, to its end. For several threads."""

    def __init__(self, path: Path, node: str) -> None:
        """Open the log at `path` for `node`, its SPIFFE id. Raises HostError: a node that cannot be audited does not
        start.
        """
        self._file = AuditFile(path, node, datetime.now(UTC))
        self._node = node
        self._tally = Tally()
        self._changed = threading.Condition()
        self._ending = threading.Event()
        self._has_failed = False
        self._writer = threading.Thread(target=self._run, name="audit", daemon=True)
        try:
            self.record(self._own(EventKind.STARTED))
        except HostError:
            self._file.close()
            raise
        self._writer.start()

    def record(self, event: AuditEvent) -> None:
        """`audit.events.RecordEvent`."""
        self._file.append([event], datetime.now(UTC))

    def note(self, event: AuditEvent, count: int = 1) -> None:
        """`audit.events.NoteEvent`."""
        with self._changed:
            self._tally.add(event, count)
            self._changed.notify()

    def close(self) -> None:
        """Write what was counted, and that the node ended. A node ends also when that fails: the log then says so."""
        self._ending.set()
        with self._changed:
            self._changed.notify()
        self._writer.join()
        if self._tally:
            log.error("%d audit entries could never be written", len(self._tally.take()))
        try:
            self.record(self._own(EventKind.STOPPED))
        except HostError as error:
            log.error("the end of this node is not in its audit log: %s", error.message)
        self._file.close()

    def _own(self, kind: EventKind) -> AuditEvent:
        return AuditEvent(kind, self._node, {"software": f"mohawk {__version__}"})

    def _run(self) -> None:
        pause = SHORTEST_PAUSE
        while not self._ending.is_set():
            with self._changed:
                self._changed.wait_for(lambda: self._tally or self._ending.is_set())
            self._write_down()
            self._ending.wait(pause)
            pause = next_pause(pause, is_busy=bool(self._tally))
        self._write_down()

    def _write_down(self) -> None:
        with self._changed:
            taken = self._tally.take()
        if not taken:
            return
        try:
            self._file.append([event.counted(count) for event, count in taken], datetime.now(UTC))
        except HostError as error:
            self._keep(taken, error)
        else:
            self._has_failed = False

    def _keep(self, taken: list[tuple[AuditEvent, int]], error: HostError) -> None:
        for event, count in taken:
            self.note(event, count)
        if not self._has_failed:
            self._has_failed = True
            log.error("%d audit entries wait to be written: %s (%s)", len(taken), error.message, error.hint)


def next_pause(pause: float, *, is_busy: bool) -> float:
    """After a pause in which more came (`is_busy`), twice as long; after a quiet one, the shortest."""
    return min(2 * pause, LONGEST_PAUSE) if is_busy else SHORTEST_PAUSE
