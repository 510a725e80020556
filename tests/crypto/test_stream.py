"""Protects the body of a slice: it is age's STREAM, chunk by chunk, and says so when it was cut, extended or
rearranged.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from pathlib import Path

import pytest

from mohawk.crypto.stream import (
    CHUNK_SIZE,
    SEALED_CHUNK_SIZE,
    STREAM_NONCE_SIZE,
    StreamKey,
    count_chunks,
    sealed_size,
)
from mohawk.errors import RemoteError, UsageError
from tests.support.keys import derive_age

VECTORS = Path(__file__).parent / "vectors"
FILE_KEYS = json.loads((VECTORS / "file_keys.json").read_text("ascii"))
SIZES = [0, 1, CHUNK_SIZE - 1, CHUNK_SIZE, CHUNK_SIZE + 1, 3 * CHUNK_SIZE, 3 * CHUNK_SIZE + 5]


def seal(key: StreamKey, plaintext: bytes) -> bytes:
    last = count_chunks(len(plaintext)) - 1
    sealed = bytearray()
    for index in range(last + 1):
        chunk = plaintext[index * CHUNK_SIZE : (index + 1) * CHUNK_SIZE]
        out = bytearray(len(chunk) + 16)
        key.seal_chunk(index, chunk, out, final=index == last)
        sealed += out
    return bytes(sealed)


def open_body(key: StreamKey, sealed: bytes) -> bytes:
    """As a reader does that knows nothing but the body: the last chunk is the one that ends it."""
    opened = bytearray()
    starts = range(0, max(len(sealed), 1), SEALED_CHUNK_SIZE)
    for index, begin in enumerate(starts):
        chunk = sealed[begin : begin + SEALED_CHUNK_SIZE]
        out = bytearray(max(0, len(chunk) - 16))
        key.open_chunk(index, chunk, out, final=index == len(starts) - 1)
        opened += out
    return bytes(opened)


@pytest.mark.parametrize("name", sorted(FILE_KEYS))
def test_real_age_files_open_unchanged(name: str) -> None:
    data, file_key = (VECTORS / name).read_bytes(), bytes.fromhex(FILE_KEYS[name])
    marker = data.index(b"\n--- ") + 4
    header, body = data[:marker], data[data.index(b"\n", marker) + 1 :]
    # The header's MAC shows that the file key is this file's.
    mac = hmac.digest(derive_age(file_key, b"", b"header", 32), header, hashlib.sha256)
    assert data[marker + 1 : marker + 44].decode() + "=" == base64.b64encode(mac).decode()

    key = StreamKey(file_key, body[:STREAM_NONCE_SIZE], b"payload")
    size = int(name.removeprefix("age_").removesuffix(".age"))
    expected = hashlib.shake_256(b"mohawk age vector").digest(size)
    assert open_body(key, body[STREAM_NONCE_SIZE:]) == expected
    assert seal(key, expected) == body[STREAM_NONCE_SIZE:]


@pytest.mark.parametrize("size", SIZES)
def test_round_trip_and_size(size: int) -> None:
    key, plaintext = StreamKey(bytes(32), bytes(16), b"info"), bytes(range(256)) * (size // 256 + 1)
    sealed = seal(key, plaintext[:size])
    assert len(sealed) == sealed_size(size)
    assert open_body(key, sealed) == plaintext[:size]


def test_any_chunk_opens_alone() -> None:
    key = StreamKey(bytes(32), bytes(16), b"info")
    sealed = seal(key, b"a" * CHUNK_SIZE + b"b" * CHUNK_SIZE + b"c")
    out = bytearray(CHUNK_SIZE)
    key.open_chunk(1, sealed[SEALED_CHUNK_SIZE : 2 * SEALED_CHUNK_SIZE], out, final=False)
    assert out == b"b" * CHUNK_SIZE


@pytest.mark.parametrize("chunks", [1, 2])
def test_a_cut_at_a_chunks_edge_shows(chunks: int) -> None:
    key = StreamKey(bytes(32), bytes(16), b"info")
    sealed = seal(key, bytes(3 * CHUNK_SIZE))
    with pytest.raises(RemoteError):
        open_body(key, sealed[: chunks * SEALED_CHUNK_SIZE])


def test_bytes_after_the_final_chunk_show() -> None:
    key = StreamKey(bytes(32), bytes(16), b"info")
    sealed = seal(key, bytes(CHUNK_SIZE))
    for extra in (b"x", bytes(SEALED_CHUNK_SIZE), sealed):
        with pytest.raises(RemoteError):
            open_body(key, sealed + extra)


def test_an_empty_last_chunk_is_refused() -> None:
    """Else one plaintext would have two sealed forms."""
    key = StreamKey(bytes(32), bytes(16), b"info")
    full, empty = bytearray(SEALED_CHUNK_SIZE), bytearray(16)
    key.seal_chunk(0, bytes(CHUNK_SIZE), full, final=False)
    with pytest.raises(RemoteError):
        key.seal_chunk(1, b"", empty, final=True)
    key._aead.seal_into((1).to_bytes(11, "big") + b"\1", b"", b"", empty)  # what a careless writer would make
    with pytest.raises(RemoteError):
        open_body(key, bytes(full + empty))


def test_swapped_chunks_show() -> None:
    key = StreamKey(bytes(32), bytes(16), b"info")
    sealed = seal(key, b"a" * CHUNK_SIZE + b"b" * CHUNK_SIZE + b"c")
    first, second, rest = sealed[:SEALED_CHUNK_SIZE], sealed[SEALED_CHUNK_SIZE:][:SEALED_CHUNK_SIZE], sealed[-17:]
    for body in (second + first + rest, first + first + rest, first + rest, second + rest):
        with pytest.raises(RemoteError):
            open_body(key, body)


def test_key_nonce_and_info_all_matter() -> None:
    made = {
        StreamKey(file_key, nonce, info).commitment
        for file_key in (bytes(32), b"\1" + bytes(31))
        for nonce in (bytes(16), b"\1" + bytes(15))
        for info in (b"", b"payload")
    }
    assert len(made) == 8


@pytest.mark.parametrize(("file_key", "nonce"), [(bytes(31), bytes(16)), (bytes(32), bytes(12)), (b"", b"")])
def test_other_sizes_are_refused(file_key: bytes, nonce: bytes) -> None:
    with pytest.raises(UsageError):
        StreamKey(file_key, nonce, b"")
