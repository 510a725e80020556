"""S04: swap or repeat chunks of a sealed slice.

Expected: refused by the chunks themselves, even if the new order's digest were signed.

Defence: crypto/stream.py:_nonce (counter); removed, layers' weights change places unnoticed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from mohawk.artifact.sealed_slice import prefix_size
from mohawk.crypto.stream import SEALED_CHUNK_SIZE
from mohawk.errors import ArtifactError
from tests.support.slices import as_signed, make_context, make_plaintext, open_from_file, seal_to_file

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("order", [(1, 0, 2), (0, 2, 1), (0, 0, 2), (0, 1, 1), (2, 1, 0)])
def test_chunks_in_another_order(tmp_path: Path, order: tuple[int, ...]) -> None:
    part = seal_to_file(tmp_path / "s", make_context(), make_plaintext())
    sealed = (tmp_path / "s").read_bytes()
    begin = prefix_size(part.context)
    chunks = [sealed[begin + i * SEALED_CHUNK_SIZE :][:SEALED_CHUNK_SIZE] for i in range(4)]
    moved = sealed[:begin] + b"".join(chunks[i] for i in order) + chunks[3]
    (tmp_path / "s").write_bytes(moved)
    with pytest.raises(ArtifactError):
        open_from_file(tmp_path / "s", as_signed(part, moved))
