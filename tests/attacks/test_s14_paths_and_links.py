"""S14: `../`, an absolute path, a symlink, a hard link, a pipe or a device where the store expects a slice.

Expected: refused; nothing outside the store is read, written or replaced.

Defence: ids.py:check_digest (at every use of a digest in host/slice_store.py); removed, a digest of `../x` writes
outside the store. Defence: host/files.py:open_regular (O_NOFOLLOW, file type, link count); removed, an upload is
written through a link into another file, and a pipe makes the worker wait for ever.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from mohawk.errors import HostError, RemoteError
from mohawk.host.files import open_regular
from mohawk.host.slice_store import SliceStore
from tests.support.slices import make_context, make_plaintext, names, open_from_file, seal_to_file

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from mohawk.artifact.sealed_slice import SealedSlice


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SliceStore]:
    opened = SliceStore(tmp_path / "store", 1 << 20)
    yield opened
    opened.close()


@pytest.fixture
def part(tmp_path: Path) -> SealedSlice:
    return seal_to_file(tmp_path / "sealed", make_context(), make_plaintext())


@pytest.mark.parametrize("digest", ["../x", "/tmp/x", "..", ".", "a/../" + "a" * 59, "\0" * 64, "a" * 63 + "/"])
def test_a_digest_that_is_a_path(tmp_path: Path, store: SliceStore, digest: str) -> None:
    store._reserved[digest] = 100  # even if one came this far
    before = names(tmp_path)
    with pytest.raises(RemoteError):
        store.append(digest, 0, b"x")
    with pytest.raises(RemoteError):
        store.finish(digest)
    assert names(tmp_path) == before


def lay_symlink(place: Path, victim: Path) -> None:
    place.symlink_to(victim)


def lay_hard_link(place: Path, victim: Path) -> None:
    place.hardlink_to(victim)


def lay_pipe(place: Path, victim: Path) -> None:
    os.mkfifo(place)


def lay_folder(place: Path, victim: Path) -> None:
    place.mkdir()


def lay_device_link(place: Path, victim: Path) -> None:
    place.symlink_to("/dev/zero")


LAYERS = [lay_symlink, lay_hard_link, lay_pipe, lay_folder, lay_device_link]


@pytest.mark.parametrize("lay", LAYERS)
@pytest.mark.parametrize("extension", ["part", "sealed"])
def test_something_else_in_a_slices_place(
    tmp_path: Path, store: SliceStore, part: SealedSlice, lay: object, extension: str
) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    store.reserve(part)
    lay(tmp_path / "store" / f"{part.digest}.{extension}", victim)  # type: ignore[operator]
    with pytest.raises(HostError):
        store.reserve(part)
    with pytest.raises(HostError):
        store.append(part.digest, 0, b"x") if extension == "part" else store.path(part)
    assert victim.read_bytes() == b"precious"


@pytest.mark.parametrize("lay", LAYERS)
def test_something_else_where_a_slice_is_opened(tmp_path: Path, part: SealedSlice, lay: object) -> None:
    lay(tmp_path / "place", tmp_path / "sealed")  # type: ignore[operator]
    with pytest.raises(HostError):
        open_from_file(tmp_path / "place", part)


def test_a_device_itself(tmp_path: Path) -> None:
    with pytest.raises(HostError), open_regular(tmp_path.joinpath("/dev/zero")):
        pass


def test_the_lock_is_no_way_in(tmp_path: Path) -> None:
    (tmp_path / "victim").write_bytes(b"precious")
    (tmp_path / "other").mkdir(mode=0o700)
    (tmp_path / "other" / ".lock").symlink_to(tmp_path / "victim")
    with pytest.raises(HostError):
        SliceStore(tmp_path / "other", 0)
