"""D09: whoever sends a slice goes on beyond the size in its signed manifest, in one piece, in many, at other offsets, or
under a digest that was never offered -> stopped at the limit, the folder holds not a byte more, and what the quota
leaves for others is as it was.

Defence: host/slice_store.py:SliceStore.append; removed, a sender fills the disk. Defence:
host/slice_store.py:SliceStore.reserve (quota); removed, so do many slices that are each of their signed size.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from mohawk.artifact.sealed_slice import SealedSlice
from mohawk.errors import HostError, MessageError
from mohawk.host.slice_store import SliceStore
from tests.support.slices import make_context, make_plaintext, seal_to_file

PIECE = 1000


@pytest.fixture
def part(tmp_path: Path) -> SealedSlice:
    return seal_to_file(tmp_path / "sealed", make_context(), make_plaintext())


@pytest.fixture
def store(tmp_path: Path, part: SealedSlice) -> Iterator[SliceStore]:
    """With room for two of this size, and half another."""
    store = SliceStore(tmp_path / "store", 5 * part.sealed_bytes // 2)
    yield store
    store.close()


def stored(tmp_path: Path) -> int:
    return sum(path.stat().st_size for path in (tmp_path / "store").iterdir())


def test_in_one_piece(tmp_path: Path, store: SliceStore, part: SealedSlice) -> None:
    store.reserve(part)
    with pytest.raises(MessageError):
        store.append(part.digest, 0, bytes(part.sealed_bytes + 1))
    assert stored(tmp_path) == 0


def test_in_many_pieces(tmp_path: Path, store: SliceStore, part: SealedSlice) -> None:
    offset = store.reserve(part)
    for _ in range(part.sealed_bytes // PIECE):
        offset = store.append(part.digest, offset, bytes(PIECE))
    for _ in range(10 * part.sealed_bytes // PIECE):
        with pytest.raises(MessageError):
            store.append(part.digest, offset, bytes(PIECE))
    assert part.sealed_bytes - PIECE < stored(tmp_path) <= part.sealed_bytes
    for strange in (0, offset - 1, offset + 1, part.sealed_bytes, 1 << 60):
        with pytest.raises(MessageError):
            store.append(part.digest, strange, bytes(PIECE))
    assert stored(tmp_path) == offset


def test_what_was_not_offered(tmp_path: Path, store: SliceStore, part: SealedSlice) -> None:
    for digest in (part.digest, "0" * 64):
        with pytest.raises(MessageError):
            store.append(digest, 0, b"x")
    assert stored(tmp_path) == 0


def test_more_slices_than_the_quota_holds(tmp_path: Path, store: SliceStore, part: SealedSlice) -> None:
    sealed = (tmp_path / "sealed").read_bytes()
    refused = 0
    for number in range(6):
        other = seal_to_file(tmp_path / f"other-{number}", make_context(), make_plaintext())
        try:
            store.reserve(other)
        except HostError:
            refused += 1
            continue
        store.append(other.digest, 0, (tmp_path / f"other-{number}").read_bytes())
    assert refused == 4
    assert stored(tmp_path) == 2 * len(sealed)


def test_an_attack_leaves_the_quota_as_it_was(tmp_path: Path, store: SliceStore, part: SealedSlice) -> None:
    sealed = (tmp_path / "sealed").read_bytes()
    store.reserve(part)
    for _ in range(100):
        with suppress(MessageError):
            store.append(part.digest, 0, bytes(4 * part.sealed_bytes))
    honest = seal_to_file(tmp_path / "honest", make_context(), make_plaintext())
    store.reserve(honest)
    store.append(honest.digest, 0, (tmp_path / "honest").read_bytes())
    store.finish(honest.digest)
    store.append(part.digest, 0, sealed)
    store.finish(part.digest)
    with pytest.raises(HostError):
        store.reserve(seal_to_file(tmp_path / "third", make_context(), make_plaintext()))
