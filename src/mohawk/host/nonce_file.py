"""Used nonces on disk: a line each, synced before the nonce counts as used; what is too old goes when the file
has grown, and at each start.

A line that a crash cut off belongs to a use that was never answered: it is dropped. Any other line that cannot be read
stops the start: forgetting used nonces silently would be a replay waiting to happen.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

from mohawk.channel.nonces import MAXIMUM_NONCE, NonceGuard, NonceUse
from mohawk.crypto import canonical
from mohawk.errors import ArtifactError, HostError
from mohawk.host.files import open_regular, read_file, translate_errors, write_at, write_file

_MAXIMUM_FILE = 256 << 20
_MAXIMUM_LINE = 1024
_SLACK = 1 << 20
"""Bytes that the file may grow by, beyond doubling, before it is written anew."""
_LAST = 253_402_300_799


def open_nonce_guard(path: Path, capacity: int, now: datetime) -> NonceGuard:
    """The guard whose memory is `path`. Raises HostError."""
    known = tuple(use for use in read_uses(path) if use.until >= now)
    memory = _Memory(path)
    memory.rewrite(known)
    guard = NonceGuard(capacity, lambda use: memory.keep(use, guard), known)
    return guard


class _Memory:
    """A line is added for each use; when most lines are too old to matter, the file is written anew: a controller that
    runs for a year must find a memory that it can read.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._limit = 0

    def rewrite(self, uses: Iterable[NonceUse]) -> None:
        data = b"".join(map(_encode, uses))
        write_file(self._path, data)
        self._limit = 2 * len(data) + _SLACK

    def keep(self, use: NonceUse, guard: NonceGuard) -> None:
        if self._append(_encode(use)) > self._limit:
            self.rewrite([*guard.uses(), use])

    def _append(self, line: bytes) -> int:
        """The file's size then."""
        with open_regular(self._path, os.O_WRONLY) as descriptor, translate_errors("writing down a used nonce"):
            size = os.fstat(descriptor).st_size
            try:
                write_at(descriptor, line, size)
                os.fsync(descriptor)
            except OSError:
                os.ftruncate(descriptor, size)  # half a line in the middle of the file would stop the next start (P10)
                raise
        return size + len(line)


def _encode(use: NonceUse) -> bytes:
    until = int(use.until.timestamp()) + 1  # rounded up: never forgotten while it is fresh
    return canonical.encode({"nonce": use.nonce, "principal": use.principal, "until": until}) + b"\n"


def read_uses(path: Path) -> list[NonceUse]:
    """What is written there; nothing where there is no file. Raises HostError."""
    if not path.exists():
        return []
    *lines, _cut_off = read_file(path, _MAXIMUM_FILE).split(b"\n")
    try:
        return [_parse(line) for line in lines]
    except ArtifactError:
        raise HostError(
            f"{path.name}, the memory of used nonces, is damaged", hint="restore it from a backup"
        ) from None


def _parse(line: bytes) -> NonceUse:
    fields = canonical.decode(line, _MAXIMUM_LINE, ("nonce", "principal", "until"))
    until = datetime.fromtimestamp(fields.whole("until", 0, _LAST), UTC)
    return NonceUse(fields.text("principal", 512), fields.blob("nonce", MAXIMUM_NONCE), until)
