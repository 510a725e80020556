"""S03: append bytes, or a second final chunk, to a sealed slice.

Expected: refused; nothing behind the signed end is ignored silently.

Defence: host/slice_file.py:_open_all (size); removed, a file with a stranger's bytes behind the slice opens as if
they were not there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from mohawk.artifact.sealed_slice import parse_header
from mohawk.crypto.stream import CHUNK_SIZE, SEALED_CHUNK_SIZE, StreamKey
from mohawk.errors import ArtifactError
from tests.support.slices import DATA_KEY, as_signed, make_context, make_plaintext, open_from_file, seal_to_file

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("extra", [b"\0", b"x" * 16, bytes(SEALED_CHUNK_SIZE)], ids=["byte", "tag", "chunk"])
def test_appended_bytes(tmp_path: Path, extra: bytes) -> None:
    part = seal_to_file(tmp_path / "s", make_context(), make_plaintext())
    sealed = (tmp_path / "s").read_bytes() + extra
    (tmp_path / "s").write_bytes(sealed)
    for expected in (part, as_signed(part, sealed)):
        with pytest.raises(ArtifactError, match="appended"):
            open_from_file(tmp_path / "s", expected)


def test_a_second_final_chunk_by_a_holder_of_the_data_key(tmp_path: Path) -> None:
    context = make_context(size=2 * CHUNK_SIZE)
    part = seal_to_file(tmp_path / "s", context, make_plaintext(2 * CHUNK_SIZE))
    sealed = (tmp_path / "s").read_bytes()
    key = StreamKey(DATA_KEY, parse_header(sealed).nonce, context.stream_info())
    second = bytearray(SEALED_CHUNK_SIZE)
    key.seal_chunk(2, bytes(CHUNK_SIZE), second, final=True)
    sealed += second
    (tmp_path / "s").write_bytes(sealed)
    for expected in (part, as_signed(part, sealed)):
        with pytest.raises(ArtifactError):
            open_from_file(tmp_path / "s", expected)
