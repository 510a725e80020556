"""The vocabulary of secrets: one AEAD, one key derivation, hashes, comparison, one password hash. Nothing else is
offered.

Rules, and the attack each stops:

1. A wrong tag raises and the caller's output is overwritten: unverified plaintext is never read (EFAIL and its kin).
2. Derivation always takes an `info`: two uses of one secret never meet in one key (cross-protocol reuse).
3. Comparison of secrets takes the same time for equal and unequal bytes, and raises: no timing oracle, no dropped
   `False`.
4. No algorithm is a parameter: the weak choice cannot be spelled.
"""

from __future__ import annotations

import hashlib
import hmac
import os
from typing import TypeAlias

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.kdf.hkdf import HKDF, HKDFExpand
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from mohawk.errors import MohawkError, RemoteError, UsageError

Buffer: TypeAlias = bytes | bytearray | memoryview
"""What the AEAD reads from and writes into. A mapping of memory comes as `memoryview(mapping)`."""

KEY_SIZE = 32
NONCE_SIZE = 12
TAG_SIZE = 16
SCRYPT_MINIMUM_LOG2 = 17
"""N = 2^17 with r = 8, p = 1 costs 128 MiB and some tenths of a second: OWASP's first choice for scrypt."""
SCRYPT_MAXIMUM_LOG2 = 20
"""1 GiB. A blob that asks for more is an attack on our memory, not a stronger key."""


class AeadKey:
    """ChaCha20-Poly1305 (RFC 8439). The caller owns the nonces: one key, one nonce, one message, ever.

    Why safe: constant time in software (no tables, no need of AES instructions), one 96-bit nonce, and the nonces of
    this project are counters, never random, so that they cannot collide. It does not commit to its key: where a
    recipient may be offered several keys, compare a commitment first (`crypto.stream`).

    One object may be used by several threads: each call makes its own cipher context. The key is copied into the
    library: the caller may overwrite its own copy at once, and the library's ends with this object.
    """

    __slots__ = ("_cipher",)

    def __init__(self, key: Buffer) -> None:
        if len(key) != KEY_SIZE:
            raise UsageError("an AEAD key holds 32 bytes")
        self._cipher = ChaCha20Poly1305(key)

    def seal_into(self, nonce: Buffer, plaintext: Buffer, associated: Buffer, out: Buffer) -> None:
        """Write ciphertext and tag into `out`, which holds exactly `len(plaintext) + 16` bytes."""
        self._cipher.encrypt_into(nonce, plaintext, associated, out)

    def open_into(self, nonce: Buffer, sealed: Buffer, associated: Buffer, out: Buffer) -> None:
        """Write the plaintext into `out`, which holds exactly `len(sealed) - 16` bytes.

        Raises RemoteError on a wrong tag; `out` then holds zeros. OpenSSL decrypts before it has judged the tag, so
        without the overwriting `out` would hold whatever the attacker's bits decrypt to.
        """
        try:
            self._cipher.decrypt_into(nonce, sealed, associated, out)
        except InvalidTag:
            overwrite(out)
            raise RemoteError("sealed bytes were altered, or sealed under another key or context") from None

    def seal(self, nonce: Buffer, plaintext: Buffer, associated: Buffer) -> bytes:
        """Ciphertext ‖ tag, for short messages."""
        return self._cipher.encrypt(nonce, plaintext, associated)

    def open(self, nonce: Buffer, sealed: Buffer, associated: Buffer) -> bytes:
        """The plaintext. Raises RemoteError on a wrong tag."""
        try:
            return self._cipher.decrypt(nonce, sealed, associated)
        except InvalidTag:
            raise RemoteError("sealed bytes were altered, or sealed under another key or context") from None


def extract(salt: bytes, secret: Buffer) -> bytes:
    """HKDF-Extract with SHA-384 (RFC 5869): 48 bytes. For secrets that are not uniform, such as a TLS exporter's with
    structure.
    """
    return HKDF.extract(hashes.SHA384(), salt, secret)


def expand(pseudorandom_key: Buffer, info: bytes, length: int = KEY_SIZE) -> bytes:
    """HKDF-Expand with SHA-384. `info` names the use; different uses give unrelated keys."""
    return HKDFExpand(hashes.SHA384(), length, info).derive(pseudorandom_key)


def derive(secret: Buffer, salt: bytes, info: bytes, length: int = KEY_SIZE) -> bytes:
    """HKDF-SHA-384, extract and expand in one."""
    return HKDF(hashes.SHA384(), length, salt, info).derive(secret)


def derive_into(secret: Buffer, salt: bytes, info: bytes, out: Buffer) -> None:
    """`derive` into a buffer of the caller's, which the caller can overwrite; bytes cannot be."""
    HKDF(hashes.SHA384(), len(out), salt, info).derive_into(secret, out)


def derive_age_into(secret: Buffer, salt: bytes, info: bytes, out: Buffer) -> None:
    """HKDF-SHA-256, only because age fixes it (`crypto.stream`). As a derivation from a random key it is as strong as
    SHA-384's.
    """
    HKDF(hashes.SHA256(), len(out), salt, info).derive_into(secret, out)


def derive_from_passphrase_into(passphrase: Buffer, salt: bytes, log2_cost: int, out: Buffer) -> None:
    """scrypt (RFC 7914) with N = 2^log2_cost, r = 8, p = 1, into `out` (32 bytes).

    Why safe: a guess costs an attacker 128 MiB as well as time, so that graphics cards and ASICs gain little. Why
    bounded: the cost is read from a file; too low would be a downgrade, too high would take our memory. Raises
    RemoteError outside the bounds.
    """
    if not SCRYPT_MINIMUM_LOG2 <= log2_cost <= SCRYPT_MAXIMUM_LOG2:
        raise RemoteError("a passphrase cost outside the bounds", hint="N must lie between 2^17 and 2^20")
    Scrypt(salt, KEY_SIZE, n=1 << log2_cost, r=8, p=1).derive_into(passphrase, out)


def hmac_sha384(key: Buffer, message: Buffer) -> bytes:
    """HMAC with SHA-384 (RFC 2104): 48 bytes that only a holder of `key` can make. Compare with `require_equal`."""
    return hmac.digest(bytes(key), bytes(message), "sha384")


def length_prefixed(*parts: bytes) -> bytes:
    """Unambiguous joining, each part's length as u32 in front: no two lists of parts give the same bytes."""
    return b"".join(len(part).to_bytes(4, "big") + part for part in parts)


def sha256(data: Buffer) -> bytes:
    return hashlib.sha256(data).digest()


def sha384(data: Buffer) -> bytes:
    return hashlib.sha384(data).digest()


def require_equal(actual: Buffer, expected: Buffer, error: MohawkError) -> None:
    """Raise `error` unless both are equal; the time taken does not tell where they differ."""
    if not hmac.compare_digest(actual, expected):
        raise error


def random_bytes(size: int) -> bytes:
    """From the kernel. Why safe: os.urandom blocks until seeded and survives fork; no userspace state to copy or
    restore.
    """
    return os.urandom(size)


def overwrite(buffer: Buffer) -> None:
    """Zeros over a writable buffer, in steps, so that zeroing a gigabyte does not need another one.

    Only buffers of our own end this way; a key inside a library's object ends with the process.
    """
    view = memoryview(buffer).cast("B")
    for begin in range(0, len(view), len(_ZEROS)):
        end = min(begin + len(_ZEROS), len(view))
        view[begin:end] = _ZEROS[: end - begin]


_ZEROS = bytes(1 << 16)
