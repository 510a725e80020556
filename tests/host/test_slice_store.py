"""Protects a worker's store: resumable, content-addressed, within its quota, one owner, versions that never go down."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from mohawk.errors import ArtifactError, HostError, MessageError, RemoteError, UntrustedArtifactError
from mohawk.host.slice_store import SliceState, SliceStore, StoredSlice
from tests.support.slices import make_context, make_plaintext, open_from_file, seal_to_file

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from mohawk.artifact.sealed_slice import SealedSlice

QUOTA = 1 << 20


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SliceStore]:
    opened = SliceStore(tmp_path / "store", QUOTA)
    yield opened
    opened.close()


@pytest.fixture
def part(tmp_path: Path) -> SealedSlice:
    return seal_to_file(tmp_path / "sealed", make_context(), make_plaintext())


@pytest.fixture
def sealed(part: SealedSlice, tmp_path: Path) -> bytes:
    return (tmp_path / "sealed").read_bytes()


def push(store: SliceStore, part: SealedSlice, sealed: bytes, step: int = 65_000) -> int:
    """Send what is missing; the number of bytes sent."""
    offset = begin = store.reserve(part)
    while offset < part.sealed_bytes:
        offset = store.append(part.digest, offset, sealed[offset : offset + step])
    if begin < part.sealed_bytes:
        store.finish(part.digest)
    return offset - begin


def test_push_and_open(store: SliceStore, part: SealedSlice, sealed: bytes) -> None:
    assert push(store, part, sealed) == len(sealed)
    assert store.path(part).read_bytes() == sealed
    assert open_from_file(store.path(part), part) == make_plaintext()
    assert store.list() == (StoredSlice(part.digest, SliceState.COMPLETE, len(sealed)),)


def test_a_second_push_moves_no_byte(store: SliceStore, part: SealedSlice, sealed: bytes) -> None:
    push(store, part, sealed)
    assert push(store, part, sealed) == 0


def test_a_push_resumes_after_a_restart(tmp_path: Path, store: SliceStore, part: SealedSlice, sealed: bytes) -> None:
    store.reserve(part)
    store.append(part.digest, 0, sealed[:100_000])
    store.close()
    again = SliceStore(tmp_path / "store", QUOTA)
    assert again.list() == (StoredSlice(part.digest, SliceState.PARTIAL, 100_000),)
    assert push(again, part, sealed) == len(sealed) - 100_000
    assert again.path(part).read_bytes() == sealed
    again.close()
    store._lock = os.open(tmp_path, os.O_RDONLY)  # for the fixture to close


def test_bytes_out_of_order_or_unannounced(store: SliceStore, part: SealedSlice, sealed: bytes) -> None:
    with pytest.raises(MessageError, match="not offered"):
        store.append(part.digest, 0, sealed[:10])
    store.reserve(part)
    store.append(part.digest, 0, sealed[:10])
    for offset in (0, 9, 11, 1 << 40):
        with pytest.raises(MessageError, match="offset"):
            store.append(part.digest, offset, sealed[:10])


def test_never_beyond_the_signed_size(store: SliceStore, part: SealedSlice, sealed: bytes) -> None:
    store.reserve(part)
    with pytest.raises(MessageError, match="more bytes"):
        store.append(part.digest, 0, sealed + b"x")
    store.append(part.digest, 0, sealed)
    with pytest.raises(MessageError, match="more bytes"):
        store.append(part.digest, len(sealed), b"x")


def test_not_finished_before_its_end(store: SliceStore, part: SealedSlice, sealed: bytes) -> None:
    store.reserve(part)
    store.append(part.digest, 0, sealed[:-1])
    with pytest.raises(MessageError, match="ended before"):
        store.finish(part.digest)
    with pytest.raises(HostError):
        store.path(part)


def test_wrong_bytes_are_removed(store: SliceStore, part: SealedSlice, sealed: bytes) -> None:
    store.reserve(part)
    store.append(part.digest, 0, sealed[:-1] + bytes([sealed[-1] ^ 1]))
    with pytest.raises(ArtifactError):
        store.finish(part.digest)
    assert store.list() == ()
    assert push(store, part, sealed) == len(sealed)


def test_quota_counts_what_is_here_and_what_is_promised(store: SliceStore, part: SealedSlice, sealed: bytes) -> None:
    others = [replace(part, digest=f"{i:064x}") for i in range(5)]
    for other in others[: QUOTA // part.sealed_bytes - 1]:
        store.reserve(other)
    store.reserve(part)
    store.reserve(part)
    with pytest.raises(HostError, match="quota"):
        store.reserve(others[-1])
    push(store, part, sealed)
    with pytest.raises(HostError, match="quota"):
        store.reserve(others[-1])


def test_a_disk_without_room_is_known_before_the_first_byte(tmp_path: Path) -> None:
    store = SliceStore(tmp_path / "huge", 1 << 62)
    context = make_context(size=1 << 44)
    from mohawk.artifact.sealed_slice import SealedSlice

    found = os.statvfs(tmp_path)
    if found.f_bavail * found.f_frsize > 1 << 44:
        pytest.skip("this disk has 16 TiB free")
    with pytest.raises(HostError, match="space"):
        store.reserve(SealedSlice(context, "00" * 32))
    assert store.list() == ()
    store.close()


def test_quarantine_makes_room_for_a_fresh_copy(store: SliceStore, part: SealedSlice, sealed: bytes) -> None:
    push(store, part, sealed)
    store.quarantine(part.digest)
    assert store.list() == (StoredSlice(part.digest, SliceState.QUARANTINED, len(sealed)),)
    with pytest.raises(HostError):
        store.path(part)
    assert push(store, part, sealed) == len(sealed)
    assert store.list() == (StoredSlice(part.digest, SliceState.COMPLETE, len(sealed)),)


def test_one_owner(tmp_path: Path, store: SliceStore) -> None:
    with pytest.raises(HostError, match="in use"):
        SliceStore(tmp_path / "store", QUOTA)
    assert (tmp_path / "store").stat().st_mode & 0o777 == 0o700


def test_a_folder_that_others_may_write_to_is_refused(tmp_path: Path) -> None:
    (tmp_path / "open").mkdir(mode=0o700)
    (tmp_path / "open").chmod(0o777)
    with pytest.raises(HostError, match="others"):
        SliceStore(tmp_path / "open", QUOTA)
    (tmp_path / "link").symlink_to(tmp_path / "open")
    with pytest.raises(HostError):
        SliceStore(tmp_path / "link", QUOTA)


def test_versions_survive_and_never_go_down(tmp_path: Path, store: SliceStore) -> None:
    assert store.seen_versions() == {}
    store.remember_version("tiny", 3)
    store.remember_version("other", 1)
    store.remember_version("tiny", 3)
    with pytest.raises(UntrustedArtifactError):
        store.remember_version("tiny", 2)
    store.close()
    again = SliceStore(tmp_path / "store", QUOTA)
    assert again.seen_versions() == {"tiny": 3, "other": 1}
    again.close()
    store._lock = os.open(tmp_path, os.O_RDONLY)  # for the fixture to close


@pytest.mark.parametrize("data", [b"", b"{}", b'{"tiny":3}', b'{"format":"mohawk-versions-v1","models":[]} '])
def test_a_damaged_record_is_not_nothing_seen(tmp_path: Path, store: SliceStore, data: bytes) -> None:
    (tmp_path / "store" / "versions.json").write_bytes(data)
    with pytest.raises(HostError, match="damaged"):
        store.seen_versions()
    with pytest.raises(HostError, match="damaged"):
        store.remember_version("tiny", 9)


@pytest.mark.parametrize("digest", ["../" + "a" * 61, "A" * 64, "a" * 63, "a" * 64 + "\n", ""])
def test_digests_are_checked_before_they_name_a_file(store: SliceStore, digest: str) -> None:
    for use in (lambda: store.append(digest, 0, b""), lambda: store.finish(digest), lambda: store.quarantine(digest)):
        with pytest.raises(RemoteError):
            use()
