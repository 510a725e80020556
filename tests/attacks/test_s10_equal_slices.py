"""S10: seal the same slice twice and compare the ciphertexts, even under one data key.

Expected: unrelated bytes; who sees both learns nothing of either, not even that they are equal.

Defence: host/slice_file.py:seal_slice (nonce from the kernel); removed, equal slices show as equal and, after a
changed weight, two plaintexts under one keystream give away their difference.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mohawk.artifact.sealed_slice import prefix_size
from tests.support.slices import make_context, make_plaintext, seal_to_file

if TYPE_CHECKING:
    from pathlib import Path


def test_unrelated_ciphertexts(tmp_path: Path) -> None:
    parts = [seal_to_file(tmp_path / name, make_context(), make_plaintext()) for name in "ab"]
    assert parts[0].digest != parts[1].digest
    begin = prefix_size(make_context())
    first, second = ((tmp_path / name).read_bytes()[begin:] for name in "ab")
    equal = sum(a == b for a, b in zip(first, second, strict=True)) / len(first)
    assert 0.002 < equal < 0.006  # 1/256 is chance
    mixed = bytes(a ^ b for a, b in zip(first, second, strict=True))
    assert mixed.count(0) / len(mixed) < 0.006


def test_headers_share_the_context_only(tmp_path: Path) -> None:
    for name in "ab":
        seal_to_file(tmp_path / name, make_context(), make_plaintext())
    begin = prefix_size(make_context())
    first, second = ((tmp_path / name).read_bytes()[:begin] for name in "ab")
    assert first[:-48] == second[:-48]
    assert first[-48:-16] != second[-48:-16]
    assert first[-16:] != second[-16:]
