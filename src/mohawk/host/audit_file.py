"""An audit log on disk: appended to by one writer, synced before anything that it tells of takes effect
(docs/spec/audit.md 4).

    NAME.jsonl    the entries
    NAME.head     COUNT:HASH of the last one, so that entries missing at the end are noticed

Rules, and the attack each stops:

1. An append that cannot be synced raises, and takes back what it half wrote: an action that cannot be recorded does not
   happen (N04), and the log stays readable.
2. After a failed sync nothing more is written: the kernel may have dropped what it could not write, and a later sync
   would succeed without it.
3. One writer holds the file's lock: two would fork the chain.
4. Nothing is repaired in silence. What a crash cut off is removed and said so; any other damage stops the start (N01).
"""

from __future__ import annotations

import fcntl
import os
import threading
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path

from mohawk.audit import chain
from mohawk.audit.chain import MAXIMUM_LINE, START, BrokenLogError, Head
from mohawk.audit.events import AuditEvent, EventKind
from mohawk.errors import ArtifactError, HostError
from mohawk.host.files import make_private_folder, open_regular, read_file, translate_errors, write_at, write_file

_HEAD_SIZE = 128
"""Bytes of a head's file, padded: it is overwritten in place, in one write that stays within one sector."""


class AuditFile:
    """The log at `path`, open for writing by `node` (its SPIFFE id). For several threads."""

    def __init__(self, path: Path, node: str, now: datetime, *, waits: bool = False) -> None:
        """Open or begin a log, and verify what is there; `waits`: until another writer is done with it.

        Raises HostError: in use, damaged, or the disk fails.
        """
        self._node = node
        self._lock = threading.Lock()
        self._is_sound = True
        with ExitStack() as opened:
            make_private_folder(path.parent)
            self._descriptor = opened.enter_context(open_regular(path, os.O_RDWR | os.O_CREAT))
            _lock_file(self._descriptor, waits=waits)
            if not head_path(path).exists() and os.fstat(self._descriptor).st_size == 0:
                write_file(head_path(path), _pad(START))  # also makes the new log's name durable
            self.head, self._size = _read_sound(path, self._descriptor)
            self._head_descriptor = opened.enter_context(open_regular(head_path(path), os.O_WRONLY))
            self._repair(os.fstat(self._descriptor).st_size - self._size, now)
            self._opened = opened.pop_all()

    def append(self, events: Iterable[AuditEvent], now: datetime) -> None:
        """Write `events`, in order, and return when they are on the disk. Raises HostError; then none of them counts,
        and the caller does not do what they tell of.
        """
        with self._lock:
            if not self._is_sound:
                raise HostError("the audit log takes no more entries", hint="its disk failed: check it, then restart")
            lines, head = [], self.head
            for event in events:
                line, head = chain.append(head, event, self._node, now)
                lines.append(line)
            with translate_errors("writing the audit log"):
                self._write(b"".join(lines))
                self.head = head
                write_at(self._head_descriptor, _pad(head), 0)

    def close(self) -> None:
        """Give the lock back."""
        with self._lock:
            self._is_sound = False
            self._opened.close()

    def _write(self, data: bytes) -> None:
        try:
            write_at(self._descriptor, data, self._size)
        except OSError:
            self._take_back()
            raise
        try:
            os.fsync(self._descriptor)
        except OSError:
            self._is_sound = False
            self._take_back()
            raise
        self._size += len(data)

    def _take_back(self) -> None:
        """Half a line must not stay: what follows would be one unreadable entry with it."""
        try:
            os.ftruncate(self._descriptor, self._size)
        except OSError:
            self._is_sound = False

    def _repair(self, excess: int, now: datetime) -> None:
        """`excess`: bytes behind the last whole line, cut off by a crash. What they were to tell of never happened:
        the append that wrote them did not return.
        """
        if excess:
            with translate_errors("repairing the audit log"):
                os.ftruncate(self._descriptor, self._size)
            self.append([AuditEvent(EventKind.LOG_REPAIRED, self._node, {"bytes": str(excess)})], now)


def head_path(path: Path) -> Path:
    """Where the head of the log at `path` lies."""
    return path.with_suffix(".head")


def read_head(path: Path) -> Head:
    """The head beside the log at `path`. Raises HostError, ArtifactError."""
    return Head.parse(read_file(head_path(path), _HEAD_SIZE).decode("ascii", "replace").rstrip(" \n"))


def read_lines(descriptor: int, offset: int = 0) -> Iterator[bytes]:
    """The lines of an open log from a byte on, newlines included; one that is too long to be an entry comes in pieces.
    Raises HostError.
    """
    with open(descriptor, "rb", closefd=False) as file:
        file.seek(offset)
        while True:
            with translate_errors("reading the audit log"):
                line = file.readline(MAXIMUM_LINE)
            if not line:
                return
            yield line


def _read_sound(path: Path, descriptor: int) -> tuple[Head, int]:
    """The head of the log, and the bytes of its whole lines. Raises HostError when it was changed since it was written:
    going on would bury that under new entries.
    """
    size = 0

    def whole_lines() -> Iterator[bytes]:
        nonlocal size
        for line in read_lines(descriptor):
            if not line.endswith(b"\n") and len(line) < MAXIMUM_LINE:
                return  # the end of the file, in the middle of a line
            size += len(line)
            yield line

    if not head_path(path).exists():
        raise _damaged(path, "its head is missing")
    try:
        return chain.verify(whole_lines(), read_head(path)), size
    except BrokenLogError as error:
        raise _damaged(path, f"entry {error.number} is {error.fault}") from None
    except ArtifactError:
        raise _damaged(path, "its head cannot be read") from None


def _damaged(path: Path, why: str) -> HostError:
    return HostError(
        f"the audit log {path.name} is not as it was written: {why}",
        hint=f"see `mohawk audit verify {path}`; move it and {head_path(path).name} away, as evidence, and start again",
    )


def _lock_file(descriptor: int, *, waits: bool) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if waits else fcntl.LOCK_NB))
    except OSError:
        raise HostError(
            "another process writes this audit log", hint="give each node a folder of its own (MIE_HOME, --store)"
        ) from None


def _pad(head: Head) -> bytes:
    return f"{head}".ljust(_HEAD_SIZE - 1).encode("ascii") + b"\n"
