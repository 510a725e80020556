"""Used nonces on disk: a line each, synced before the nonce counts as used; what is too old goes at the next start.

A line that a crash cut off belongs to a use that was never answered: it is dropped. Any other line that cannot be read
stops the start: forgetting used nonces silently would be a replay waiting to happen.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

from mohawk.channel.nonces import NonceGuard, NonceUse
from mohawk.crypto import canonical
from mohawk.errors import ArtifactError, HostError
from mohawk.host.files import open_regular, read_file, translate_errors, write_at, write_file

_MAXIMUM_FILE = 256 << 20
_MAXIMUM_LINE = 1024
_LAST = 253_402_300_799


def open_nonce_guard(path: Path, capacity: int, now: datetime) -> NonceGuard:
    """The guard whose memory is `path`. Raises HostError."""
    known = tuple(use for use in read_uses(path) if use.until >= now)
    write_file(path, b"".join(map(_encode, known)))
    return NonceGuard(capacity, lambda use: _append(path, use), known)


def _append(path: Path, use: NonceUse) -> None:
    with open_regular(path, os.O_WRONLY) as descriptor, translate_errors("writing down a used nonce"):
        write_at(descriptor, _encode(use), os.fstat(descriptor).st_size)
        os.fsync(descriptor)


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
    return NonceUse(fields.text("principal", 512), fields.blob("nonce", 64), until)
