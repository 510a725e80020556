"""S02: cut a sealed slice at each chunk boundary and one byte to either side.

Expected: a typed truncation error; no part of the slice is used.

Defence: host/slice_file.py:_open_all (size) and _read_at (end of file); removed, opening never ends.
Defence: crypto/stream.py:_nonce (final flag); removed, a body cut at a chunk's edge opens as a shorter, complete one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from mohawk.artifact.sealed_slice import parse_header, prefix_size
from mohawk.crypto.stream import CHUNK_SIZE, SEALED_CHUNK_SIZE, StreamKey
from mohawk.errors import ArtifactError, RemoteError
from mohawk.host.slice_file import open_slice
from tests.support.slices import DATA_KEY, SIZE, as_signed, make_context, make_plaintext, seal_to_file

if TYPE_CHECKING:
    from pathlib import Path


def test_cut_files(tmp_path: Path) -> None:
    part = seal_to_file(tmp_path / "s", make_context(), make_plaintext())
    sealed = (tmp_path / "s").read_bytes()
    prefix = prefix_size(part.context)
    edges = [0, 16, 20, prefix, *range(prefix + SEALED_CHUNK_SIZE, len(sealed), SEALED_CHUNK_SIZE), len(sealed)]
    cuts = {edge + shift for edge in edges for shift in (-1, 0, 1)}
    for cut in sorted(cut for cut in cuts if 0 <= cut < len(sealed)):
        (tmp_path / "s").write_bytes(sealed[:cut])
        buffer = memoryview(bytearray(b"x" * SIZE))
        with pytest.raises(ArtifactError, match="truncated"):
            open_slice(tmp_path / "s", as_signed(part, sealed[:cut]), DATA_KEY, buffer)
        assert bytes(buffer) == bytes(SIZE)


def test_a_reader_that_knows_no_size_sees_the_cut(tmp_path: Path) -> None:
    """The body alone: its last chunk must be a final one."""
    part = seal_to_file(tmp_path / "s", make_context(), make_plaintext())
    sealed = (tmp_path / "s").read_bytes()
    key = StreamKey(DATA_KEY, parse_header(sealed).nonce, part.context.stream_info())
    body = sealed[prefix_size(part.context) :]
    out = bytearray(CHUNK_SIZE)
    for index in range(3):
        chunk = body[index * SEALED_CHUNK_SIZE : (index + 1) * SEALED_CHUNK_SIZE]
        key.open_chunk(index, chunk, out, final=False)
        with pytest.raises(RemoteError):
            key.open_chunk(index, chunk, out, final=True)
