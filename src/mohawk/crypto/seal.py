"""Seal a short message to a public key: HPKE (RFC 9180), base mode, MLKEM768-X25519, HKDF-SHA-384, ChaCha20-Poly1305.

Rules, and the attack each stops:

1. Hybrid only: who records today's traffic and later owns a quantum computer must still break X25519, and who breaks
   ML-KEM must too.
2. `info` carries the context (who, which manifest, which nonce): a sealed key moved to another place does not open.
3. Base mode proves nothing about the sender. Sign what you seal (`crypto.signing`); an unsigned sealed key is an
   attacker's key.
4. A recipient's key is made fresh, in memory, never stored: yesterday's recording does not open with tomorrow's
   stolen disk.
"""

from __future__ import annotations

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hpke
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey, MLKEM768PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from mohawk.crypto.primitives import Buffer
from mohawk.errors import RemoteError

_MLKEM_SIZE = 1184
PUBLIC_KEY_SIZE = _MLKEM_SIZE + 32
"""ML-KEM-768 encapsulation key ‖ X25519 public key, in HPKE's own order."""
SEALED_OVERHEAD = 1088 + 32 + 16
"""ML-KEM ciphertext, X25519 share, tag."""


def _suite() -> hpke.Suite:
    return hpke.Suite(hpke.KEM.MLKEM768_X25519, hpke.KDF.HKDF_SHA384, hpke.AEAD.CHACHA20_POLY1305)


class RecipientKey:
    """A key pair that messages can be sealed to. It lives in this process only and cannot be exported."""

    __slots__ = ("_private", "_public")

    def __init__(self, mlkem: MLKEM768PrivateKey, x25519: X25519PrivateKey) -> None:
        self._private = hpke.MLKEM768X25519PrivateKey(mlkem, x25519)
        self._public = mlkem.public_key().public_bytes_raw() + x25519.public_key().public_bytes_raw()

    @classmethod
    def generate(cls) -> RecipientKey:
        return cls(MLKEM768PrivateKey.generate(), X25519PrivateKey.generate())

    def public_bytes(self) -> bytes:
        """PUBLIC_KEY_SIZE bytes for `seal_to`."""
        return self._public

    def open(self, sealed: bytes, info: bytes) -> bytes:
        """The message. Raises RemoteError: altered, sealed to another key, or under another `info`; which one is not
        told.
        """
        try:
            return _suite().decrypt(sealed, self._private, info)
        except (InvalidTag, ValueError):  # ValueError: an X25519 share of small order
            raise RemoteError("a sealed message that does not open with this key and context") from None


def seal_to(public: bytes, message: Buffer, info: bytes) -> bytes:
    """`message` readable only by the holder of `public`'s private half: len(message) + SEALED_OVERHEAD bytes.

    Raises RemoteError when `public` is not a public key (the peer made it): wrong size, ML-KEM coefficients beyond
    the modulus (FIPS 203 §7.2), an X25519 point of small order.
    """
    if len(public) != PUBLIC_KEY_SIZE:
        raise RemoteError("not a public key to seal to: wrong size")
    try:
        mlkem = MLKEM768PublicKey.from_public_bytes(public[:_MLKEM_SIZE])
        x25519 = X25519PublicKey.from_public_bytes(public[_MLKEM_SIZE:])
        return _suite().encrypt(message, hpke.MLKEM768X25519PublicKey(mlkem, x25519), info)
    except ValueError:
        raise RemoteError("not a public key to seal to") from None
