"""The chunked body of a sealed slice: age's STREAM construction, to the letter (C2SP age.md, "Payload"; Hoang et al.,
"OAE2").

    nonce (16 bytes) ‖ chunk 0 ‖ chunk 1 ‖ … ‖ last chunk
    chunk i     = ChaCha20-Poly1305(payload key, i (11 bytes, big-endian) ‖ final (0 or 1), 64 KiB of plaintext) ‖ tag
    payload key = HKDF-SHA-256(file key, salt = nonce, info), 32 bytes

Rules, and the attack each stops:

1. The counter in the nonce: chunks cannot be swapped, repeated or dropped (S04).
2. The final flag in the nonce: a body cut at a chunk's edge does not end in a final chunk, and nothing can follow one
   (S02, S03).
3. Only the last chunk may be short, and it is never empty unless the whole is: one plaintext has one form.
4. `info` names the format and the whole sealing context: a chunk of another slice or version is under another key
   (S05).
5. 32 bytes more of the same derivation are the commitment. ChaCha20-Poly1305 opens one ciphertext under two keys if
   an attacker has crafted it so; the commitment is compared before chunk 0 (S06, S09). The first 32 bytes are the
   same with and without it, so that real age payloads open unchanged with `info=b"payload"`.
"""

from __future__ import annotations

from mohawk.crypto.primitives import TAG_SIZE, AeadKey, Buffer, derive_age_into, overwrite
from mohawk.errors import RemoteError, UsageError

CHUNK_SIZE = 1 << 16
SEALED_CHUNK_SIZE = CHUNK_SIZE + TAG_SIZE
STREAM_NONCE_SIZE = 16
COMMITMENT_SIZE = 32
_FILE_KEY_SIZES = (16, 32)  # age's, ours


def count_chunks(plaintext_size: int) -> int:
    """An empty plaintext is one empty chunk."""
    return max(1, -(-plaintext_size // CHUNK_SIZE))


def sealed_size(plaintext_size: int) -> int:
    """Bytes of all chunks, without the nonce in front of them."""
    return plaintext_size + TAG_SIZE * count_chunks(plaintext_size)


class StreamKey:
    """Seals or opens the chunks of one body; chunk i needs no other chunk. Threads may share it.

    Sealing: each (file key, nonce) seals one body, each index once. `host.slice_file` takes both fresh from the
    kernel for each file.
    """

    __slots__ = ("_aead", "commitment")

    def __init__(self, file_key: Buffer, nonce: bytes, info: bytes) -> None:
        if len(file_key) not in _FILE_KEY_SIZES or len(nonce) != STREAM_NONCE_SIZE:
            raise UsageError("a stream key needs a file key of 16 or 32 bytes and a nonce of 16")
        derived = memoryview(bytearray(32 + COMMITMENT_SIZE))
        derive_age_into(file_key, nonce, info, derived)
        self._aead = AeadKey(derived[:32])
        self.commitment = bytes(derived[32:])
        overwrite(derived)

    def seal_chunk(self, index: int, plaintext: Buffer, out: Buffer, *, final: bool) -> None:
        """`out` holds exactly len(plaintext) + 16 bytes. Only the final chunk may be shorter than CHUNK_SIZE."""
        _check_size(index, len(plaintext), final=final)
        self._aead.seal_into(_nonce(index, final=final), plaintext, b"", out)

    def open_chunk(self, index: int, sealed: Buffer, out: Buffer, *, final: bool) -> None:
        """`out` holds exactly len(sealed) - 16 bytes. Raises RemoteError and overwrites `out` when the chunk is not
        authentic here.
        """
        _check_size(index, len(sealed) - TAG_SIZE, final=final)
        self._aead.open_into(_nonce(index, final=final), sealed, b"", out)


def _nonce(index: int, *, final: bool) -> bytes:
    return index.to_bytes(11, "big") + (b"\1" if final else b"\0")


def _check_size(index: int, size: int, *, final: bool) -> None:
    if not (size == CHUNK_SIZE or (final and (0 < size < CHUNK_SIZE or (size == 0 and index == 0)))):
        raise RemoteError("a chunk of a size that does not belong there")
