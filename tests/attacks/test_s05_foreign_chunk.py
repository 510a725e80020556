"""S05: put a chunk of another slice, or of another version of the same slice, into a sealed slice.

Expected: refused, even if by mistake both were sealed with one data key and one nonce, and the mixture's digest were
signed.

Defence: artifact/sealed_slice.py:SealingContext.stream_info; removed, old weights appear in a new version, chunk by
chunk.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from mohawk.artifact.sealed_slice import SealingContext, SliceHeader, prefix_size
from mohawk.crypto.stream import CHUNK_SIZE, SEALED_CHUNK_SIZE, StreamKey
from mohawk.errors import ArtifactError
from tests.support.slices import DATA_KEY, as_signed, make_context, make_plaintext, open_from_file, seal_to_file

if TYPE_CHECKING:
    from pathlib import Path

OTHERS = [make_context(8, 15), make_context(version=2)]


@pytest.mark.parametrize("other", OTHERS, ids=["slice", "version"])
def test_a_grafted_chunk(tmp_path: Path, other: SealingContext) -> None:
    part = seal_to_file(tmp_path / "s", make_context(), make_plaintext())
    seal_to_file(tmp_path / "other", other, make_plaintext(seed=b"other weights"))
    graft_and_open(tmp_path, part.context, other)


@pytest.mark.parametrize("other", OTHERS, ids=["slice", "version"])
def test_a_grafted_chunk_under_equal_key_and_nonce(tmp_path: Path, other: SealingContext) -> None:
    for name, context in (("s", make_context()), ("other", other)):
        (tmp_path / name).write_bytes(seal_carelessly(context, make_plaintext(seed=name.encode())))
    graft_and_open(tmp_path, make_context(), other)


def graft_and_open(folder: Path, context: SealingContext, other: SealingContext) -> None:
    sealed, donor = (folder / "s").read_bytes(), (folder / "other").read_bytes()
    part = as_signed(seal_to_file(folder / "scratch", context, make_plaintext()), b"")
    begin, taken = prefix_size(context) + SEALED_CHUNK_SIZE, prefix_size(other) + SEALED_CHUNK_SIZE
    grafted = sealed[:begin] + donor[taken : taken + SEALED_CHUNK_SIZE] + sealed[begin + SEALED_CHUNK_SIZE :]
    (folder / "s").write_bytes(grafted)
    with pytest.raises(ArtifactError):
        open_from_file(folder / "s", as_signed(part, grafted))


def seal_carelessly(context: SealingContext, plaintext: bytes) -> bytes:
    """With a nonce that is always the same."""
    key = StreamKey(DATA_KEY, bytes(16), context.stream_info())
    sealed = bytearray(SliceHeader(context, key.commitment, bytes(16)).encode())
    for index in range(4):
        chunk = plaintext[index * CHUNK_SIZE : (index + 1) * CHUNK_SIZE]
        out = bytearray(len(chunk) + 16)
        key.seal_chunk(index, chunk, out, final=index == 3)
        sealed += out
    return bytes(sealed)
