"""Files of a model folder, opened without being led elsewhere.

A name is one plain file name (S14: `../`, absolute paths), the file behind it a regular file and no link (S14:
symbolic links, devices, pipes). Hard links pass: package managers install that way, and a hard link is the file, not
a way to another one.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mohawk.errors import ArtifactError, HostError, UsageError

_PLAIN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,199}", re.ASCII)


def check_plain_name(name: str) -> str:
    """`name` if it is one path component of harmless characters, else ArtifactError."""
    if _PLAIN.fullmatch(name) is None:
        raise ArtifactError("a file name that leaves the model folder or holds odd characters")
    return name


def list_names(folder: Path) -> frozenset[str]:
    """All names in the folder. Raises UsageError when it is no folder."""
    try:
        return frozenset(path.name for path in folder.iterdir())
    except (FileNotFoundError, NotADirectoryError) as error:
        raise UsageError("the model folder does not exist", hint="give the path of a model folder") from error
    except OSError as error:
        raise HostError("the model folder cannot be read", hint="check its permissions") from error


@contextmanager
def open_file(folder: Path, name: str) -> Iterator[int]:
    """A file descriptor of the regular file `name` in `folder`. Raises ArtifactError or HostError."""
    path = folder / check_plain_name(name)
    try:
        _check_regular(os.lstat(path).st_mode)  # before opening: opening a device or a pipe may already act or block
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError as error:
        raise ArtifactError("a file is missing from the model folder", hint="download the model again") from error
    except OSError as error:
        raise HostError("a file of the model folder cannot be opened", hint="check its permissions") from error
    try:
        _check_regular(os.fstat(descriptor).st_mode)  # again: what was looked at need not be what was opened
        yield descriptor
    finally:
        os.close(descriptor)


def _check_regular(mode: int) -> None:
    if stat.S_ISLNK(mode):
        raise ArtifactError(
            "a symbolic link in the model folder",
            hint="copy the model with its files instead of links: cp -rL, or hf download --local-dir",
        )
    if not stat.S_ISREG(mode):
        raise ArtifactError("something other than a plain file in the model folder")


def read_file(folder: Path, name: str, limit: int) -> bytes:
    """The whole file `name`, at most `limit` bytes. Raises ArtifactError or HostError."""
    with open_file(folder, name) as descriptor:
        return read_exactly(descriptor, 0, _bounded_size(descriptor, limit))


def _bounded_size(descriptor: int, limit: int) -> int:
    size = os.fstat(descriptor).st_size
    if size > limit:
        raise ArtifactError(f"a file of the model folder with more than {limit} bytes where less is expected")
    return size


def file_size(folder: Path, name: str) -> int:
    """Bytes of the regular file `name`. Raises ArtifactError or HostError."""
    with open_file(folder, name) as descriptor:
        return os.fstat(descriptor).st_size


def read_exactly(descriptor: int, offset: int, size: int) -> bytes:
    """`size` bytes from `offset`. Raises ArtifactError when the file ends before, HostError when the disk fails."""
    buffer = bytearray(size)
    read_into(descriptor, offset, memoryview(buffer))
    return bytes(buffer)


def read_into(descriptor: int, offset: int, target: memoryview) -> None:
    """Fill `target` from `offset`. Raises like `read_exactly`."""
    filled = 0
    while filled < len(target):
        try:
            count = os.preadv(descriptor, [target[filled:]], offset + filled)
        except OSError as error:
            raise HostError("a file of the model folder cannot be read", hint="check the disk") from error
        if count == 0:
            raise ArtifactError("a file of the model folder became shorter while it was read")
        filled += count
