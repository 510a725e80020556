"""A worker's sealed slices on disk, by content address; and the highest version of each model that it ever accepted.

    <digest>.sealed        complete, hashed before it took this name
    <digest>.part          arriving; its size is the offset to resume at
    <digest>.quarantined   was complete, failed to open
    versions.json          rollback protection

Rules, and the attack each stops:

1. A file's name is made from a digest that we checked, never from a peer's text: no `../`, no absolute path (S14, S15).
2. Size and digest come from a manifest that `trust` accepted (`SealedSlice`), and quota and free space are checked
   before the first byte: an upload cannot fill the disk (D09).
3. The store belongs to one process (a lock) and one user (0700): nobody else writes between check and use.
4. A version never goes down, and an unreadable record is an error, not "nothing seen yet" (S07).
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import stat
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from mohawk.artifact.sealed_slice import MAXIMUM_VERSION
from mohawk.crypto import canonical
from mohawk.errors import ArtifactError, HostError, MessageError, RemoteError, UntrustedArtifactError
from mohawk.host.files import (
    open_regular,
    read_file,
    require_free_space,
    sync_folder,
    translate_errors,
    write_at,
    write_file,
)
from mohawk.ids import check_digest, check_model_id

if TYPE_CHECKING:
    from pathlib import Path

    from mohawk.artifact.sealed_slice import SealedSlice
    from mohawk.crypto.primitives import Buffer

_NAME = re.compile(r"([0-9a-f]{64})\.(sealed|part|quarantined)", re.ASCII)
_VERSIONS = "versions.json"
_VERSIONS_FORMAT = "mohawk-versions-v1"
_VERSIONS_LIMIT = 1 << 20
_MOST_MODELS = 4096
_HASH_BLOCK = 1 << 20


class SliceState(StrEnum):
    """As the file's extension says it."""

    COMPLETE = "sealed"
    PARTIAL = "part"
    QUARANTINED = "quarantined"


@dataclass(frozen=True, slots=True, order=True)
class StoredSlice:
    """One file of the store, for status."""

    digest: str
    state: SliceState
    size: int


class SliceStore:
    """The folder of one worker. Not for several threads at once, except that different slices may be appended to and
    finished side by side.
    """

    def __init__(self, folder: Path, quota: int) -> None:
        """Open or create `folder` (0700); all its slices together stay within `quota` bytes. Raises HostError, also
        when in use.
        """
        with translate_errors("opening the slice store"):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            found = folder.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o022:
            raise HostError(
                "a slice store must be a folder of our own that others cannot write to", hint="chmod 700 it"
            )
        self._folder = folder
        self._quota = quota
        self._reserved: dict[str, int] = {}
        self._lock = _lock_folder(folder)

    def close(self) -> None:
        """Give the folder's lock back."""
        os.close(self._lock)

    def reserve(self, part: SealedSlice) -> int:
        """Make room for `part`; the offset to send from, which is its whole size when it is already here.

        Raises HostError: over the quota, the disk is too full, or something that is not our file lies in its place.
        """
        size, digest = part.sealed_bytes, part.digest
        self._remove(digest, SliceState.QUARANTINED)  # its replacement needs the room
        present = {(entry.digest, entry.state): entry.size for entry in self.list()}
        if (digest, SliceState.COMPLETE) in present:
            return size
        offset = present.get((digest, SliceState.PARTIAL), 0)
        if offset > size:  # not ours: nothing is ever appended beyond the signed size
            self._remove(digest, SliceState.PARTIAL)
            offset = 0
        if self._promised(present) - max(offset, self._reserved.get(digest, 0)) + size > self._quota:
            raise HostError(
                "the slice store's quota is used up", hint="raise the quota or remove slices no longer served"
            )
        require_free_space(self._folder, size - offset)
        self._reserved[digest] = size
        return offset

    def append(self, digest: str, offset: int, data: Buffer) -> int:
        """Add `data` at `offset`, where the last append ended; the new offset.

        Raises MessageError: not reserved, another offset, or beyond the signed size. HostError: the disk failed; what
        was written before stays good, `reserve` tells where to resume.
        """
        size = self._reserved.get(check_digest(digest))
        if size is None:
            raise MessageError("bytes of a slice that was not offered")
        with open_regular(self._path(digest, SliceState.PARTIAL), os.O_RDWR | os.O_CREAT) as descriptor:
            if os.fstat(descriptor).st_size != offset:
                raise MessageError("bytes of a slice at another offset than its end")
            if offset + len(data) > size:
                raise MessageError("more bytes than the manifest gives this slice")
            with translate_errors("storing a slice"):
                write_at(descriptor, data, offset)
        return offset + len(data)

    def finish(self, digest: str) -> None:
        """Hash what arrived, sync it, and give it its final name.

        Raises MessageError when bytes are missing, ArtifactError when they are not the slice's (they are removed).
        """
        size = self._reserved.get(check_digest(digest))
        path = self._path(digest, SliceState.PARTIAL)
        with open_regular(path, os.O_RDWR) as descriptor, translate_errors("storing a slice"):
            if os.fstat(descriptor).st_size != size:
                raise MessageError("a slice that ended before its signed size")
            actual = _hash(descriptor)
            os.fsync(descriptor)
        if actual != bytes.fromhex(digest):
            self._remove(digest, SliceState.PARTIAL)
            raise ArtifactError("the bytes that arrived are not the slice that was offered", hint="it is fetched again")
        with translate_errors("storing a slice"):
            path.rename(self._path(digest, SliceState.COMPLETE))
            sync_folder(self._folder)
        self._remove(digest, SliceState.QUARANTINED)
        del self._reserved[digest]

    def holds(self, part: SealedSlice) -> bool:
        """Whether `part` is complete here."""
        return os.path.lexists(self._path(part.digest, SliceState.COMPLETE))

    def path(self, part: SealedSlice) -> Path:
        """Where `part` lies, for `slice_file.open_slice`. Raises HostError when it is not complete here."""
        path = self._path(part.digest, SliceState.COMPLETE)
        with open_regular(path):
            return path

    def quarantine(self, digest: str) -> None:
        """Set a complete slice aside that failed to open: it is fetched again, and the bad file is kept to look at.
        Raises HostError.
        """
        with translate_errors("setting a broken slice aside"):
            self._path(digest, SliceState.COMPLETE).rename(self._path(digest, SliceState.QUARANTINED))
            sync_folder(self._folder)

    def list(self) -> tuple[StoredSlice, ...]:
        """Every slice file here. Raises HostError when a link, a device or a folder bears a slice's name."""
        found = []
        with translate_errors("listing the slice store"):
            for path in self._folder.iterdir():
                match = _NAME.fullmatch(path.name)
                if match:
                    with open_regular(path) as descriptor:
                        found.append(StoredSlice(match[1], SliceState(match[2]), os.fstat(descriptor).st_size))
        return tuple(sorted(found))

    def seen_versions(self) -> dict[str, int]:
        """The highest version accepted of each model, for `trust.accept_manifest`. Raises HostError when the record is
        unreadable.
        """
        path = self._folder / _VERSIONS
        if not os.path.lexists(path):
            return {}
        try:
            fields = canonical.decode(read_file(path, _VERSIONS_LIMIT), _VERSIONS_LIMIT, ("format", "models"))
            fields.require("format", _VERSIONS_FORMAT)
            models = fields.items("models", _MOST_MODELS, ("model", "version"))
            return {model.text("model"): model.whole("version", 1, MAXIMUM_VERSION) for model in models}
        except RemoteError as error:
            raise HostError("the record of accepted versions is damaged", hint="restore it from a backup") from error

    def remember_version(self, model_id: str, version: int) -> None:
        """Record that `version` was accepted. Raises UntrustedArtifactError when a higher one was, HostError when the
        disk fails.
        """
        seen = self.seen_versions()
        if version < seen.get(check_model_id(model_id), 0):
            raise UntrustedArtifactError("a version older than one already accepted")
        if seen.get(model_id) == version:
            return
        seen[model_id] = version
        models: list[canonical.Json] = [{"model": name, "version": seen[name]} for name in sorted(seen)]
        write_file(self._folder / _VERSIONS, canonical.encode({"format": _VERSIONS_FORMAT, "models": models}))

    def _promised(self, present: dict[tuple[str, SliceState], int]) -> int:
        """Bytes on disk and bytes still to come for what was reserved."""
        arrived = {digest: size for (digest, state), size in present.items() if state is SliceState.PARTIAL}
        to_come = sum(max(0, size - arrived.get(digest, 0)) for digest, size in self._reserved.items())
        return sum(present.values()) + to_come

    def _path(self, digest: str, state: SliceState) -> Path:
        return self._folder / f"{check_digest(digest)}.{state.value}"

    def _remove(self, digest: str, state: SliceState) -> None:
        with translate_errors("removing a slice"):
            self._path(digest, state).unlink(missing_ok=True)


def _lock_folder(folder: Path) -> int:
    with open_regular(folder / ".lock", os.O_RDWR | os.O_CREAT) as descriptor:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise HostError(
                "this slice store is in use by another worker", hint="give each worker its own folder"
            ) from None
        return os.dup(descriptor)  # shares the lock, and stays open


def _hash(descriptor: int) -> bytes:
    digest = hashlib.sha256()
    offset = 0
    while block := os.pread(descriptor, _HASH_BLOCK, offset):
        digest.update(block)
        offset += len(block)
    return digest.digest()
