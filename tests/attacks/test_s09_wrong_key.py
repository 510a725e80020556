"""S09: open a sealed slice with a wrong key; and with a second key that an attacker prepared the slice for.

Expected: fails at the commitment, before chunk 0 is opened.

Defence: host/slice_file.py:_derive_key (commitment); removed, one file with one signed digest opens to two different
sets of weights, depending on the key that the worker is given: ChaCha20-Poly1305 does not commit to its key
("invisible salamanders").
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms

from mohawk.artifact.sealed_slice import SealedSlice, SliceHeader
from mohawk.crypto.stream import StreamKey
from mohawk.errors import ArtifactError
from mohawk.host.slice_file import open_slice
from tests.support.keys import derive_age
from tests.support.slices import DATA_KEY, SIZE, make_context, make_plaintext, open_from_file, seal_to_file

if TYPE_CHECKING:
    from pathlib import Path

OTHER_KEY = b"\xff" * 32
PRIME = 2**130 - 5
NONCE = bytes(16)
FIRST_AND_FINAL = bytes(11) + b"\1"
BLOCKS = 4


@pytest.mark.parametrize("wrong", [bytes(32), OTHER_KEY, DATA_KEY[::-1], DATA_KEY[:-1] + b"\0"])
def test_a_wrong_key(tmp_path: Path, wrong: bytes) -> None:
    part = seal_to_file(tmp_path / "s", make_context(), make_plaintext())
    buffer = memoryview(bytearray(b"x" * SIZE))
    with pytest.raises(ArtifactError, match="another key"):
        open_slice(tmp_path / "s", part, wrong, buffer)
    assert bytes(buffer) == bytes(SIZE)


def test_a_slice_made_for_two_keys(tmp_path: Path) -> None:
    context = make_context(size=16 * BLOCKS)
    info = context.stream_info()
    body = seal_for_two_keys(*(derive_age(key, NONCE, info, 32) for key in (DATA_KEY, OTHER_KEY)))

    for key in (DATA_KEY, OTHER_KEY):  # the attack works: the body alone is authentic under both keys
        StreamKey(key, NONCE, info).open_chunk(0, body, bytearray(16 * BLOCKS), final=True)

    sealed = SliceHeader(context, StreamKey(DATA_KEY, NONCE, info).commitment, NONCE).encode() + body
    (tmp_path / "s").write_bytes(sealed)
    part = SealedSlice(context, hashlib.sha256(sealed).hexdigest())
    open_from_file(tmp_path / "s", part, DATA_KEY)
    with pytest.raises(ArtifactError, match="another key"):
        open_from_file(tmp_path / "s", part, OTHER_KEY)


def seal_for_two_keys(first: bytes, second: bytes) -> bytes:
    """Ciphertext of BLOCKS blocks and a tag that Poly1305 accepts under both keys.

    The tag is a polynomial of the blocks; with two blocks left open, two tags are two linear equations modulo 2^130 -
    5. A solution is usable when both blocks come out between 2^128 and 2^129 (one try in sixteen).
    """
    (r1, s1), (r2, s2) = one_time_key(first), one_time_key(second)
    fixed = [2**128 + 7, 2**128 + 9]  # the blocks in front; 2^128 is the bit that Poly1305 adds to each
    lengths = 2**128 + (16 * BLOCKS << 64)

    def rest(r: int, s: int, tag: int) -> int:
        known = fixed[0] * pow(r, 5, PRIME) + fixed[1] * pow(r, 4, PRIME) + lengths * r
        return (tag - s - known) % PRIME

    inverse = pow(pow(r1, 3, PRIME) * pow(r2, 2, PRIME) - pow(r2, 3, PRIME) * pow(r1, 2, PRIME), -1, PRIME)
    for tag in range(2**128, 2**128 + 10_000):
        a, b = rest(r1, s1, tag), rest(r2, s2, tag)
        x = (a * pow(r2, 2, PRIME) - b * pow(r1, 2, PRIME)) * inverse % PRIME
        y = (pow(r1, 3, PRIME) * b - pow(r2, 3, PRIME) * a) * inverse % PRIME
        if all(2**128 <= block < 2**129 for block in (x, y)):
            blocks = [block - 2**128 for block in (*fixed, x, y)]
            return b"".join(n.to_bytes(16, "little") for n in (*blocks, tag % 2**128))
    raise AssertionError("no usable solution")


def one_time_key(key: bytes) -> tuple[int, int]:
    """Poly1305's r (clamped) and s of the only chunk."""
    stream = Cipher(algorithms.ChaCha20(key, bytes(4) + FIRST_AND_FINAL), mode=None).encryptor().update(bytes(32))
    clamp = 0x0FFFFFFC0FFFFFFC0FFFFFFC0FFFFFFF
    return int.from_bytes(stream[:16], "little") & clamp, int.from_bytes(stream[16:], "little")
