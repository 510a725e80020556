"""Private keys under a password: PKCS #8 with PBES2 (RFC 8018), scrypt (RFC 7914) and AES-256-CBC, in PEM.

Why not the library's own writer: it asks PBKDF2 for 2,048 rounds, which a graphics card does a million times a second.
The format is the standard's, so that `openssl pkey` opens what is written here, and the library's reader does.

Why CBC without a tag: the format has no other mode that everybody reads. A changed file gives another key or none, and
a key that is not its certificate's is refused wherever keys are read.
"""

from __future__ import annotations

import base64

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES256
from cryptography.hazmat.primitives.ciphers.modes import CBC
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt
from cryptography.hazmat.primitives.padding import PKCS7

from mohawk.crypto.primitives import random_bytes

_SALT_SIZE = 16
_BLOCK_BITS = 128
_N, _R, _P = 1 << 14, 8, 5
"""16 MiB, five times over: as costly as OWASP's first choice (2^17, 8, 1), and within the 32 MiB at which OpenSSL's own
tools stop.
"""
_PBES2 = bytes.fromhex("06092a864886f70d01050d")
_SCRYPT = bytes.fromhex("06092b06010401da47040b")
_AES_256_CBC = bytes.fromhex("060960864801650304012a")


def encrypt_key(pkcs8: bytes, password: bytes) -> bytes:
    """A PEM block, `ENCRYPTED PRIVATE KEY`, around `pkcs8` (DER)."""
    salt, vector = random_bytes(_SALT_SIZE), random_bytes(_BLOCK_BITS // 8)
    key = Scrypt(salt, 32, n=_N, r=_R, p=_P).derive(password)
    padder = PKCS7(_BLOCK_BITS).padder()
    encryptor = Cipher(AES256(key), CBC(vector)).encryptor()
    sealed = encryptor.update(padder.update(pkcs8) + padder.finalize()) + encryptor.finalize()
    derivation = _sequence(_SCRYPT, _sequence(_octets(salt), _integer(_N), _integer(_R), _integer(_P)))
    cipher = _sequence(_AES_256_CBC, _octets(vector))
    return _pem(_sequence(_sequence(_PBES2, _sequence(derivation, cipher)), _octets(sealed)))


def _sequence(*parts: bytes) -> bytes:
    return _tagged(0x30, b"".join(parts))


def _octets(data: bytes) -> bytes:
    return _tagged(0x04, data)


def _integer(value: int) -> bytes:
    return _tagged(0x02, value.to_bytes(value.bit_length() // 8 + 1, "big"))  # a leading zero keeps it positive


def _tagged(tag: int, content: bytes) -> bytes:
    """DER (X.690 10.1): the length in its shortest form."""
    size = len(content)
    if size < 0x80:
        return bytes([tag, size]) + content
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(length)]) + length + content


def _pem(der: bytes) -> bytes:
    text = base64.b64encode(der)
    lines = [text[begin : begin + 64] for begin in range(0, len(text), 64)]
    return b"\n".join((b"-----BEGIN ENCRYPTED PRIVATE KEY-----", *lines, b"-----END ENCRYPTED PRIVATE KEY-----", b""))
