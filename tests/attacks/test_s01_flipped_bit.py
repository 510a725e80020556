"""S01: flip any one bit of a sealed slice.

Expected: opening fails with a typed error, the buffer holds no weight, the store sets the file aside and takes a
fresh copy.

Defence: host/slice_file.py:_open_all (digest); removed, a replica that holds the data key loads weights of its own
making. Defence: crypto/stream.py:StreamKey.open_chunk (tag, through host/slice_file.py:_Slot.wait); removed, a slice
with zeros for weights is handed out as opened.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest

from mohawk.artifact.sealed_slice import SealedSlice, parse_header, prefix_size
from mohawk.crypto.stream import CHUNK_SIZE, StreamKey
from mohawk.errors import ArtifactError, HostError
from mohawk.host.slice_file import open_slice
from mohawk.host.slice_store import SliceStore
from tests.support.slices import DATA_KEY, SIZE, as_signed, make_context, make_plaintext, open_from_file, seal_to_file

if TYPE_CHECKING:
    from pathlib import Path

BODY_SAMPLES = 60


@pytest.fixture
def part(tmp_path: Path) -> SealedSlice:
    return seal_to_file(tmp_path / "s", make_context(), make_plaintext())


def flipped(sealed: bytes, bit: int) -> bytes:
    altered = bytearray(sealed)
    altered[bit // 8] ^= 1 << bit % 8
    return bytes(altered)


def test_every_bit_of_the_header(tmp_path: Path, part: SealedSlice) -> None:
    sealed = (tmp_path / "s").read_bytes()
    for bit in range(prefix_size(part.context) * 8):
        altered = flipped(sealed, bit)
        (tmp_path / "s").write_bytes(altered)
        with pytest.raises(ArtifactError):
            open_from_file(tmp_path / "s", as_signed(part, altered))


def test_bits_of_the_body(tmp_path: Path, part: SealedSlice) -> None:
    """As if the attacker had also got the altered digest signed: the chunks' tags stand alone."""
    sealed = (tmp_path / "s").read_bytes()
    begin, end = prefix_size(part.context) * 8, len(sealed) * 8
    bits = [begin, end - 1, *random.Random(1).sample(range(begin, end), BODY_SAMPLES)]
    for bit in bits:
        altered = flipped(sealed, bit)
        (tmp_path / "s").write_bytes(altered)
        buffer = memoryview(bytearray(b"x" * SIZE))
        with pytest.raises(ArtifactError):
            open_slice(tmp_path / "s", as_signed(part, altered), DATA_KEY, buffer)
        assert bytes(buffer) == bytes(SIZE)


def test_chunks_forged_by_a_holder_of_the_data_key(tmp_path: Path, part: SealedSlice) -> None:
    """Header, commitment and tags all fit; only the signed digest does not."""
    sealed = bytearray((tmp_path / "s").read_bytes())
    header = parse_header(bytes(sealed))
    key = StreamKey(DATA_KEY, header.nonce, part.context.stream_info())
    begin = prefix_size(part.context)
    key.seal_chunk(0, bytes(CHUNK_SIZE), memoryview(sealed)[begin : begin + CHUNK_SIZE + 16], final=False)
    (tmp_path / "s").write_bytes(sealed)
    buffer = memoryview(bytearray(SIZE))
    with pytest.raises(ArtifactError, match="digest"):
        open_slice(tmp_path / "s", part, DATA_KEY, buffer)
    assert bytes(buffer) == bytes(SIZE)


def test_set_aside_and_fetched_again(tmp_path: Path, part: SealedSlice) -> None:
    sealed = (tmp_path / "s").read_bytes()
    store = SliceStore(tmp_path / "store", 1 << 20)
    store.reserve(part)
    store.append(part.digest, 0, sealed)
    store.finish(part.digest)
    store.path(part).write_bytes(flipped(sealed, len(sealed) * 4))
    with pytest.raises(ArtifactError):
        open_from_file(store.path(part), part)

    store.quarantine(part.digest)
    with pytest.raises(HostError):
        store.path(part)
    assert store.reserve(part) == 0
    store.append(part.digest, 0, sealed)
    store.finish(part.digest)
    assert open_from_file(store.path(part), part) == make_plaintext()
    store.close()
