"""Files that hold something worth stealing: opened without following links, replaced as a whole or not at all.

Rules, and the attack each stops:

1. Only a regular file with one name is opened: a symlink, a hard link, a device or a pipe laid in our way is refused
   (S14).
2. Checks are made on the open descriptor, not on the path: nothing can be swapped between check and use.
3. A file is written beside its final name, synced, then renamed, and the folder synced: after a crash there is the old
   file or the new one, never a mix (S16).
4. New files are readable by their owner only.
"""

from __future__ import annotations

import os
import stat
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from mohawk.crypto.primitives import random_bytes
from mohawk.errors import HostError, PolicyError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from mohawk.crypto.primitives import Buffer

_PARTIAL = ".partial"
_NOTHING_FOLLOWED = (
    os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
)  # O_NONBLOCK: opening a pipe must not wait for its writer


@contextmanager
def translate_errors(doing: str) -> Iterator[None]:
    """Turn an OSError (disk full, input/output error, missing file, no permission) into a HostError that says what
    failed (S17).
    """
    try:
        yield
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else "input/output error"
        raise HostError(
            f"{doing} failed: {reason}", hint="check this machine's disk and the folder's permissions"
        ) from error


@contextmanager
def open_regular(path: Path, flags: int = os.O_RDONLY, mode: int = 0o600) -> Iterator[int]:
    """A descriptor of the regular file `path`. Raises HostError: missing, unreadable, a link, a device, or linked
    elsewhere too.
    """
    with translate_errors("opening a file"):
        descriptor = os.open(path, flags | _NOTHING_FOLLOWED, mode)
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode) or found.st_nlink != 1:
            raise HostError(
                "refused to open what is not a plain file with one name", hint="remove links from the folder"
            )
        yield descriptor
    finally:
        os.close(descriptor)


def read_file(path: Path, limit: int, *, private: bool = False) -> bytes:
    """All of a regular file of at most `limit` bytes; `private`: only if nobody but its owner, us, may touch it.
    Raises HostError; PolicyError when others may read a private file.
    """
    with open_regular(path) as descriptor, translate_errors("reading a file"):
        if private:
            require_private(descriptor)
        data = bytearray()
        while len(data) <= limit and (block := os.read(descriptor, min(limit + 1 - len(data), 1 << 20))):
            data += block
    if len(data) > limit:
        raise HostError("a file beyond its size limit")
    return bytes(data)


def require_private(descriptor: int) -> None:
    """Raise PolicyError unless nobody but its owner, us, may touch this file."""
    found = os.fstat(descriptor)
    if found.st_mode & 0o077 or found.st_uid != os.geteuid():
        raise PolicyError("a secret file that others may read", hint="chmod 600 it, and own it")


def make_private_folder(folder: Path) -> None:
    """A folder (0700) and those above it, where missing. Raises HostError."""
    with translate_errors("making a folder"):
        for level in (*reversed(folder.parents), folder):
            if not level.exists():
                level.mkdir(mode=0o700, exist_ok=True)


def make_private_file(path: Path) -> None:
    """An empty file (0600) where there is none, for a library that opens files by itself. Raises HostError; PolicyError
    when there is one that others may touch.
    """
    with open_regular(path, os.O_RDWR | os.O_CREAT) as descriptor:
        require_private(descriptor)


def write_file(path: Path, data: bytes) -> None:
    """Replace `path` by `data` at mode 0600, whole or not at all. Raises HostError."""
    with replace_file(path) as descriptor:
        write_at(descriptor, data, 0)


@contextmanager
def replace_file(path: Path) -> Iterator[int]:
    """A descriptor to write the new content of `path` to; it takes the name when the block ends without an error.
    Raises HostError.

    The partial file's name is random, so that two writers cannot rename each other's half-written file. What a killed
    writer left behind is removed first.
    """
    with translate_errors("writing a file"):
        _remove_partials(path)
        partial = path.with_name(f".{path.name}.{random_bytes(8).hex()}{_PARTIAL}")
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _NOTHING_FOLLOWED, 0o600)
        try:
            try:
                yield descriptor
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
            partial.rename(path)
        finally:
            with suppress(FileNotFoundError):
                partial.unlink()
        sync_folder(path.parent)


def erase_file(path: Path) -> None:
    """Overwrite `path` with zeros, then remove it, each durably. Raises HostError.

    Where the file system writes somewhere else (copy on write, flash), and for older versions of the file, this removes
    the name only.
    """
    with open_regular(path, os.O_WRONLY) as descriptor, translate_errors("erasing a file"):
        write_at(descriptor, bytes(os.fstat(descriptor).st_size), 0)
        os.fsync(descriptor)
        path.unlink()
        sync_folder(path.parent)


def write_at(descriptor: int, data: Buffer, offset: int) -> None:
    """All of `data` at `offset`. Raises OSError."""
    view = memoryview(data)
    while view:
        written = os.pwrite(descriptor, view, offset)
        view, offset = view[written:], offset + written


def write_through(descriptor: int, data: Buffer, offset: int) -> None:
    """`write_at`, and the disk starts at once: without it the kernel collects a whole slice and the last sync waits
    for all of it. POSIX_FADV_DONTNEED starts writing what is dirty and drops what is written. Raises OSError.
    """
    write_at(descriptor, data, offset)
    os.posix_fadvise(descriptor, offset, len(data), os.POSIX_FADV_DONTNEED)


def sync_folder(folder: Path) -> None:
    """Make renames inside `folder` durable. Raises OSError."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def require_free_space(folder: Path, size: int) -> None:
    """Raise HostError unless `size` bytes fit on the disk of `folder`, before the first of them is written."""
    with translate_errors("asking for free space"):
        found = os.statvfs(folder)
    if found.f_bavail * found.f_frsize < size:
        raise HostError("not enough free disk space for this slice", hint="free some space, then start again")


def _remove_partials(path: Path) -> None:
    for leftover in path.parent.iterdir():
        if leftover.name.startswith(f".{path.name}.") and leftover.name.endswith(_PARTIAL):
            leftover.unlink(missing_ok=True)
