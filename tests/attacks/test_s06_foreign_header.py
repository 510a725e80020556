"""S06: the header of slice A on the body of slice B.

Expected: refused at the commitment or, where A's commitment came along, at the first chunk; never a byte of plaintext.

Defence: host/slice_file.py:_derive_key (commitment); removed, chunks are opened under a key that the header never
committed to, and only their tags still refuse them (S09 shows tags that do not).
Defence: host/slice_file.py:_derive_key (context equals the manifest's); removed, only the commitment still refuses a
whole other slice, and the reason given is wrong.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from mohawk.artifact.sealed_slice import SealedSlice, SliceHeader, parse_header, prefix_size
from mohawk.errors import ArtifactError
from mohawk.host.slice_file import open_slice
from tests.support.slices import DATA_KEY, SIZE, as_signed, make_context, make_plaintext, seal_to_file

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def pair(tmp_path: Path) -> tuple[SealedSlice, bytes, bytes]:
    """A's entry, then A and B in bytes; both under one data key, so that only the headers tell them apart."""
    part = seal_to_file(tmp_path / "a", make_context(0, 7), make_plaintext())
    seal_to_file(tmp_path / "b", make_context(8, 9), make_plaintext(seed=b"other weights"))
    return part, (tmp_path / "a").read_bytes(), (tmp_path / "b").read_bytes()


def refuse(path: Path, part: SealedSlice, sealed: bytes, reason: str) -> None:
    path.write_bytes(sealed)
    buffer = memoryview(bytearray(b"x" * SIZE))
    with pytest.raises(ArtifactError, match=reason):
        open_slice(path, as_signed(part, sealed), DATA_KEY, buffer)
    assert bytes(buffer) == bytes(SIZE)


def test_the_whole_header_of_another_slice(tmp_path: Path, pair: tuple[SealedSlice, bytes, bytes]) -> None:
    part, a, b = pair
    body = b[prefix_size(make_context(8, 9)) :]
    refuse(tmp_path / "a", part, a[: prefix_size(part.context)] + body, "altered")


def test_the_context_of_another_slice(tmp_path: Path, pair: tuple[SealedSlice, bytes, bytes]) -> None:
    part, _, b = pair
    theirs = parse_header(b)
    header = SliceHeader(part.context, theirs.commitment, theirs.nonce).encode()
    refuse(tmp_path / "a", part, header + b[len(theirs.encode()) :], "another key or header")


def test_a_whole_other_slice(tmp_path: Path, pair: tuple[SealedSlice, bytes, bytes]) -> None:
    part, _, b = pair
    refuse(tmp_path / "a", part, b, "another slice than the manifest")
